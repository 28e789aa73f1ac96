"""What a plan can see on given traffic, before it starts: the smallest change each step would find."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from seatrial.evidence.tally import COUNT, DENOMINATOR, MICRO, NUMERATOR, TOTAL, UNIT_BUCKETS, Tally
from seatrial.ids import CHAMPION
from seatrial.rollout.plan import Metric, Plan
from seatrial.rollout.stages import Stage, compile_stages
from seatrial.stats.counts import bernoulli_bounds
from seatrial.stats.power import detection_power, smallest_detectable
from seatrial.stats.sequential import planned_information
from seatrial.values import Margin

DAY = 86_400.0
POWER = 0.8


@dataclass(frozen=True, slots=True)
class Traffic:
    """What is known of a metric from the champion: its rate, how much there is of it, how noisy it is.

    ``variance``: of one exposure's contribution, clusters of units included (square of the metric's unit); the variance
    of a rate over n exposures is ``variance / n``.
    """

    rate: float
    exposures_per_day: float
    units_per_day: float
    variance: float


@dataclass(frozen=True, slots=True)
class Sight:
    """What one step sees of one metric, everything before it included.

    ``detectable``: the smallest worsening found with 80% power by the end of the step (relative or absolute like the
    margin; None when nothing is seen). ``margin_days``: days at this step's split until a loss of the margin is
    excluded for a candidate that is as good as the champion. ``chance``: the probability that the worsening that was
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


def observe(tally: Tally, days: float, units: int) -> Traffic | None:
    """Traffic of one metric from the champion's cells of a past rollout over ``days``; None if there are none.

    Variance by the linearised bucket jackknife of one arm (stats.clustered), so that returning units count as what
    they are: repeated, not new, evidence.
    """
    cells = [s for c, s in tally.cells.items() if c.arm == CHAMPION and c.segment == TOTAL]
    if not cells or days <= 0:
        return None
    sums = np.sum(cells, axis=0).astype(float)
    count, num, den = sums[:, COUNT].sum(), sums[:, NUMERATOR] / MICRO, sums[:, DENOMINATOR] / MICRO
    if den.sum() <= 0 or count < UNIT_BUCKETS:
        return None
    rate = num.sum() / den.sum()
    spread = (num - rate * den) / den.sum()
    variance = UNIT_BUCKETS / (UNIT_BUCKETS - 1) * float(np.sum(spread**2)) * count
    return Traffic(float(rate), float(count / days), units / days, float(variance))


def forecast(plan: Plan, traffic: Mapping[str, Traffic], effect: float | None = None) -> list[Sight]:
    """One row a canary step and guardrail, for the guardrails whose traffic is known.

    ``effect``: the size of a worsening to ask about, in the unit of each margin (0.02: 2% or 2 points).
    """
    rows: list[Sight] = []
    budget = plan.budget()
    for metric in plan.guardrails:
        seen = traffic.get(metric.name)
        if seen is None:
            continue
        information = 0.0
        for stage in compile_stages(plan):
            if stage.kind != "canary":
                continue
            days = stage.min_duration / DAY
            information += _information(metric, seen, stage, days)
            alpha = budget[metric.name, "live"]
            if metric.rare:
                rows.append(_rare(plan, metric, seen, stage, days))
            else:
                rows.append(_sums(metric, seen, stage, days, information, alpha, effect))
    return rows


def _sums(
    metric: Metric, seen: Traffic, stage: Stage, days: float, information: float, alpha: float, effect: float | None
) -> Sight:
    margin = metric.margin or Margin(0.05, "relative")
    se = 1 / math.sqrt(information) if information > 0 else None
    found = None if se is None else smallest_detectable(se, alpha=alpha, power=POWER)
    relative = margin.scale == "relative"
    asked = None if effect is None else math.log1p(effect) if relative else effect
    per_day = _information(metric, seen, stage, 1.0)
    return Sight(
        stage=stage.name,
        metric=metric.name,
        days=days,
        exposures=round(seen.exposures_per_day * days * stage.weight / 10_000),
        detectable=None if found is None else math.expm1(found) if relative else found,
        margin=margin.value,
        margin_days=_planned(metric, margin) / per_day if per_day > 0 else None,
        scale=margin.scale,
        chance=None if asked is None or se is None else detection_power(asked, se, alpha=alpha),
    )


def _planned(metric: Metric, margin: Margin) -> float:
    """Information at which a candidate equal to the champion passes with 80% power."""
    if margin.scale == "absolute":
        return planned_information(margin.value)
    return planned_information(math.log1p(-margin.value if metric.better == "increase" else margin.value))


def _information(metric: Metric, seen: Traffic, stage: Stage, days: float) -> float:
    """1/V of the difference after ``days`` at this split, on the scale of the margin."""
    w = stage.weight / 10_000
    exposures = seen.exposures_per_day * days
    if exposures <= 0 or seen.variance <= 0:
        return 0.0
    relative = metric.margin is None or metric.margin.scale == "relative"
    unit = seen.variance / seen.rate**2 if relative else seen.variance
    return exposures * w * (1 - w) / unit


def _rare(plan: Plan, metric: Metric, seen: Traffic, stage: Stage, days: float) -> Sight:
    margin = metric.margin or Margin(0.01, "absolute")
    units = 10
    while (
        bernoulli_bounds(0, units, alpha=plan.alpha.promotion / 2, planned_n=max(int(4 / margin.value), 100))[1]
        >= margin.value
    ):
        units = math.ceil(units * 1.1)
    per_day = seen.units_per_day * stage.weight / 10_000
    return Sight(
        stage=stage.name,
        metric=metric.name,
        days=days,
        exposures=round(seen.exposures_per_day * days * stage.weight / 10_000),
        detectable=None,
        margin=margin.value,
        margin_days=units / per_day if per_day > 0 else None,
        scale="absolute",
        note=f"exact on units: passes after about {units:,} canary units without the event",
    )
