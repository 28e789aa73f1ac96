"""What is given to ``seatrial cadence``: money, rates, spans of time, and tables of losses."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from seatrial.cli import amounts
from seatrial.errors import NotFound, SeatrialError, UsageError
from seatrial.instants import instant

NUMBER = r"\$?(\d+(?:\.\d+)?(?:e-?\d+)?)"
_DAYS = {"h": 1 / 24, "hour": 1 / 24, "d": 1.0, "day": 1.0, "w": 7.0, "week": 7.0}

Cost = Annotated[str, typer.Option("--cost", metavar="MONEY", help="Of one run: training and deploying, e.g. 200.")]


def money(option: str, text: str) -> float:
    return amounts.read(option, text, _positive(rf"\s*{NUMBER}\s*", "an amount of money such as 200"), "200")


def _positive(pattern: str, what: str) -> Callable[[str], float]:
    def read(text: str) -> float:
        match = re.fullmatch(pattern, text)
        if match is None or not 0 < float(match[1]) < math.inf:
            raise ValueError(f"'{text}' is not {what}")
        return float(match[1])

    return read


def rate(text: str) -> float:
    match = re.fullmatch(rf"\s*{NUMBER}\s*%\s*/\s*([a-z]+)\s*", text)
    if match is None or match[2] not in _DAYS or not 0 < float(match[1]) < math.inf:
        raise ValueError(f"'{text}' is not a decline such as 0.5%/day")
    return float(match[1]) / _DAYS[match[2]]


def per_point_day(text: str) -> float:
    match = re.fullmatch(rf"\s*{NUMBER}\s*/\s*pct-([a-z]+)\s*", text)
    if match is None or match[2] not in _DAYS or not 0 < float(match[1]) < math.inf:
        raise ValueError(f"'{text}' is not a cost such as 1000/pct-day")
    return float(match[1]) / _DAYS[match[2]]


def days(option: str, text: str) -> float:
    from seatrial.values import Duration

    found = amounts.read(option, text, Duration.parse, "12h").seconds / 86_400
    if found <= 0:
        raise UsageError("ST0389", f"{option} {text}: longer than nothing.", remedy=f"e.g. {option} 12h")
    return found


def rows(path: Path, needed: tuple[str, ...], header: str) -> list[dict[str, str]]:
    """The lines of a CSV file that has at least the columns that are needed."""
    if not path.is_file():
        raise NotFound("ST0388", f"there is no file '{path}'.", remedy=f"A CSV file with the header {header}.")
    try:
        with path.open(newline="", encoding="utf-8") as file:
            found = list(csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error):
        found = []
    if not found or not set(needed) <= set(found[0]) or any(None in row or None in row.values() for row in found):
        raise UsageError(
            "ST0388", f"'{path}' is not a table of {header}.", remedy="CSV with that header and a row each."
        )
    return found


def moment(option: str, text: str) -> datetime:
    """A time as ISO says it; without a zone it is UTC."""
    try:
        return instant(text, zone=UTC)
    except ValueError:
        raise UsageError("ST1352", f"{option} {text}: not a time.", remedy=f"e.g. {option} 2026-03-09") from None


def write(path: Path, header: Sequence[str], lines: Iterable[Sequence[object]]) -> None:
    """A CSV file. Raises SeatrialError (ST1351) where it cannot be written."""
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([header, *lines])
    except OSError as error:
        raise SeatrialError("ST1351", f"'{path}' cannot be written: {error.strerror}.",
                            remedy="Name a file in a directory that is there.") from None  # fmt: skip
