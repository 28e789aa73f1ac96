"""What a stage waits for: every sample and every span of time, as days from its beginning. The longest binds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from seatrial.rollout.forecast.rare import units_to_pass
from seatrial.rollout.forecast.sight import edge, information_per_day, margin_of, pairs_per_day, promotion
from seatrial.rollout.forecast.traffic import DAY, Traffic
from seatrial.rollout.metric import SHARE_KINDS, Metric
from seatrial.rollout.plan import Plan
from seatrial.rollout.stages import Stage
from seatrial.rollout.start_rule import (
    MAX_SKEWNESS,
    MIN_EXPECTED_EVENTS,
    MIN_UNITS_CONTINUOUS,
    MIN_UNITS_PROPORTION,
    remedy,
)

By = Literal["sample", "start rule", "units", "outcomes", "pairs", "maturity", "pause", "week"]
CALENDAR: frozenset[str] = frozenset({"maturity", "pause", "week"})
"""Constraints that more traffic does not shorten."""


@dataclass(frozen=True, slots=True)
class Constraint:
    """One thing a stage waits for: ``days`` from its beginning, infinite if it never comes; ``metric``: whose it is."""

    by: By
    days: float
    text: str
    metric: str = ""

    @property
    def kind(self) -> Literal["sample", "calendar"]:
        return "calendar" if self.by in CALENDAR else "sample"


@dataclass(frozen=True, slots=True)
class Slot:
    """A stage in time, in days since the release began; ``end`` is infinite while it is not known."""

    stage: Stage
    start: float
    end: float

    @property
    def share(self) -> float:
        return (self.stage.mirrored if self.stage.kind == "shadow" else self.stage.weight) / 10_000


@dataclass(frozen=True, slots=True)
class Need:
    """What one guardrail needs to let a stage end: the loss it must exclude there, and how much that takes.

    ``days``: from the beginning of the stage until it passes with the wanted power, with what came before; infinite if
    it never does. ``candidate``: exposures or units (``of``) of the candidate in this stage by then.
    """

    metric: str
    bound: float
    scale: str
    days: float
    candidate: float
    of: Literal["exposures", "units"]


def need(plan: Plan, metric: Metric, seen: Traffic, slots: Sequence[Slot], *, last: bool, power: float) -> Need:
    """What a guardrail needs in the last of ``slots``.

    Evidence of all stages of a kind counts together, but for rare events on a canary with an absolute margin: they are
    held against the units of the present stage (rollout.exact).
    """
    stage = slots[-1].stage
    bound = margin_of(metric).times(1.0 if last else stage.tolerance)
    kin = [slot for slot in slots if slot.stage.kind == stage.kind]
    horizon = 0.0 if metric.horizon is None else metric.horizon.seconds / DAY
    if metric.rare:
        wanted = units_to_pass(
            bound, seen.rate, slots[-1].share, alpha=plan.alpha.promotion, power=power, paired=stage.kind == "shadow"
        )
        own = slots[-1:] if stage.kind == "canary" and bound.scale == "absolute" else kin
        days = reached(wanted, [seen.units_per_day * slot.share for slot in own], own)
        return Need(metric.name, bound.value, bound.scale, days, days * seen.units_per_day * slots[-1].share, "units")
    wanted = promotion(plan, metric).needed(edge(bound, metric.better), power)
    shadow = stage.kind == "shadow"
    rates = [pairs_per_day(seen, s.share) if shadow else information_per_day(metric, seen, s.share) for s in kin]
    days = reached(wanted, rates, kin, horizon)
    sampled = max(days - horizon, 0.0)
    candidate = sampled * seen.exposures_per_day * slots[-1].share
    return Need(metric.name, bound.value, bound.scale, days, candidate, "exposures")


def constraints(
    plan: Plan, traffic: Mapping[str, Traffic], slots: Sequence[Slot], needs: Sequence[Need]
) -> Iterator[Constraint]:
    """Everything the last of ``slots`` waits for but the calendar's weeks."""
    slot, stage = slots[-1], slots[-1].stage
    kin = [s for s in slots if s.stage.kind == stage.kind]
    metrics = {metric.name: metric for metric in plan.guardrails}
    for n in needs:
        yield from _of_guardrail(metrics[n.metric], traffic[n.metric], kin, n)
    some = next(iter(traffic.values()), None)
    if some is None:
        return
    who = "shadow" if stage.kind == "shadow" else "canary"
    units = reached(stage.min_units, [some.units_per_day * s.share for s in kin], kin)
    yield Constraint("units", units, f"{stage.min_units:,} {who} units")
    if stage.kind == "shadow":
        pairs = reached(stage.min_pairs, [some.exposures_per_day * s.share for s in kin], kin)
        yield Constraint("pairs", pairs, f"{stage.min_pairs:,} pairs")
    elif stage.min_outcomes:
        for metric in plan.guardrails:
            if metric.horizon is not None and metric.name in traffic:
                rates = [traffic[metric.name].exposures_per_day * s.share for s in kin]
                days = reached(stage.min_outcomes, rates, kin, metric.horizon.seconds / DAY)
                yield Constraint("outcomes", days, f"{stage.min_outcomes:,} outcomes", metric.name)
    yield Constraint("pause", slot.stage.min_duration / DAY, "the plan's own pause")


