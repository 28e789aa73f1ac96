"""Erasing a unit: its predictions and the outcomes that belong to them are taken out of the parts.

A part keeps its name and is replaced by itself without these rows; how many there were stays with it, because Envoy has
counted the requests. A shadow's answers are found by the request they answer, too: a copy may lack the unit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from seatrial.events.files import unfinished
from seatrial.events.parts import Notes, Part, write_rows

_IDENTITY = ["unit", "request_id", "outcome_key"]


@dataclass(frozen=True, slots=True)
class Traces:
    """Where a unit is found: its requests, and the keys under which outcomes of nobody else are reported."""

    unit: str
    requests: frozenset[str]
    keys: frozenset[str]


def traces(parts: Sequence[Part], unit: str, plain: str) -> Traces:
    """What belongs to a unit, by its name in the log (a keyed hash) and as it is called outside (``plain``).

    Its outcomes are those of its predictions, and those that are reported under its own name. A key that is also the
    key of somebody else's prediction stays.
    """
    requests: set[str] = set()
    keys = {plain}
    for part in parts:
        found = _columns(part.path)
        mine = found.filter(pc.equal(found["unit"], unit))
        requests.update(mine["request_id"].drop_null().to_pylist())
    for part in parts:
        found = _columns(part.path)
        mine = found.filter(_is_mine(found, unit, requests))
        keys.update(mine["outcome_key"].drop_null().to_pylist())
    for part in parts:
        found = _columns(part.path)
        others = found.filter(pc.invert(_is_mine(found, unit, requests)))
        keys.difference_update(others["outcome_key"].filter(_among(others["outcome_key"], keys)).to_pylist())
    return Traces(unit, frozenset(requests), frozenset(keys))


def without(part: Part, found: Traces) -> tuple[pa.Table, int] | None:
    """The part's rows without those of the unit, and how many these are; None if there are none."""
    with pq.ParquetFile(part.path) as file:
        names = set(file.schema_arrow.names)
        table = file.read()
    gone = _is_mine(table, found.unit, found.requests) if "unit" in names else _among(table["key"], found.keys)
    taken = table.filter(gone)
    if not len(taken):
        return None
    notes = Notes.of(table.schema.metadata)
    requests = Counter({(rollout, phase, arm): n for rollout, phase, arm, n in notes.requests})
    if "unit" in names:
        requests.update(_counted(taken))
    after = Notes(notes.extents, notes.erased + len(taken), tuple((*key, n) for key, n in sorted(requests.items())))
    return table.filter(pc.invert(gone)).replace_schema_metadata(after.on(table.schema).metadata), len(taken)


def rewrite(part: Part, table: pa.Table) -> Path:
    """Other rows for a part, in a file beside it that ``files.publish`` puts in its place."""
    with unfinished(part.path.parent) as handle:
        write_rows(handle, table)
    return Path(handle.name)


def _columns(path: Path) -> pa.Table:
    with pq.ParquetFile(path) as file:
        return file.read(columns=_IDENTITY)


def _is_mine(table: pa.Table, unit: str, requests: Iterable[str]) -> pa.ChunkedArray:
    return pc.or_(pc.fill_null(pc.equal(table["unit"], unit), False), _among(table["request_id"], requests))


def _among(column: pa.ChunkedArray, values: Iterable[str]) -> pa.ChunkedArray:
    return pc.fill_null(pc.is_in(column, pa.array(sorted(values), pa.string())), False)


def _counted(rows: pa.Table) -> Counter[tuple[str, int, str]]:
    """Requests of rollouts, as they are reconciled with Envoy's count."""
    stamped = pc.and_(pc.and_(pc.is_valid(rows["rollout"]), pc.is_valid(rows["phase"])), pc.equal(rows["row"], 0))
    groups = rows.filter(stamped).group_by(["rollout", "phase", "arm"]).aggregate([("row", "count")])
    return Counter({(g["rollout"], g["phase"], g["arm"]): g["row_count"] for g in groups.to_pylist()})
