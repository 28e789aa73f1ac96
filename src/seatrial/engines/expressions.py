"""What evidence is, as Ibis expressions over exposures and outcomes: the same on every engine.

All times are microseconds since the epoch in 64-bit integers and all sums are whole millionths, so results are exact
and do not depend on the engine, on the order of rows or on how the log was split.

A look adds a window of its rollout: what became known at a time in (after, until]. The table of windows has one for
each rollout that is asked about; ``$after`` and ``$until`` bound them all, so that an engine skips what is far away.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import ibis
import ibis.expr.types as ir

from seatrial.evidence.tally import MICRO
from seatrial.rollout.metric import Among, Metric

MAX_SIZE = 1e9
"""A single value counts for at most this much, so that 64-bit sums of millionths hold."""

CLIP = 1e-15
"""Log loss takes probabilities within [1e-15, 1 - 1e-15]."""

EARLY = 30 * 86_400 * MICRO
"""An outcome may be received before its exposure, but not more than 30 days before."""

_SENTINELS = {
    "after": -4_611_686_018_427_387_001,
    "until": -4_611_686_018_427_387_002,
    "started": -4_611_686_018_427_387_003,
}

_QUOTED = r"""'(?:[^']|'')*'|"(?:[^"]|"")*\""""  # a name or a text of a plan, which may look like anything
_SENTINEL = re.compile(rf"{_QUOTED}|-\d{{19}}")
_PARAMETER = re.compile(rf"{_QUOTED}|\$(\w+)")
_PARAMETERS = {str(sentinel): f"${name}" for name, sentinel in _SENTINELS.items()}

EXPOSURES: Mapping[str, str] = {
    "eid": "int64",
    "request_id": "string",
    "row": "int64",
    "outcome_key": "string",
    "arm": "string",
    "phase": "int64",
    "unit": "string",
    "bucket": "int64",
    "t": "int64",
    "error": "boolean",
    "answered": "boolean",
    "latency": "int64",
    "score": "float64",
    "bin": "int64",
}
"""Rows of a rollout; ``eid`` numbers them, ``score`` is null unless the assigned version answered with one.

``bin`` is the score's place on the shadow grid (null if it has none). It is made when rows are read, as ``bucket`` is
made when they are written, because engines need not agree on the last digit of a logarithm.
"""

OUTCOMES: Mapping[str, str] = {
    "o_key": "string",
    "o_name": "string",
    "o_value": "float64",
    "o_time": "int64",
    "o_revision": "int64",
    "o_received": "int64",
}

WINDOWS: Mapping[str, str] = {"rollout": "int64", "after": "int64", "until": "int64", "started": "int64"}
"""What a look adds to each rollout, and when that started: its ticks are counted from there."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Ticks at ``started + k * step`` and time buckets of length ``bucket``, in microseconds."""

    step: int
    bucket: int

    def tick(self, moment: Any, started: Any) -> Any:
        """The first tick at or after a moment (the first of all for what came before)."""
        since = ibis.greatest(moment - started, ibis.literal(0, "int64"))
        return since + (self.step - since % self.step) % self.step + started

    def stratum(self, moment: Any) -> Any:
        """Start of the time bucket."""
        return moment - moment % self.bucket


def parameter(name: str) -> ir.IntegerScalar:
    """A time given when the statement runs."""
    return ibis.literal(_SENTINELS[name], "int64")


def compile_sql(expression: ir.Table, dialect: str = "duckdb") -> str:
    """SQL with the named parameters ``$after``, ``$until`` and ``$started``: compiled once, run at every look."""
    sql = str(ibis.to_sql(expression, dialect=dialect, pretty=False))
    return _SENTINEL.sub(lambda found: _PARAMETERS.get(found[0], found[0]), sql)


@lru_cache(maxsize=1024)
def parameters_of(sql: str) -> frozenset[str]:
    """Names of the parameters a statement has; what stands in quotes is not one.

    >>> sorted(parameters_of("SELECT 'it''s $until' AS \\"$started\\" WHERE t > $after"))
    ['after']
    """
    return frozenset(name for name in _PARAMETER.findall(sql) if name)


def in_window(rows: ir.Table, moment: Any) -> Any:
    """Whether a moment is in the window of the row's rollout."""
    return (moment > rows.after) & (moment <= rows.until)


def around_windows(moment: Any, *, before: int = 0, after: int = 0) -> Any:
    """Implied by the exact condition that follows it, and plain enough for an engine to skip what is far away."""
    return (moment > parameter("after") - before) & (moment <= parameter("until") + after)


def micro(value: Any) -> Any:
    """Whole millionths, halves away from zero."""
    size = ibis.greatest(ibis.least(value, MAX_SIZE), -MAX_SIZE)
    return (size * float(MICRO)).round().cast("int64")


def holds(condition: Any) -> Any:
    """Whether a condition holds; not where it is null."""
    return condition.fill_null(False)


def loss(metric: Metric, score: Any, outcome: Any) -> Any:
    """Loss of a score against an outcome."""
    if metric.loss == "log_loss":
        p = ibis.least(ibis.greatest(score, CLIP), 1.0 - CLIP)
        return -(outcome * p.ln() + (1.0 - outcome) * (1.0 - p).ln())
    miss = score - outcome
    return miss.abs() if metric.loss == "absolute" else miss * miss


