"""The champion's exposures one by one, with what became of each: what releases are resampled from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from seatrial.engines.duck import DuckEngine
from seatrial.engines.expressions import CLIP, EARLY, MAX_SIZE
from seatrial.errors import NotFound
from seatrial.events.parts import fit, list_parts, model_directory, read_parts
from seatrial.events.schema import OUTCOME_SCHEMA
from seatrial.evidence.tally import MICRO
from seatrial.ids import CHAMPION
from seatrial.rollout.metric import RARE_KINDS, Metric
from seatrial.rollout.plan import Plan
from seatrial.rollout.simulate.feed import Bools, Floats, Ints
from seatrial.rollout.simulate.records import Recorded, Values

_DAY = 86_400.0
_SHARE_KINDS = RARE_KINDS | {"missing_outcomes"}
_MOMENT = pa.timestamp("us", tz="UTC")
_COLUMNS = pa.schema(
    [
        ("row", pa.int32()),
        ("outcome_key", pa.string()),
        ("arm", pa.string()),
        ("unit", pa.string()),
        ("time", _MOMENT),
        ("error", pa.bool_()),
        ("latency_us", pa.int64()),
        ("score", pa.float64()),
    ]
)

_BEST = """
SELECT n, o_value FROM keyed JOIN outcomes
  ON k = o_key AND o_received <= t + $until AND o_time <= t + $until AND o_received > t - $after
