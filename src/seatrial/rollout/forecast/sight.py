"""What each step would see of each guardrail in the plan's own time: the smallest change it finds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from seatrial.rollout.exact import DEFAULT_MARGIN
from seatrial.rollout.forecast.rare import smallest_increase, units_to_pass
from seatrial.rollout.forecast.reach import POWER, Clock
from seatrial.rollout.forecast.traffic import DAY, Traffic
from seatrial.rollout.metric import Metric
from seatrial.rollout.plan import Plan
from seatrial.rollout.stages import Stage, compile_stages
from seatrial.stats.sequential import planned_information
from seatrial.values import Margin

BLIND = 25.0
"""A relative worsening by e to this power is nothing that anybody plans to find."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What one step sees of one metric, everything before it included.

    ``detectable``: the smallest worsening found with the wanted power by the end of the step (relative or absolute like
    the margin; None when nothing is seen). ``margin_days``: days at this step's split alone until a loss of the margin
    is excluded for a candidate that is as good as the champion. ``chance``: the probability that the worsening that was
    asked about is found by the end of the step.
    """

    stage: str
    metric: str
    days: float
    exposures: int
    detectable: float | None
    margin: float
    margin_days: float | None
    scale: str
    note: str = ""
    chance: float | None = None


def sights(
    plan: Plan, traffic: Mapping[str, Traffic], effect: float | None = None, *, power: float = POWER
) -> list[Sight]:
    """One row a canary step and guardrail, for the guardrails whose traffic is known.

    ``effect``: the size of a worsening to ask about, in the unit of each margin (0.02: 2% or 2 points).
    """
    rows: list[Sight] = []
    for metric in plan.guardrails:
        if (seen := traffic.get(metric.name)) is None:
            continue
        information = units = 0.0
        for stage in compile_stages(plan):
            if stage.kind != "canary":
                continue
            days = stage.min_duration / DAY
            information += days * information_per_day(metric, seen, stage.weight / 10_000)
            units += days * seen.units_per_day * stage.weight / 10_000
            if metric.rare:
                rows.append(_rare(plan, metric, seen, stage, units, power))
            else:
                rows.append(_sums(plan, metric, seen, stage, information, effect, power))
    return rows


def margin_of(metric: Metric) -> Margin:
    """The margin that gates use: a signal without one gets the default of its kind."""
    return metric.margin or (DEFAULT_MARGIN if metric.rare else Margin(0.05, "relative"))


def edge(margin: Margin, better: str) -> float:
    """A loss of the margin on the scale it is judged on: of logarithms if relative, negative where higher is better."""
    sign = -1.0 if better == "increase" else 1.0
    return sign * margin.value if margin.scale == "absolute" else math.log1p(sign * margin.value)


def natural(size: float, margin: Margin, better: str) -> float:
    """The size of a worsening in the unit of the margin, from the size on the judged scale: the inverse of `edge`."""
    if margin.scale == "absolute":
        return abs(size)
    return -math.expm1(-abs(size)) if better == "increase" else math.expm1(abs(size))


def information_per_day(metric: Metric, seen: Traffic, share: float) -> float:
    """1/V of the difference that a day at this split adds, on the scale of the margin: w (1 - w) n / variance.

    Strata add up because they are weighted by Mantel and Haenszel (stats.clustered).
    """
    variance = seen.unit_variance(margin_of(metric).scale)
    return seen.exposures_per_day * share * (1 - share) / variance if variance > 0 else 0.0


def pairs_per_day(seen: Traffic, share: float) -> float:
    """Information about a loss on pairs that one day of a shadow at this share adds; zero before there was one."""
    return seen.exposures_per_day * share / seen.pair_variance if seen.pair_variance else 0.0


def promotion(plan: Plan, metric: Metric) -> Clock:
    """The test that must pass, on the clock of the margin."""
    return Clock(_planned(metric), plan.alpha.promotion)


def rollback(plan: Plan, metric: Metric) -> Clock:
    """The test that finds harm, at the guardrail's share of the budget."""
    return Clock(_planned(metric), plan.budget()[metric.name, "live"])


def _planned(metric: Metric) -> float:
    return planned_information(edge(margin_of(metric), metric.better))


def _sums(
    plan: Plan, metric: Metric, seen: Traffic, stage: Stage, information: float, effect: float | None, power: float
) -> Sight:
    margin, harm = margin_of(metric), rollback(plan, metric)
    line = 0.0 if metric.fail_on == "harm" else abs(edge(margin, metric.better))
    found = harm.detectable(information, power) + line
    asked = None if effect is None else abs(edge(Margin(effect, margin.scale).times(1.0), metric.better)) - line
    per_day = information_per_day(metric, seen, stage.weight / 10_000)
    wanted = promotion(plan, metric).needed(edge(margin, metric.better), power)
    return Sight(
        stage=stage.name,
        metric=metric.name,
        days=stage.min_duration / DAY,
        exposures=_exposures(seen, stage),
        detectable=natural(found, margin, metric.better) if _sees(found, margin) else None,
        margin=margin.value,
        margin_days=wanted / per_day if per_day > 0 else None,
        scale=margin.scale,
        chance=None if asked is None or information <= 0 else harm.power(asked, information) if asked > 0 else 0.0,
    )


def _rare(plan: Plan, metric: Metric, seen: Traffic, stage: Stage, units: float, power: float) -> Sight:
    margin, share = margin_of(metric), stage.weight / 10_000
    alpha = plan.budget()[metric.name, "live"]
    found = smallest_increase(units, seen.rate, share, alpha=alpha, power=power)
    if found is not None and margin.scale == "relative":
        found /= seen.rate
    wanted = units_to_pass(margin, seen.rate, share, alpha=plan.alpha.promotion, power=power)
    per_day = seen.units_per_day * share
    event = "without the event" if seen.rate == 0 else f"if {seen.rate:.2%} of them meet the event"
    return Sight(
        stage=stage.name,
        metric=metric.name,
        days=stage.min_duration / DAY,
        exposures=_exposures(seen, stage),
        detectable=found,
        margin=margin.value,
        margin_days=wanted / per_day if per_day > 0 and math.isfinite(wanted) else None,
        scale=margin.scale,
        note=f"exact on units: passes after about {wanted:,.0f} canary units {event}"
        if math.isfinite(wanted)
        else "exact on units: a relative margin needs events",
    )


def _sees(found: float, margin: Margin) -> bool:
    return math.isfinite(found) and (margin.scale == "absolute" or found < BLIND)


def _exposures(seen: Traffic, stage: Stage) -> int:
    return round(seen.exposures_per_day * stage.min_duration / DAY * stage.weight / 10_000)
