"""Options of ``seatrial analyze`` that name a column of somebody's table."""

from __future__ import annotations

from typing import Any

import typer

ROWS = "What a row says"
"""The panel of help that they stand in."""


def column(flag: str, help: str) -> Any:
    return typer.Option(flag, metavar="COLUMN", help=help, rich_help_panel=ROWS)
