"""What was seen of a model over spans of time, from the Parquet parts: failures, and the outcomes of what was answered.

Requests of the champion's arm, and of none, count: a canary has a control group and verdicts of its own. Of several
records of an outcome the highest revision counts, then the latest time, then the largest value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from seatrial.engines.duck import DuckEngine
from seatrial.events.parts import fit, model_directory
from seatrial.events.schema import MOMENT, to_micros
from seatrial.events.shelf import Shelf
from seatrial.governance.verity import Outcome, Seen

_TRIES = 5
_EVENTS = pa.schema([
    ("row", pa.int32()), ("outcome_key", pa.string()), ("arm", pa.string()), ("served_version", pa.string()),
    ("status", pa.int16()), ("time", MOMENT),
])  # fmt: skip
_REQUESTS = pa.schema([
    ("key", pa.string()), ("first", pa.bool_()), ("served", pa.string()), ("status", pa.int64()), ("t", pa.int64()),
])  # fmt: skip
_SPANS = pa.schema([
    ("span", pa.string()), ("version", pa.string()), ("begins", pa.int64()), ("ends", pa.int64()),
])  # fmt: skip
_OUTCOMES = pa.schema([
    ("key", pa.string()), ("name", pa.string()), ("value", pa.float64()), ("time", pa.int64()), ("revision", pa.int64())
])  # fmt: skip
_RECORDS = pa.schema([pa.field("time", MOMENT) if field.name == "time" else field for field in _OUTCOMES])
_BELONGING = pa.schema([("rollout", pa.string()), ("row", pa.int32())])
_NEVER = 1 << 62

_COUNTS = """
SELECT span, count(*) AS requests, count(*) FILTER (status >= 500 OR served IS DISTINCT FROM version) AS failures
FROM requests JOIN spans ON t >= begins AND t < ends
WHERE first AND (status < 400 OR status >= 500) GROUP BY span
"""
_VALUES = """
WITH known AS (
  SELECT key, name, value FROM outcomes
  QUALIFY row_number() OVER (PARTITION BY key, name ORDER BY revision DESC, time DESC, value DESC) = 1)
SELECT span, name, count(*) AS n, avg(value) AS mean, coalesce(stddev_samp(value), 0) AS deviation
FROM requests JOIN spans ON t >= begins AND t < ends AND served = version JOIN known USING (key)
GROUP BY span, name
"""


@dataclass(frozen=True, slots=True)
class Span:
    """[start, end), and the version that had to answer in it."""

    start: datetime
    end: datetime
    version: int


def seen(events: Path, outcomes: Path, model: str, spans: Mapping[str, Span]) -> dict[str, Seen]:
    """Every span that anything was captured in. ``outcomes``: the directory of the outcome log.

    A part that vanishes while it is read was merged into another one, so everything is read again.
    """
    for _ in range(_TRIES - 1):
        with suppress(FileNotFoundError):
            return _seen(events, outcomes, model, spans)
    return _seen(events, outcomes, model, spans)


def logged(events: Path, model: str, rollout: str, since: datetime) -> int:
    """Requests of a rollout that are in the log; none of them is older than ``since``."""
    for _ in range(_TRIES - 1):
        with suppress(FileNotFoundError):
            return _logged(events, model, rollout, since)
    return _logged(events, model, rollout, since)


def _logged(events: Path, model: str, rollout: str, since: datetime) -> int:
    tables = _read(model_directory(events, model), "time", to_micros(since), _NEVER, _BELONGING)
    return sum(len(t.filter(pc.and_(pc.equal(t["rollout"], rollout), pc.equal(t["row"], 0)))) for t in tables)


def _seen(events: Path, outcomes: Path, model: str, spans: Mapping[str, Span]) -> dict[str, Seen]:
    requests = _requests(model_directory(events, model), [*spans.values()])
    tables = {
        "spans": _table(_SPANS, [(n, str(s.version), to_micros(s.start), to_micros(s.end)) for n, s in spans.items()]),
        "requests": requests,
        "outcomes": _known(model_directory(outcomes, model), requests["key"]),
    }
    engine = DuckEngine()
    try:
        for name, table in tables.items():
            engine.create(name, table.schema)
            engine.insert(name, table)
        counts, values = engine.query(_COUNTS, {}).to_pylist(), engine.query(_VALUES, {}).to_pylist()
    finally:
        engine.close()
    return {row["span"]: Seen(row["requests"], row["failures"], _outcomes(values, row["span"])) for row in counts}


def _outcomes(values: Sequence[Mapping[str, object]], span: str) -> dict[str, Outcome]:
    return {
        str(row["name"]): Outcome(int(str(row["n"])), float(str(row["mean"])), float(str(row["deviation"])))
        for row in values
        if row["span"] == span
    }


def _requests(directory: Path, spans: Sequence[Span]) -> pa.Table:
    """Rows of all spans; once, however many of them they are in."""
    first = min((to_micros(span.start) for span in spans), default=0)
    last = max((to_micros(span.end) for span in spans), default=0)
    tables = [_REQUESTS.empty_table()]
    for table in _read(directory, "time", first, last, _EVENTS):
        moments = table["time"].cast(pa.int64())
        wanted = pc.and_(pc.and_(pc.greater_equal(moments, first), pc.less(moments, last)),
                         pc.is_in(table["arm"], pa.array(["champion", "none"])))  # fmt: skip
        columns = [table["outcome_key"], pc.equal(table["row"], 0), table["served_version"],
                   table["status"].cast(pa.int64()), moments]  # fmt: skip
        tables.append(pa.table(columns, schema=_REQUESTS).filter(wanted))
    return pa.concat_tables(tables)


def _known(directory: Path, keys: pa.ChunkedArray) -> pa.Table:
    wanted = pc.unique(keys)
    tables = [
        table.filter(pc.is_in(table["key"], wanted)).cast(_OUTCOMES)
        for table in _read(directory, "received_at", 0, _NEVER, _RECORDS)
    ]
    return pa.concat_tables([_OUTCOMES.empty_table(), *tables])


def _read(directory: Path, moment: str, first: int, last: int, schema: pa.Schema) -> Iterator[pa.Table]:
    """The parts that reach into [first, last)."""
    shelf = Shelf(directory, moment)
    shelf.refresh()
    for kept in shelf.parts:
        if kept.latest >= first and kept.earliest < last:
            with pq.ParquetFile(kept.part.path) as file:
                present = set(file.schema_arrow.names)
                yield fit(file.read(columns=[name for name in schema.names if name in present]), schema)


def _table(schema: pa.Schema, rows: Sequence[tuple[object, ...]]) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.table(arrays, schema=schema)
