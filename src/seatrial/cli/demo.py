"""``seatrial demo``: releases on real flight data, on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def add_to(app: typer.Typer) -> None:
    app.command()(demo)


def demo(
    directory: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where.")] = Path("demo"),
    config: Annotated[Path | None, typer.Option(help="Another story.", show_default="the one that comes along")] = None,
    plan: Annotated[Path | None, typer.Option(help="Another plan.", show_default="the one that comes along")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running, to try things out.")] = False,
) -> None:
    """A summer of flights: real requests, delays that come back hours later, one promotion, two ways home."""
    from seatrial.demo.run import main

    raise typer.Exit(main(directory, config=config, plan=plan, keep=keep))
