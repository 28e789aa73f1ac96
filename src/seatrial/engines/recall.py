"""Every prediction that a version answered in a span of time, from the Parquet parts: by who served, not by the arm.

The shadow's copies reached nobody and are counted apart. What was erased or has aged out is not there to be listed; the
parts say how many rows of theirs are gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from seatrial.events.parts import fit, model_directory
from seatrial.events.schema import MOMENT, from_micros, to_micros
from seatrial.events.shelf import Shelf, Shelved

_TRIES = 5
COLUMNS = pa.schema([
    ("time", MOMENT), ("request_id", pa.string()), ("row", pa.int32()), ("unit", pa.string()),
    ("outcome_key", pa.string()), ("rollout", pa.string()), ("arm", pa.string()), ("served_level", pa.string()),
    ("score", pa.float64()), ("label", pa.string()),
])  # fmt: skip
_FILTERS = pa.schema([("served_version", pa.string()), ("status", pa.int16())])
_READ = pa.unify_schemas([COLUMNS, _FILTERS])


@dataclass(frozen=True, slots=True)
class Served:
    """``predictions`` has ``COLUMNS``, by time, request and row; ``copies``: what the version answered as a shadow.

    ``erased``: rows that are gone from the parts that reach into the span, of whatever version. ``earliest``: the first
    moment that is kept of the model at all, None if nothing is.
    """

    predictions: pa.Table
    copies: int
    erased: int
    earliest: datetime | None


def served(events: Path, model: str, version: int, start: datetime, end: datetime) -> Served:
    """Answers within [start, end) whose status is below 300. A part that vanishes was merged: all are read again."""
    for _ in range(_TRIES - 1):
        with suppress(FileNotFoundError):
            return _served(events, model, version, start, end)
    return _served(events, model, version, start, end)


def _served(events: Path, model: str, version: int, start: datetime, end: datetime) -> Served:
    shelf = Shelf(model_directory(events, model), "time")
    shelf.refresh()
    first, last = to_micros(start), to_micros(end)
    reaching = [part for part in shelf.parts if part.latest >= first and part.earliest < last]
    found = pa.concat_tables([COLUMNS.empty_table(), *_answers(reaching, str(version), first, last)])
    mirrored = pc.equal(found["arm"], "shadow")
    listed = found.filter(pc.invert(mirrored))
    order = pc.sort_indices(listed, [(name, "ascending") for name in ("time", "request_id", "row")])
    return Served(
        listed.take(order),
        len(found) - len(listed),
        sum(part.erased for part in reaching),
        _earliest(shelf.parts),
    )


def _answers(parts: list[Shelved], version: str, first: int, last: int) -> Iterator[pa.Table]:
    for part in parts:
        with pq.ParquetFile(part.part.path) as file:
            present = set(file.schema_arrow.names)
            table = fit(file.read(columns=[name for name in _READ.names if name in present]), _READ)
        moments = table["time"].cast(pa.int64())
        within = pc.and_(pc.greater_equal(moments, first), pc.less(moments, last))
        answered = pc.and_(pc.equal(table["served_version"], version), pc.less(table["status"], 300))
        yield table.filter(pc.and_(within, answered)).select(COLUMNS.names).cast(COLUMNS)


def _earliest(parts: list[Shelved]) -> datetime | None:
    rows = [part.earliest for part in parts if part.rows]
    return from_micros(min(rows)) if rows else None
