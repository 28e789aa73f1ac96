"""Which share should the canary have? The same question at several shares: how long, how many users, how much harm."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from seatrial.rollout.forecast.needs import Slot, need
from seatrial.rollout.forecast.reach import POWER
from seatrial.rollout.forecast.sight import edge, information_per_day, margin_of, promotion
from seatrial.rollout.forecast.traffic import DAY, Traffic
from seatrial.rollout.metric import Metric
from seatrial.rollout.plan import Plan
from seatrial.rollout.stages import Stage, compile_stages

SHARES = (0.01, 0.05, 0.10, 0.25, 0.50)
WEEK = 7.0


@dataclass(frozen=True, slots=True)
class ShareRow:
    """One canary stage at one share that excludes the margin of every guardrail.

    ``days``: until it does, with the wanted power; ``whole_days``: the same in whole weeks where the traffic has them.
    ``exposures`` and ``units`` of the canary by then, and ``harm``: what the assumed worsening, never found, would have
    cost them, in the metric's own unit (clicks that were not made). ``slowest``: the guardrail that takes longest.
    Infinite days have no exposures: None.
    """

    share: float
    days: float
    whole_days: float
    slowest: str
    exposures: float | None
    units: float | None
    harm: float | None
    in_time: bool


@dataclass(frozen=True, slots=True)
class Shares:
    """The table, and the row that is recommended (None if no share answers in time) with its reason.

    ``effect``: the worsening of ``metric`` that harm is counted for, relative or absolute by ``scale``.
    """

    metric: str
    effect: float
    scale: str
    rows: tuple[ShareRow, ...]
    recommended: ShareRow | None
    reason: str


def shares(
    plan: Plan,
    traffic: Mapping[str, Traffic],
    *,
    power: float = POWER,
    weekly: bool = True,
    effect: float | None = None,
    asked: Sequence[float] = SHARES,
) -> Shares:
    """``effect``: the worsening that harm is counted for, in the unit of each margin; the margin itself without it."""
    known = [metric for metric in plan.guardrails if metric.name in traffic]
    judged = next((metric for metric in known if not metric.rare), known[0])
    margin = margin_of(judged)
    size = margin.value if effect is None else effect
    seen = traffic[judged.name]
    cost = size if margin.scale == "absolute" else size * abs(seen.rate)
    rows = tuple(_row(plan, traffic, share, power, weekly, (judged, cost)) for share in asked)
    return Shares(judged.name, size, margin.scale, rows, *_recommend(plan, rows, weekly))


def passing_chance(plan: Plan, traffic: Mapping[str, Traffic], share: float, days: float) -> float:
    """Probability that a candidate as good as the champion has excluded the margin by then: least of the guardrails."""
    chances = []
    for metric in plan.guardrails:
        if metric.rare or (seen := traffic.get(metric.name)) is None:
            continue
        matured = days - (0.0 if metric.horizon is None else metric.horizon.seconds / DAY)
        information = information_per_day(metric, seen, share) * max(matured, 0.0)
        chances.append(promotion(plan, metric).power(edge(margin_of(metric), metric.better), information))
    return min(chances, default=0.0)


def power_curves(
    plan: Plan, traffic: Mapping[str, Traffic], told: Shares, points: int = 96
) -> dict[float, list[tuple[float, float]]]:
    """`passing_chance` of every share over the days of the slowest that is in time; empty without sums to judge."""
    if all(metric.rare or metric.name not in traffic for metric in plan.guardrails):
        return {}
    end = max((row.whole_days for row in told.rows if row.in_time), default=plan.deadline.seconds / DAY)
    days = [end * (i + 1) / points for i in range(points)]
    return {row.share: [(day, passing_chance(plan, traffic, row.share, day)) for day in days] for row in told.rows}


def whole_weeks(days: float) -> float:
    """At least one; a few minutes beyond the last do not make another."""
    return WEEK * max(math.ceil(days / WEEK - 1e-3), 1) if math.isfinite(days) else math.inf


def _row(
    plan: Plan, traffic: Mapping[str, Traffic], share: float, power: float, weekly: bool, harm: tuple[Metric, float]
) -> ShareRow:
    """``harm``: the metric it is counted in, and what it costs one of its exposures (one of its units if rare)."""
    slot = Slot(Stage(0, "canary", round(share * 10_000), 0), 0.0, math.inf)
    known = [metric for metric in plan.guardrails if metric.name in traffic]
    needs = [need(plan, metric, traffic[metric.name], [slot], last=True, power=power) for metric in known]
    slowest = max(needs, key=lambda n: n.days)
    if not math.isfinite(slowest.days):
        return ShareRow(share, math.inf, math.inf, slowest.metric, None, None, None, False)
    whole = whole_weeks(slowest.days) if weekly else slowest.days
    judged, cost = harm
    seen = traffic[judged.name]
    exposures, units = (whole * per_day * share for per_day in (seen.exposures_per_day, seen.units_per_day))
    lost = cost * (units if judged.rare else exposures)
    in_time = whole * DAY <= plan.deadline.seconds
    return ShareRow(share, slowest.days, whole, slowest.metric, exposures, units, lost, in_time)


def _recommend(plan: Plan, rows: Sequence[ShareRow], weekly: bool) -> tuple[ShareRow | None, str]:
    """The smallest share that answers in the time the canary takes anyway, else the one that answers first."""
    possible = [row for row in rows if row.in_time]
    if not possible:
        return None, "no share excludes the margin before the deadline"
    canary = sum(s.min_duration for s in compile_stages(plan) if s.kind == "canary") / DAY
    first = min(row.whole_days for row in possible)
    allowed = max(first, canary)
    best = min((row for row in possible if row.whole_days <= allowed), key=lambda row: row.share)
    if best.whole_days <= first:
        binds = " (whole weeks bind)" if weekly else ""
        why = f"no larger share answers sooner{binds}, and each exposes more users"
    else:
        why = f"it answers within the {canary:g} days that the plan's canary takes anyway"
    smaller = [row for row in rows if row.share < best.share]
    more = "; a smaller one needs longer for about as many exposures" if smaller else ""
    return best, why + more
