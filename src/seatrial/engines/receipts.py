"""What was received of outcomes: how much of it met a prediction, and what came late, twice or in contradiction.

A view for people. Verdicts take outcomes by themselves (``engines.evidence``), by the same rule: the highest revision,
then the latest time, then the largest value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from seatrial.engines.duck import DuckEngine
from seatrial.events.parts import fit, model_directory
from seatrial.events.schema import OUTCOME_SCHEMA, to_micros
from seatrial.events.shelf import Shelf

_DAY = 86_400_000_000
_RECORDS = {
    "key": "string",
    "name": "string",
    "value": "float64",
    "time": "int64",
    "revision": "int64",
    "received": "int64",
    "item": "string",
}
_SQL = f"""
WITH one AS (
  SELECT name, key, item, min(received) AS first, count(*) AS records,
         count(DISTINCT (revision, time, value)) AS different,
         count(DISTINCT revision) > 1 AS revised,
         count(DISTINCT value) FILTER (revision = top) > 1 AS contradicted
  FROM (SELECT *, max(revision) OVER (PARTITION BY name, key, item) AS top FROM records)
  GROUP BY name, key, item)
SELECT name, first // {_DAY} AS day, sum(records)::BIGINT AS received, count(*) AS outcomes,
       sum(records - different)::BIGINT AS repeated, count(*) FILTER (revised) AS revised,
       count(*) FILTER (contradicted) AS contradicted, count(moment) AS matched,
       count(*) FILTER (first > moment + span) AS late, count(span) > 0 AS judged
FROM one LEFT JOIN moments USING (key) LEFT JOIN horizons USING (name)
GROUP BY name, day ORDER BY name, day
"""


@dataclass(frozen=True, slots=True)
class Receipt:
    """Outcomes of one name that were first received on one day (UTC).

    ``received``: records, of which ``repeated`` said again what was known. ``outcomes``: predictions they are about, or
    items of their lists; of
    these ``matched`` are captured, ``revised`` were corrected by a later revision, and ``contradicted`` have two values
    under one revision. ``late``: received after the horizon, so in no verdict; None where no plan names a horizon.
    """

    name: str
    day: date
    received: int
    outcomes: int
    repeated: int
    revised: int
    contradicted: int
    matched: int
    late: int | None

    @property
    def pending(self) -> int:
        """Outcomes of predictions that nobody has seen: early, of another system, or with a wrong key."""
        return self.outcomes - self.matched


def receipts(
    events: Path, outcomes: Path, model: str, *, since: datetime, horizons: Mapping[str, float] | None = None
) -> list[Receipt]:
    """By name and day, of what was received from ``since`` on. ``horizons``: seconds, by name of the outcome.

    Reads the parts of the outcomes of that time and the keys of all predictions.
    """
    records = _records(model_directory(outcomes, model), to_micros(since))
    if not len(records):
        return []
    spans = {name: round(seconds * 1e6) for name, seconds in (horizons or {}).items()}
    engine = DuckEngine()
    try:
        for name, table in {
            "records": records,
            "moments": _moments(model_directory(events, model), records["key"]),
            "horizons": pa.table(
                {"name": pa.array([*spans], pa.string()), "span": pa.array([*spans.values()], pa.int64())}
            ),
        }.items():
            engine.create(name, table.schema)
            engine.insert(name, table)
        return [_receipt(row) for row in engine.query(_SQL, {}).to_pylist()]
    finally:
        engine.close()


def _receipt(row: Mapping[str, int]) -> Receipt:
    counts = {name: row[name] for name in ("received", "outcomes", "repeated", "revised", "contradicted", "matched")}
    day = datetime.fromtimestamp(row["day"] * 86_400, UTC).date()
    return Receipt(name=str(row["name"]), day=day, late=row["late"] if row["judged"] else None, **counts)


def _records(directory: Path, since: int) -> pa.Table:
    columns = ["key", "name", "value", "time", "revision", "received_at", "item"]
    schema = pa.schema([OUTCOME_SCHEMA.field(name) for name in columns])
    tables = [fit(table, schema) for table in _read(directory, "received_at", columns, since)]
    found = pa.concat_tables([schema.empty_table(), *tables])
    found = found.rename_columns([*_RECORDS]).cast(pa.schema([*_RECORDS.items()]))
    return found.filter(pc.greater_equal(found["received"], since))


def _moments(directory: Path, keys: pa.ChunkedArray) -> pa.Table:
    """When the predictions with these keys were made, the first of each. A shadow has the key of its champion."""
    wanted = pc.unique(keys)
    tables = [
        table.filter(pc.and_(pc.is_in(table["outcome_key"], wanted), pc.not_equal(table["arm"], "shadow")))
        for table in _read(directory, "time", ["outcome_key", "time", "arm"], 0)
    ]
    if not tables:
        return pa.table({"key": pa.array([], pa.string()), "moment": pa.array([], pa.int64())})
    found = pa.concat_tables(tables).group_by("outcome_key").aggregate([("time", "min")])
    return pa.table({"key": found["outcome_key"], "moment": found["time_min"].cast(pa.int64())})


def _read(directory: Path, moment: str, columns: list[str], since: int) -> Iterable[pa.Table]:
    """The rows of all parts that reach beyond ``since``; again from the start where a part was merged meanwhile."""
    while True:
        shelf = Shelf(directory, moment)
        shelf.refresh()
        try:
            return [_columns(kept.part.path, columns) for kept in shelf.parts if kept.latest >= since]
        except FileNotFoundError:
            continue


def _columns(path: Path, columns: list[str]) -> pa.Table:
    """Those that a part has: an older one may lack some."""
    with pq.ParquetFile(path) as file:
        present = set(file.schema_arrow.names)
        return file.read(columns=[name for name in columns if name in present])
