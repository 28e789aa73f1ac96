"""Where things are printed: data on stdout, everything else on stderr. Colour only on a terminal (and not NO_COLOR)."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seatrial.errors import SeatrialError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

Json = Annotated[bool, typer.Option("--json", help="One JSON document with a 'schema' field.")]


def stdout() -> Console:
    from rich.console import Console

    return Console(file=sys.stdout, highlight=False, soft_wrap=True)


def stderr() -> Console:
    from rich.console import Console

    return Console(file=sys.stderr, highlight=False, soft_wrap=True)


def data(document: Mapping[str, Any]) -> None:
    """One JSON document."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def text(content: str) -> None:
    """Plain text whose icons are coloured on a terminal."""
    stdout().print(painted(content))


def show(renderable: RenderableType) -> None:
    """A table."""
    from rich.console import Console

    console = Console(file=sys.stdout, highlight=False)
    if not console.is_terminal:  # a file or a pipe has no width: never cut what somebody will grep
        console = Console(file=sys.stdout, highlight=False, width=1_000)
    console.print(renderable)


def note(message: str) -> None:
    """A remark for the person at the terminal."""
    stderr().print(message, markup=False)


def fail(error: SeatrialError) -> None:
    """``✖ ST0203 message`` in red, the remedy below it."""
    from rich.text import Text

    line = Text(f"✖ {error.code} {error.message}", style="red")
    if error.remedy:
        line.append(f"\n  {error.remedy}", style="default")
    stderr().print(line)


_STYLES = {"✔": "green", "✖": "bold red", "◌": "cyan", "॥": "yellow", "⚠": "bold yellow", "?": "yellow", "⟳": "bold"}


def painted(content: str) -> Any:
    """The same text as a Rich ``Text`` with its icons in colour."""
    from rich.text import Text

    painted = Text(content)
    for icon, style in _STYLES.items():
        pattern = rf"(?<!\S)\{icon}(?!\S)" if icon == "?" else icon
        painted.highlight_regex(pattern, style)
    return painted
