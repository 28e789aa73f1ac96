"""``seatrial demo``: releases on real flight data, on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seatrial.cli import output
from seatrial.errors import UsageError


def add_to(app: typer.Typer) -> None:
    app.command()(demo)


def demo(
    directory: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="Where.", show_default="demo, or demo-year")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Another story.", show_default="the one that comes along")] = None,
    plan: Annotated[Path | None, typer.Option(help="Another plan.", show_default="the one that comes along")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running, to try things out.")] = False,
    year: Annotated[bool, typer.Option("--year", help="March to December, retrained on the way; no requests.")] = False,
    as_json: output.Json = False,
) -> None:
    """A summer of flights: real requests, delays that come back hours later, one promotion, two ways home."""
    if year:
        _year(directory or Path("demo-year"), config, plan, keep=keep, as_json=as_json)
        return
    if as_json:
        raise UsageError("ST0933", "only a year is told as a document.", remedy="seatrial demo --year --json")
    from seatrial.demo.run import main

    raise typer.Exit(main(directory or Path("demo"), config=config, plan=plan, keep=keep))


def _year(directory: Path, config: Path | None, plan: Path | None, *, keep: bool, as_json: bool) -> None:
    if keep:
        raise UsageError("ST0933", "a year leaves nothing running.", remedy="Leave out --keep.")
    from seatrial.demo.year.run import main

    document = main(directory, config=config, plan=plan, console=output.stderr() if as_json else output.stdout())
    if as_json:
        output.data(document)
