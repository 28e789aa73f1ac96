"""When outcomes are ripe: the earliest decision of a plan, and how much of each day's exposures has matured.

A *cohort* is what was first exposed on one day of the canary, counted from its first exposure: day 1, day 2, ...
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from seatrial.rollout.metric import Metric
from seatrial.rollout.plan import Plan
from seatrial.rollout.stages import compile_stages
from seatrial.rollout.state import RolloutState

DAY = timedelta(days=1)

State = Literal["immature", "partially_mature", "mature"]


@dataclass(frozen=True, slots=True)
class Earliest:
    """Days after the canary's first exposure at which the first cohort, and all of them, can be judged."""

    first: float
    every: float

    def __str__(self) -> str:
        return f"day {math.ceil(self.first)} for the first cohort, day {math.ceil(self.every)} for all"


@dataclass(frozen=True, slots=True)
class Cohort:
    """One day of first exposures; ``matured`` is the part of its time that is older than the horizon."""

    day: int
    start: datetime
    end: datetime
    matured: float


@dataclass(frozen=True, slots=True)
class Maturity:
    """How ripe a metric is at a moment; ``immature`` while nothing of the first cohort is."""

    state: State
    cohorts: tuple[Cohort, ...]


def earliest(plan: Plan, metric: Metric) -> Earliest | None:
    """The earliest decision of a metric if the canary lasts as long as its pauses; None without horizon or canary.

    >>> from seatrial.rollout.plan import Pause, Step
    >>> from seatrial.values import Duration, Share
    >>> steps = (Step(set_weight=Share.parse("10%")), Step(pause=Pause(duration=Duration.parse("3d"))))
    >>> returns = Metric(name="returns", kind="proportion", outcome="returned", horizon=Duration.parse("7d"))
    >>> str(earliest(Plan(name="p", steps=steps, metrics=(returns,)), returns))
    'day 8 for the first cohort, day 10 for all'
    """
    canary = [stage.min_duration for stage in compile_stages(plan) if stage.kind == "canary"]
    if metric.horizon is None or not canary:
        return None
    day, horizon, lasts = DAY.total_seconds(), metric.horizon.seconds, sum(canary)
    return Earliest((min(day, lasts) + horizon) / day, (lasts + horizon) / day)


def outlasts(plan: Plan, metric: Metric) -> bool:
    """Whether outcomes take longer than some canary step lasts, so that no gate there could wait for them."""
    if metric.horizon is None:
        return False
    steps = [stage.min_duration for stage in compile_stages(plan) if stage.kind == "canary"]
    return any(0 < lasts < metric.horizon.seconds for lasts in steps)


def enrolment(state: RolloutState) -> tuple[datetime, datetime | None] | None:
    """From the canary's first exposure to the end of the rollout (None while it runs); None if there was no canary."""
    phases = state.phases[:-1] if state.over else state.phases
    start = next((phase.started for phase in phases if phase.weight), None)
    return None if start is None else (start, state.phase.started if state.over else None)


def maturity(metric: Metric, state: RolloutState, now: datetime) -> Maturity | None:
    """How ripe each cohort is at ``now``; None for a metric without horizon, and before the canary."""
    window = enrolment(state)
    if metric.horizon is None or window is None:
        return None
    cohorts = tuple(_cohorts(*window, now, metric.horizon.delta))
    if not cohorts:
        return Maturity("immature", ())
    ripe = [cohort.matured for cohort in cohorts]
    found: State = "mature" if min(ripe) >= 1 else "immature" if max(ripe) <= 0 else "partially_mature"
    return Maturity(found, cohorts)


def _cohorts(start: datetime, end: datetime | None, now: datetime, horizon: timedelta) -> Iterator[Cohort]:
    day = 1
    while start < (now if end is None else end):
        until = start + DAY if end is None else min(start + DAY, end)
        yield Cohort(day, start, until, min(max((now - horizon - start) / (until - start), 0.0), 1.0))
        start, day = until, day + 1