def capped(metric: Metric, value: Any) -> Any:
    """A value, for as much as it counts."""
    return value if metric.cap is None else ibis.least(value, float(metric.cap))


def prompt_sums(metric: Metric, e: ir.Table) -> dict[str, Any]:
    """What a request adds to a metric known at once; of a batch only the first row counts.

    ``slow``, ``timed``: requests slower than the threshold, and those whose time is known (the client may have hung up
    before the request was routed). ``failed``: requests that the assigned version did not answer.
    """
    request = e.row == 0
    if metric.kind == "latency" and metric.threshold is not None:
        slow = e.latency > round(metric.threshold.seconds * MICRO)
        return {"timed": holds(request & e.latency.notnull()), "slow": holds(request & slow)}
    return {"failed": holds(request & e.error)} if metric.kind == "error_rate" else {}


def mature_sums(metric: Metric, e: ir.Table, value: Mapping[str, Any]) -> dict[str, Any]:
    """What a mature exposure adds; ``value`` has a nullable column for each outcome.

    ``inside``: exposures that the metric is ``among``, where it names any; only these count.
    ``found``: exposures with all outcomes (and, for a loss, a score); ``sum``: their values in millionths, losses of
    ``score`` and for pairs also of ``s_score`` (``s_sum``); ``over``: the denominator of a ratio.
    """
    values = [value[name] for name in metric.outcomes]
    found = values[0].notnull()
    for other in values[1:]:
        found = found & other.notnull()
    if metric.among is None:
        return _sums_where(metric, e, values, found)
    inside = among(metric.among, e.score)
    return {"inside": holds(inside), **_sums_where(metric, e, values, found & inside)}


def among(asked: Among, score: Any) -> Any:
    """Whether a version that gave this score decided so; null where it gave none."""
    below = score < float("inf" if asked.below is None else asked.below)
    return below & (score >= float("-inf" if asked.at_least is None else asked.at_least))


def _sums_where(metric: Metric, e: ir.Table, values: Sequence[Any], found: Any) -> dict[str, Any]:
    if metric.kind == "missing_outcomes":
        return {"found": holds(found)}
    if metric.kind != "loss":
        sums = {"found": holds(found), "sum": micro_where(found, capped(metric, values[0]))}
        return sums | {"over": micro_where(found, values[1])} if metric.kind == "ratio" else sums
    found = found & e.score.notnull()
    paired = "s_score" in e.columns
    found = found & e.s_score.notnull() if paired else found
    sums = {"found": holds(found), "sum": micro_where(found, loss(metric, e.score, values[0]))}
    return sums | {"s_sum": micro_where(found, loss(metric, e.s_score, values[0]))} if paired else sums


def micro_where(condition: Any, value: Any) -> Any:
    """Whole millionths where a condition holds, else 0."""
    return ibis.ifelse(condition, micro(value), 0)


def cross_sums(rows: ir.Table, clock: Clock, by: Sequence[str], sums: Mapping[str, Any], **more: Any) -> ir.Table:
    """Sums per stratum and ``by``; of a condition, how often it holds, which is faster to count than to sum.

    Dimensions stay crossed here; they are summed out one by one when they are kept.
    """
    keyed = rows.mutate(stratum=clock.stratum(rows.t), **sums)
    totals = {name: count_if(keyed[name]) if keyed[name].type().is_boolean() else keyed[name].sum() for name in sums}
    return keyed.group_by(["stratum", *by]).agg(**totals, **{name: make(keyed) for name, make in more.items()})


@ibis.udf.agg.builtin(signature=(("boolean",), "int64"))
def count_if(condition):  # type: ignore[no-untyped-def]
    """How often a condition holds, as DuckDB and Spark count it themselves: faster than to filter for each count."""


def segment_column(name: str) -> str:
    return f"seg_{name}"


_OF_THE_JOIN = frozenset({"outcome_key", "due", "deadline"})


def with_outcomes(rows: ir.Table, outcomes: ir.Table, names: Sequence[str]) -> ir.Table:
    """Rows with the outcomes known when they are due, as columns ``value_0``, ``value_1``, ...

    Rows have ``eid``, ``due`` (the tick at which they mature) and ``deadline`` (until when an outcome counts). Of
    several records the highest revision wins, then the latest time, then the largest value.
    """
    for n, name in enumerate(names):
        last = n == len(names) - 1
        records = outcomes.filter(outcomes.o_name == name)
        known = rows.left_join(
            records,
            [
                rows.rollout == records.o_rollout,
                rows.outcome_key == records.o_key,
                records.o_received <= rows.due,
                records.o_time <= rows.deadline,
                records.o_received > rows.t - EARLY,
            ],
        )
        order = ibis.struct({"revision": known.o_revision, "time": known.o_time, "value": known.o_value})
        keep = [kept for kept in rows.columns if kept != "eid" and not (last and kept in _OF_THE_JOIN)]
        same = {kept: known[kept].arbitrary() for kept in keep}
        rows = known.group_by("eid").agg(**same, **{f"value_{n}": known.o_value.argmax(order)})
    return rows