QUALIFY row_number() OVER (PARTITION BY n ORDER BY o_revision DESC, o_time DESC, o_value DESC) = 1
"""
"""The outcome that counts of each exposure: as in engines.expressions, known within the horizon."""


@dataclass(frozen=True)
class Exposures:
    """Exposures, and how many: ``rows`` of ``units`` in ``days``; ``cut`` were younger than the longest horizon."""

    recorded: Recorded
    rows: int
    units: int
    days: int
    cut: int


def exposures(events_dir: Path, outcomes_dir: Path, plan: Plan, model: str) -> Exposures:
    """The champion's exposures of a model with the metrics of a plan (of rollout.simulate.plan).

    NotFound (ST0265) where the log has none. Units that come without an id are in no arm, and left out; so is what had
    not matured when the log ends.
    """
    table = _read(model_directory(events_dir, model))
    table = table.filter(pc.and_(pc.equal(table["arm"], CHAMPION), pc.is_valid(table["unit"])))
    longest = max((m.horizon.seconds for m in plan.metrics if m.horizon), default=0.0)
    moments = table["time"].cast(pa.int64()).to_numpy()
    mature = moments <= (moments.max() if len(moments) else 0) - round(longest * MICRO)
    table = table.filter(pa.array(mature))
    if not len(table):
        raise NotFound(
            "ST0265",
            f"the log of '{model}' has no exposure of a champion's unit that is older than the longest horizon.",
            remedy="Send requests with the unit's header first, or declare a population with --traffic.",
        )
    codes = pc.dictionary_encode(table["unit"].combine_chunks()).indices
    order = np.lexsort((table["time"].cast(pa.int64()).to_numpy(), codes.to_numpy()))
    table = table.take(pa.array(order))
    unit = codes.to_numpy()[order].astype(np.int64)
    outcomes = read_parts(list_parts(model_directory(outcomes_dir, model)), OUTCOME_SCHEMA)
    recorded = _Columns(table, outcomes).recorded(plan, unit)
    return Exposures(recorded, len(table), recorded.units, recorded.days, int((~mature).sum()))


def _read(directory: Path) -> pa.Table:
    """The columns that are needed: features are most of a log."""
    tables = []
    for part in list_parts(directory):
        with pq.ParquetFile(part.path) as file:
            present = set(file.schema_arrow.names)
            tables.append(fit(file.read(columns=[n for n in _COLUMNS.names if n in present]), _COLUMNS))
    return pa.concat_tables(tables) if tables else _COLUMNS.empty_table()


class _Columns:
    """Exposures in the order of their units, and the outcomes that may belong to them."""

    def __init__(self, table: pa.Table, outcomes: pa.Table) -> None:
        self._table, self._outcomes = table, outcomes
        self._time: Ints = table["time"].cast(pa.int64()).to_numpy()
        self._request: Bools = np.asarray(table["row"].to_numpy() == 0)
        self._score: Floats = table["score"].to_numpy()

    def recorded(self, plan: Plan, unit: Ints) -> Recorded:
        seconds = self._time / MICRO
        midnight = float(seconds.min() // _DAY * _DAY)
        days = int((seconds.max() - midnight) // _DAY) + 1
        rare = {m.name: self._bad(m)[0] for m in plan.metrics if m.rare}
        judged = [m for m in plan.metrics if not m.rare or m.limit is not None]
        values = {metric.name: self._values(metric) for metric in judged}
        shares = frozenset(m.name for m in judged if m.kind in _SHARE_KINDS or _is_share(m, values[m.name]))
        return Recorded(seconds - midnight, unit, values, shares, rare, days)

    def _bad(self, metric: Metric) -> tuple[Bools, Bools]:
        """Requests that met a rare event, and those of which it is known."""
        if metric.kind == "error_rate":
            return self._request & self._table["error"].fill_null(False).to_numpy(), self._request
        latency = self._table["latency_us"]
        threshold = round((metric.threshold.seconds if metric.threshold else 0.0) * MICRO)
        return self._request & (
            latency.fill_null(0).to_numpy() > threshold
        ), self._request & latency.is_valid().to_numpy()

    def _values(self, metric: Metric) -> Values:
        if metric.kind in RARE_KINDS:
            bad, known = self._bad(metric)
            return _values(bad.astype(np.float64) * MICRO, known)
        found = [self._outcome(name, metric) for name in metric.outcomes]
        known = np.logical_and.reduce([~np.isnan(values) for values in found])
        if metric.kind == "missing_outcomes":
            return _values((~known).astype(np.float64) * MICRO, np.ones(len(known), dtype=bool))
        value = _loss(metric, self._score, found[0]) if metric.kind == "loss" else _capped(metric, found[0])
        if metric.kind == "loss":
            known = known & ~np.isnan(self._score)
        elif metric.missing != "exclude" and metric.kind != "ratio":
            worst = 1.0 if metric.missing == "fail" and metric.better == "decrease" else 0.0
            value, known = np.where(known, value, worst), np.ones(len(known), dtype=bool)
        over = _micro(np.where(known, found[1], 0.0)) if metric.kind == "ratio" else None
        return _values(np.where(known, value, 0.0) * MICRO, known, over)

    def _outcome(self, name: str, metric: Metric) -> Floats:
        """The outcome of each exposure that was known within the horizon; NaN for none."""
        records = self._outcomes.filter(pc.equal(self._outcomes["name"], name))
        engine = DuckEngine()
        try:
            _insert(
                engine, "keyed", {"n": np.arange(len(self._time)), "k": self._table["outcome_key"], "t": self._time}
            )
            _insert(engine, "outcomes", {
                "o_key": records["key"], "o_value": records["value"], "o_time": records["time"].cast(pa.int64()),
                "o_revision": records["revision"], "o_received": records["received_at"].cast(pa.int64()),
            })  # fmt: skip
            horizon = round((metric.horizon.seconds if metric.horizon else 0.0) * MICRO)
            found = engine.query(_BEST, {"until": horizon, "after": EARLY})
        finally:
            engine.close()
        values = np.full(len(self._time), np.nan)
        values[found["n"].to_numpy()] = found["o_value"].to_numpy()
        return values


def _insert(engine: DuckEngine, name: str, columns: Mapping[str, object]) -> None:
    table = pa.table(dict(columns))
    engine.create(name, table.schema)
    engine.insert(name, table)


def _values(numbers: Floats, known: Bools, over: Ints | None = None) -> Values:
    exact = np.clip(np.rint(numbers), -MAX_SIZE * MICRO, MAX_SIZE * MICRO).astype(np.int64)
    return Values(exact, exact, known, over)


def _micro(numbers: Floats) -> Ints:
    exact: Ints = np.rint(np.clip(numbers, -MAX_SIZE, MAX_SIZE) * MICRO).astype(np.int64)
    return exact


def _loss(metric: Metric, score: Floats, outcome: Floats) -> Floats:
    """As engines.expressions.loss."""
    if metric.loss == "log_loss":
        p = np.clip(score, CLIP, 1 - CLIP)
        loss: Floats = -(outcome * np.log(p) + (1 - outcome) * np.log1p(-p))
        return loss
    miss = score - outcome
    return np.abs(miss) if metric.loss == "absolute" else miss * miss


def _capped(metric: Metric, outcome: Floats) -> Floats:
    """As engines.expressions.capped."""
    return outcome if metric.cap is None else np.minimum(outcome, metric.cap)


def _is_share(metric: Metric, values: Values) -> bool:
    """Whether every known value is 0 or 1, so that a change of the rate turns some of them over."""
    known = values.champion[values.known]
    return metric.kind == "proportion" and bool(np.isin(known, (0, MICRO)).all())