def reached(wanted: float, per_day: Sequence[float], slots: Sequence[Slot], horizon: float = 0.0) -> float:
    """Days from the beginning of the last slot until so much has come and matured; zero if it had before."""
    left = wanted
    for rate, slot in zip(per_day, slots, strict=True):
        final = slot is slots[-1]
        gain = math.inf if final and rate > 0 else 0.0 if final else rate * (slot.end - slot.start)
        if left <= gain:
            done = slot.start + (left / rate if rate > 0 else 0.0) + horizon
            return max(done - slots[-1].start, 0.0)
        left -= gain
    return math.inf


def _of_guardrail(metric: Metric, seen: Traffic, kin: Sequence[Slot], n: Need) -> Iterator[Constraint]:
    """Its sample; its maturity where waiting for outcomes takes longer than collecting exposures; its start rule."""
    horizon = 0.0 if metric.horizon is None else metric.horizon.seconds / DAY
    waits = 0 < n.days < math.inf and horizon > n.days - horizon
    bound = f"{100 * n.bound:.3g}%" if n.scale == "relative" else f"{n.bound:.3g} absolute"
    text = f"{metric.name} excludes a loss of {bound}"
    if waits:
        yield Constraint("maturity", n.days, f"{text}: outcomes mature after {metric.horizon}", metric.name)
    else:
        yield Constraint("sample", n.days, text, metric.name)
    if metric.rare:
        return
    share = metric.kind in SHARE_KINDS
    units = MIN_UNITS_PROPORTION if share else MIN_UNITS_CONTINUOUS
    days = reached(units, [seen.units_per_day * s.share for s in kin], kin, horizon)
    if share:
        events = MIN_EXPECTED_EVENTS / max(min(seen.rate, 1 - seen.rate), 1e-12)
        days = max(days, reached(events, [seen.exposures_per_day * s.share for s in kin], kin, horizon))
    yield Constraint("start rule", days, f"{metric.name}: the statistics' start rule", metric.name)
    if seen.skewness and kin[0].stage.kind == "canary":
        text = f"{metric.name}: a few large values carry the mean: more exposures{remedy(metric)}"
        yield Constraint("start rule", evened(seen, kin) + horizon, text, metric.name)


def evened(seen: Traffic, kin: Sequence[Slot]) -> float:
    """Days from the beginning of the last slot until the estimate's skewness is at most ``MAX_SKEWNESS``.

    n exposures at a share w add ``J = n w (1 - w)`` to the information and ``J (1 - 2 w)`` to the third moment, in
    units of one exposure: the skewness is that of one exposure times the sum of the latter over ``(sum J)^1.5``. Strata
    are weighted by their information (stats.clustered). Infinite where the last slot adds nothing.
    """
    weights = [seen.exposures_per_day * slot.share * (1 - slot.share) for slot in kin]
    gone = [rate * (slot.end - slot.start) for rate, slot in zip(weights[:-1], kin[:-1], strict=True)]
    tilt = sum(amount * (1 - 2 * slot.share) for amount, slot in zip(gone, kin[:-1], strict=True))

    def skewness(days: float) -> float:
        information = sum(gone) + weights[-1] * days
        third = tilt + weights[-1] * days * (1 - 2 * kin[-1].share)
        return math.inf if information <= 0 else abs(seen.skewness * third) / information**1.5

    if skewness(0.0) <= MAX_SKEWNESS:
        return 0.0
    if weights[-1] <= 0:
        return math.inf
    days = 1e-6
    while skewness(days) > MAX_SKEWNESS:
        days *= 2
    low, high = days / 2, days
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if skewness(middle) > MAX_SKEWNESS else (low, middle)
    return high
