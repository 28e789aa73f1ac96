"""What users of a model met in a span of time: predictions with captured features, and what came of them.

Read straight from the event log, only the parts and row groups that can hold the time.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from seatrial.engines.duck import DuckEngine
from seatrial.engines.expressions import EARLY
from seatrial.events.parts import list_parts, model_directory, read_parts
from seatrial.events.schema import MOMENT, OUTCOME_SCHEMA, to_micros
from seatrial.ids import SHADOW

MOST_ROWS = 50_000
"""Of a longer span as many rows are taken, evenly over time: more say nothing new of a distribution."""

SCORE = "score"
_SCHEMA = pa.schema(
    [
        ("outcome_key", pa.string()),
        ("arm", pa.string()),
        ("served_version", pa.string()),
        ("served_level", pa.string()),
        ("unit", pa.string()),
        ("time", MOMENT),
        ("score", pa.float64()),
        ("features", pa.string()),
    ]
)
_BEST = """
SELECT n, o_value FROM keyed JOIN outcomes
  ON k = o_key AND o_received <= $now AND o_time <= t + $until AND o_received > t - $after
QUALIFY row_number() OVER (PARTITION BY n ORDER BY o_revision DESC, o_time DESC, o_value DESC) = 1
"""
"""The outcome that counts of each prediction, as in engines.exposures: of the horizon, and known by now."""


def predictions(events: Path, model: str, start: datetime, end: datetime, *, version: int | None = None) -> pa.Table:
    """Answers to users from ``start`` (inclusive) to ``end`` (exclusive), in order of time; of one version, or of all.

    Shadows answered nobody. Columns: those of the log that are needed, and ``features`` as JSON text.
    """
    table = _rows(events, model, start, end, _SCHEMA.names)
    served = pc.equal(table["served_level"], "primary")
    if version is not None:
        served = pc.and_(served, pc.equal(table["served_version"], str(version)))
    return _thinned(table.filter(pc.fill_null(served, False)).sort_by("time"))


def answers(events: Path, model: str, start: datetime, end: datetime) -> pa.Table:
    """As `predictions`, of all versions, and what shadows said too."""
    table = _rows(events, model, start, end, _SCHEMA.names, shadows=True)
    served = pc.or_(pc.equal(table["served_level"], "primary"), pc.equal(table["arm"], SHADOW))
    return _thinned(table.filter(pc.fill_null(served, False)).sort_by("time"))


def count(events: Path, model: str, start: datetime, end: datetime) -> int:
    """Predictions for users in a span of time."""
    return len(_rows(events, model, start, end, ["arm"]))


def with_features(table: pa.Table) -> pa.Table:
    """The score, and every feature that was captured as a column of its own: numbers or text. Nested ones are left out.

    >>> rows = {"score": [0.1, 0.2], "features": ['{"km": 3, "from": "JFK"}', '{"km": 4.5}']}
    >>> with_features(pa.table(rows)).to_pydict()
    {'score': [0.1, 0.2], 'from': ['JFK', None], 'km': [3.0, 4.5]}
    """
    rows = feature_rows(table)
    names = sorted({name for row in rows for name in row} - {SCORE})
    columns = {SCORE: table["score"], **{name: _column([row.get(name) for row in rows]) for name in names}}
    return pa.table({name: column for name, column in columns.items() if column is not None})


def feature_rows(table: pa.Table) -> list[dict[str, Any]]:
    """The features of each prediction; none where none were captured."""
    return [json.loads(text) if text else {} for text in table["features"].to_pylist()]


def labels(table: pa.Table, outcomes: Path, model: str, name: str, horizon_us: int, now: datetime) -> Any:
    """The outcome of each prediction, NaN where none is known by now. Shape (n,), float64."""
    records = read_parts(list_parts(model_directory(outcomes, model)), OUTCOME_SCHEMA)
    records = records.filter(pc.equal(records["name"], name))
    times = pc.cast(table["time"], pa.int64())
    engine = DuckEngine()
    try:
        _insert(engine, "keyed", {"n": np.arange(len(table)), "k": table["outcome_key"], "t": times})
        _insert(engine, "outcomes", {
            "o_key": records["key"], "o_value": records["value"], "o_time": pc.cast(records["time"], pa.int64()),
            "o_revision": records["revision"], "o_received": pc.cast(records["received_at"], pa.int64()),
        })  # fmt: skip
        found = engine.query(_BEST, {"until": horizon_us, "after": EARLY, "now": to_micros(now)})
    finally:
        engine.close()
    values = np.full(len(table), np.nan)
    values[found["n"].to_numpy()] = found["o_value"].to_numpy()
    return values


def _rows(
    events: Path, model: str, start: datetime, end: datetime, columns: Sequence[str], *, shadows: bool = False
) -> pa.Table:
    paths = [str(part.path) for part in list_parts(model_directory(events, model))]
    if not paths:
        return _SCHEMA.empty_table().select(list(columns))
    inside = (ds.field("time") >= pa.scalar(start, MOMENT)) & (ds.field("time") < pa.scalar(end, MOMENT))
    asked = ds.field("arm").is_valid() if shadows else (ds.field("arm") != SHADOW) & ds.field("arm").is_valid()
    return ds.dataset(paths, schema=_SCHEMA).to_table(columns=list(columns), filter=inside & asked)


def _thinned(table: pa.Table) -> pa.Table:
    if len(table) <= MOST_ROWS:
        return table
    return table.take(np.linspace(0, len(table) - 1, MOST_ROWS).astype(np.int64))


def _column(values: list[Any]) -> pa.Array | None:
    """Numbers if all of them are; booleans and text as text."""
    known = [value for value in values if value is not None]
    if any(isinstance(value, list | dict) for value in known):
        return None
    if known and all(isinstance(value, int | float) and not isinstance(value, bool) for value in known):
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    return pa.array([None if value is None else str(value) for value in values], pa.string())


def _insert(engine: DuckEngine, name: str, columns: dict[str, Any]) -> None:
    table = pa.table(columns)
    engine.create(name, table.schema)
    engine.insert(name, table)
