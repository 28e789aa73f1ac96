"""Feature records from somebody's own table: one row for each request and side, its features in columns."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from difflib import get_close_matches
from typing import Any, Final

from seatrial.engines.inputs import Input
from seatrial.errors import UsageError
from seatrial.evidence.features import AS_OF, SCHEMA, Record, only
from seatrial.ids import CHAMPION, SHADOW

USUAL: Final = {"request": ("request_id", "request", "id"), "arm": ("arm", "side", "role")}
_CAPTURED: Final = ("request_id", "row", "arm", "features", "features_hash")
"""Columns of an event log of seatrial: there the features are JSON, and a hash tells that they were used."""

Sides = tuple[list[tuple[str, Record]], list[tuple[str, Record]]]
"""Records with their request ids: the champion's and the shadow's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the user said of the columns. None: found by their usual names, or all that are left over.

    ``as_of``: columns with times, by the name of the feature, ``""`` for all; ``schema``: the column with the version
    of the features; ``sides``: the values of the column of the arm that are champion and shadow.
    """

    request: str | None = None
    arm: str | None = None
    features: tuple[str, ...] = ()
    as_of: Mapping[str, str] = field(default_factory=dict)
    schema: str | None = None
    sides: tuple[str, str] = (CHAMPION, SHADOW)


def records_of(source: Input, asked: Asked) -> Sides:
    """Both sides from one table, told apart by a column. Raises UsageError (ST0780, ST0781)."""
    if asked == Asked(features=asked.features) and set(_CAPTURED) <= set(source.columns):
        return _captured(source, asked.features)
    arm = _find(source, "arm", asked.arm)
    found = [(str(row[arm]), key, record) for row, key, record in _rows(source, asked, (arm,))]
    ours, theirs = ([(key, record) for side, key, record in found if side == which] for which in asked.sides)
    if not ours or not theirs:
        there = ", ".join(sorted({side for side, *_ in found})[:10]) or "nothing"
        raise UsageError(
            "ST0781", f"column '{arm}' of '{source.name}' does not have both {' and '.join(asked.sides)}.",
            remedy=f"It has {there}: say --champion VALUE and --shadow VALUE.",
        )  # fmt: skip
    return ours, theirs


def records_of_two(champion: Input, shadow: Input, asked: Asked) -> Sides:
    """One table a side. Raises UsageError (ST0780, ST0781)."""
    if asked.arm is not None:
        raise UsageError("ST0781", "two tables are two sides.", remedy="Leave --arm out, or give one table.")
    ours, theirs = ([(key, record) for _, key, record in _rows(side, asked)] for side in (champion, shadow))
    return ours, theirs


def _captured(source: Input, features: Sequence[str]) -> Sides:
    table = source.run(source.table.select(*_CAPTURED))
    ours: list[tuple[str, Record]] = []
    theirs: list[tuple[str, Record]] = []
    for request, row, arm, text, told in zip(*(column.to_pylist() for column in table.columns), strict=True):
        if told is not None and arm in (CHAMPION, SHADOW):
            record = json.loads(text)
            (ours if arm == CHAMPION else theirs).append((f"{request}:{row}", only(record, features or None)))
    return ours, theirs


def _rows(source: Input, asked: Asked, more: Sequence[str] = ()) -> Iterator[tuple[dict[str, Any], str, Record]]:
    """Each row, its request id, and its record."""
    request = _find(source, "request", asked.request)
    named = [*asked.as_of.values(), *([asked.schema] if asked.schema else [])]
    for name in (*asked.features, *named):
        _find(source, "", name)
    about = {request, *more, *named}
    features = asked.features or tuple(name for name in source.columns if name not in about)
    if not features:
        raise UsageError("ST0780", f"'{source.name}' has no column that is left to be a feature.")
    columns = list(dict.fromkeys([request, *more, *features, *named]))
    for row in source.run(source.table.select(*columns)).to_pylist():
        yield row, str(row[request]), _record(row, features, asked)


def _record(row: Mapping[str, Any], features: Sequence[str], asked: Asked) -> Record:
    record = {name: _plain(row[name]) for name in features}
    if asked.schema is not None:
        record[SCHEMA] = _plain(row[asked.schema])
    if asked.as_of:
        times = {name: _plain(row[column]) for name, column in asked.as_of.items()}
        record[AS_OF] = {name: times.get(name, times.get("")) for name in features}
    return record


def _find(source: Input, part: str, given: str | None) -> str:
    """The column that was named, or the one with a usual name."""
    wanted = (given,) if given is not None else USUAL[part]
    lower = {name.lower(): name for name in reversed(source.columns)}
    for name in wanted:
        if name in source.columns or (given is None and name in lower):
            return name if name in source.columns else lower[name]
    near = get_close_matches(wanted[0].lower(), list(lower), n=1, cutoff=0.6)
    hint = f"Nearest is '{lower[near[0]]}'; it" if near else "It"
    what = f"'{given}'" if given is not None else f"for the {part} (--{part} COLUMN)"
    raise UsageError(
        "ST0780", f"'{source.name}' has no column {what}.", remedy=f"{hint} has {', '.join(source.columns)}."
    )


def _plain(value: Any) -> Any:
    """As JSON would have it; times without a zone are UTC, as everywhere in a user's own table."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime):
        return (value.isoformat() + "+00:00") if value.tzinfo is None else value.isoformat()
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return {str(key): _plain(item) for key, item in value.items()} if isinstance(value, Mapping) else value
