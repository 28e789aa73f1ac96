"""What is followed after a rollout, and when: metrics whose outcomes outlast the canary, at the ripening of cohorts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from seatrial.rollout.maturity import DAY, enrolment, outlasts
from seatrial.rollout.metric import Metric
from seatrial.rollout.plan import Plan
from seatrial.rollout.state import RolloutState

RECONCILED_KINDS: frozenset[str] = frozenset({"proportion", "mean", "ratio"})
"""Kinds that a unit has a value of. What is known at once, or judged on single answers, is over with the rollout."""


@dataclass(frozen=True, slots=True)
class Due:
    """One reconciliation: ``day`` counts from the canary's first exposure, ``metrics`` are those whose turn it is."""

    at: datetime
    day: int
    metrics: tuple[str, ...]


def followed(plan: Plan) -> tuple[Metric, ...]:
    """Metrics that are reconciled: those that no canary step can wait for, and those that a surrogate stands in for."""
    meant = {metric.surrogate_of.metric for metric in plan.metrics if metric.surrogate_of is not None}
    return tuple(
        metric
        for metric in plan.metrics
        if metric.kind in RECONCILED_KINDS
        and metric.horizon is not None
        and (metric.name in meant or outlasts(plan, metric))
    )


def schedule(plan: Plan, state: RolloutState) -> tuple[Due, ...]:
    """When each metric is reconciled after a rollout that is over: as its first cohort has matured, and as all have.

    A three-day canary with a horizon of 7 days and one of 30 is reconciled on days 8, 10, 31 and 33.
    """
    start, end = enrolment(state) or (None, None)
    if start is None or end is None:
        return ()
    moments = sorted({at for metric in followed(plan) for at in _ripe(metric, start, end)})
    return tuple(
        Due(at, -((start - at) // DAY), tuple(m.name for m in followed(plan) if at in _ripe(m, start, end)))
        for at in moments
    )


def turns(plan: Plan, state: RolloutState, metric: Metric) -> int:
    """How many planned reconciliations a metric has."""
    return sum(metric.name in due.metrics for due in schedule(plan, state))


def surrogates(plan: Plan, metric: Metric) -> tuple[Metric, ...]:
    """The leading indicators of a metric."""
    return tuple(m for m in plan.metrics if m.surrogate_of is not None and m.surrogate_of.metric == metric.name)


def _ripe(metric: Metric, start: datetime, end: datetime) -> Iterator[datetime]:
    if metric.horizon is not None:
        yield min(start + DAY, end) + metric.horizon.delta
        yield end + metric.horizon.delta
