"""The sample sizes of textbooks, to stand beside what the boundary needs: one look, at the end, with fixed arms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from seatrial.rollout.forecast.sight import edge, information_per_day, margin_of, promotion
from seatrial.rollout.forecast.traffic import Traffic
from seatrial.rollout.metric import SHARE_KINDS, Metric
from seatrial.rollout.plan import Plan
from seatrial.rollout.stages import compile_stages
from seatrial.stats.samplesize import canary_units

FORMULA = "n = (z(1-alpha/2) + z(power))^2 (s_canary^2 + s_champion^2 / k) / margin^2, k champions to one canary"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Canary exposures and days for the margin, at one stage's split alone.

    ``equal``: the textbook with as many champions as canaries (k = 1); ``split``: the textbook with the real split;
    ``boundary``: what seatrial's own boundary needs, looks at any time included.
    """

    stage: str
    metric: str
    share: float
    equal: float
    equal_days: float
    split: float
    split_days: float
    boundary: float
    boundary_days: float


def compare(plan: Plan, traffic: Mapping[str, Traffic], *, power: float) -> Iterator[Comparison]:
    """One row a canary stage and guardrail on sums whose traffic is known."""
    for stage in compile_stages(plan):
        for metric in plan.guardrails:
            seen = traffic.get(metric.name)
            if stage.kind != "canary" or metric.rare or seen is None:
                continue
            share = stage.weight / 10_000
            per_day = information_per_day(metric, seen, share)
            canary = seen.exposures_per_day * share
            if per_day > 0:
                equal, split = fixed_sample(metric, seen, share, alpha=plan.alpha.promotion, power=power)
                days = promotion(plan, metric).needed(edge(margin_of(metric), metric.better), power) / per_day
                yield Comparison(
                    stage.name, metric.name, share, equal, equal / canary, split, split / canary, days * canary, days
                )


def fixed_sample(metric: Metric, seen: Traffic, share: float, *, alpha: float, power: float) -> tuple[float, float]:
    """Canary exposures of a two-sided z-test for a worsening of the margin: with equal arms, and with the real split.

    Equal arms compare the canary with as many champions and throw the others away. ``alpha``: both sides together.

    >>> from seatrial.rollout.forecast.traffic import declare
    >>> from seatrial.values import Margin
    >>> ctr = Metric(name="ctr", kind="proportion", margin=Margin.parse("0.5%"))
    >>> [round(n / 2e6, 2) for n in fixed_sample(ctr, declare(ctr, 20e6, 0.052), 0.1, alpha=0.05, power=0.8)]
    [5.71, 3.17]
    """
    margin = margin_of(metric)
    change = margin.value if margin.scale == "absolute" else margin.value * seen.rate
    worse = seen.rate - change if metric.better == "increase" else seen.rate + change
    champion = canary = seen.variance
    if metric.kind in SHARE_KINDS and 0 < worse < 1:
        canary = champion * worse * (1 - worse) / (seen.rate * (1 - seen.rate))
    equal, split = (
        canary_units(change, canary, champion, ratio=ratio, alpha=alpha, power=power)
        for ratio in (1.0, (1 - share) / share)
    )
    return equal, split
