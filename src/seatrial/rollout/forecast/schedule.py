"""A plan on given traffic, stage by stage: how long each takes, and what binds it, the sample or the calendar."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from seatrial.rollout.forecast.needs import Constraint, Need, Slot, constraints, need
from seatrial.rollout.forecast.reach import POWER
from seatrial.rollout.forecast.refusals import refusals
from seatrial.rollout.forecast.shares import WEEK, Shares, shares, whole_weeks
from seatrial.rollout.forecast.sight import Sight, sights
from seatrial.rollout.forecast.textbook import Comparison, compare
from seatrial.rollout.forecast.traffic import DAY, Traffic
from seatrial.rollout.metric import Metric
from seatrial.rollout.plan import Plan
from seatrial.rollout.stages import Stage, compile_stages
from seatrial.rollout.validate import Problem

EVEN = 1.1
"""Weekdays whose exposures differ by less than this are alike."""


@dataclass(frozen=True, slots=True)
class StageForecast:
    """One stage, in days.

    ``pause``: the plan's own time; ``needed``: until every sample is there and has matured; ``lasts``: the longer of
    both, infinite if it never ends; ``recommended``: with whole weeks. ``binding`` is the longest constraint.
    """

    stage: str
    kind: Literal["shadow", "canary"]
    share: float
    starts: float
    pause: float
    needed: float
    lasts: float
    recommended: float
    binding: Constraint
    constraints: tuple[Constraint, ...]
    needs: tuple[Need, ...]


@dataclass(frozen=True, slots=True)
class Forecast:
    """All that is said of a plan beforehand. Days until everyone: ``days`` at the earliest, ``recommended`` in weeks.

    ``binding``: that of the stage that takes longest.
    """

    power: float
    weekly: bool
    rhythm: str
    stages: tuple[StageForecast, ...]
    sights: tuple[Sight, ...]
    comparisons: tuple[Comparison, ...]
    shares: Shares
    days: float
    recommended: float
    deadline: float
    binding: Constraint
    problems: tuple[Problem, ...]


def forecast(
    plan: Plan,
    traffic: Mapping[str, Traffic],
    *,
    effect: float | None = None,
    power: float = POWER,
    rhythm: Literal["auto", "weekly", "none"] = "auto",
) -> Forecast:
    """What the guardrails in ``traffic`` (at least one) mean for the plan. ``effect``: see `sights` and `shares`.

    ``rhythm``: whether whole weeks are recommended; by default unless the log shows that weekdays are alike.
    """
    weekly, why = _rhythm(traffic, rhythm)
    stages = _stages(plan, traffic, power, weekly)
    return Forecast(
        power=power,
        weekly=weekly,
        rhythm=why,
        stages=stages,
        sights=tuple(sights(plan, traffic, effect, power=power)),
        comparisons=tuple(compare(plan, traffic, power=power)),
        shares=shares(plan, traffic, power=power, weekly=weekly, effect=effect),
        days=sum(stage.lasts for stage in stages),
        recommended=sum(stage.recommended for stage in stages),
        deadline=plan.deadline.seconds / DAY,
        binding=max(stages, key=lambda stage: stage.recommended).binding,
        problems=tuple(refusals(plan, traffic, stages, power=power)),
    )


def _stages(plan: Plan, traffic: Mapping[str, Traffic], power: float, weekly: bool) -> tuple[StageForecast, ...]:
    slots: list[Slot] = []
    found: list[StageForecast] = []
    compiled = compile_stages(plan)
    for stage in compiled:
        start = slots[-1].end if slots else 0.0
        open_slots = [*slots, Slot(stage, start, math.inf)]
        last = stage is compiled[-1]
        needs = [
            need(plan, metric, traffic[metric.name], open_slots, last=last, power=power)
            for metric in plan.guardrails
            if metric.name in traffic and _judged(stage, metric, traffic[metric.name])
        ]
        told = _stage(stage, start, needs, [*constraints(plan, traffic, open_slots, needs)], slots, weekly, last)
        found.append(told)
        goes_on = told.lasts if math.isfinite(told.lasts) else told.pause
        slots.append(Slot(stage, start, start + goes_on))
    return tuple(found)


def _judged(stage: Stage, metric: Metric, seen: Traffic) -> bool:
    """Whether the stage waits for the metric, and it is known for how long: pairs only after a first shadow."""
    known = stage.kind == "canary" or metric.rare or (metric.pairs and seen.pair_variance is not None)
    return known and stage.watches(metric)


def _stage(
    stage: Stage,
    start: float,
    needs: Sequence[Need],
    found: Sequence[Constraint],
    before: Sequence[Slot],
    weekly: bool,
    last: bool,
) -> StageForecast:
    pause = stage.min_duration / DAY
    needed = max((c.days for c in found if c.by != "pause"), default=0.0)
    lasts = max(pause, needed)
    earlier = _canary_before(stage, start, before)
    weeks = weekly and (last or stage.kind == "shadow")
    week = [Constraint("week", max(WEEK - earlier, 0.0), "a whole week, weekends included")] if weeks else []
    every = (*week, *sorted(found, key=lambda c: -c.days))
    return StageForecast(
        stage=stage.name,
        kind=stage.kind,
        share=(stage.mirrored if stage.kind == "shadow" else stage.weight) / 10_000,
        starts=start,
        pause=pause,
        needed=needed,
        lasts=lasts,
        recommended=max(lasts, whole_weeks(earlier + needed) - earlier) if weeks else lasts,
        binding=max(every, key=lambda c: c.days),
        constraints=every,
        needs=tuple(needs),
    )


def _canary_before(stage: Stage, start: float, before: Sequence[Slot]) -> float:
    """Days that canary stages before this one have had: their evidence and their weekdays count with its own."""
    canary = [slot.start for slot in before if slot.stage.kind == "canary"]
    return start - canary[0] if canary and stage.kind == "canary" else 0.0


def _rhythm(traffic: Mapping[str, Traffic], asked: str) -> tuple[bool, str]:
    if asked != "auto":
        return asked == "weekly", "declared"
    seen = max((t.weekly for t in traffic.values() if t.weekly is not None), default=None)
    if seen is None:
        return True, "assumed: less than two whole weeks are known of this traffic"
    if seen < EVEN:
        return False, f"none: the busiest weekday has {seen:.2f} times the exposures of the quietest"
    return True, f"the busiest weekday has {seen:.2f} times the exposures of the quietest"
