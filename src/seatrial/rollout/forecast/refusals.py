"""Margins that a plan cannot have on given traffic: refused before anybody waits for them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from seatrial.rollout.forecast.reach import Clock
from seatrial.rollout.forecast.sight import information_per_day, margin_of, natural
from seatrial.rollout.forecast.traffic import DAY, Traffic
from seatrial.rollout.metric import Metric
from seatrial.rollout.plan import Plan
from seatrial.rollout.stages import compile_stages
from seatrial.rollout.validate import Problem
from seatrial.stats.sequential import planned_information

if TYPE_CHECKING:
    from seatrial.rollout.forecast.schedule import StageForecast


def refusals(
    plan: Plan, traffic: Mapping[str, Traffic], stages: Sequence[StageForecast], *, power: float
) -> Iterator[Problem]:
    """Guardrails that the stages cannot prove before the deadline: that would wait for ever, or end by the clock."""
    deadline = plan.deadline.seconds / DAY
    late = next((s for s in stages if not s.starts + s.lasts <= deadline), None)
    if late is None:
        return
    metrics = {metric.name: metric for metric in plan.guardrails}
    slow = [need for need in late.needs if not late.starts + need.days <= deadline]
    for need in slow:
        metric = metrics[need.metric]
        takes = f"takes {late.starts + need.days:,.1f} days" if math.isfinite(need.days) else "is never reached"
        yield Problem(
            "ST0250",
            f"metric '{metric.name}'",
            f"excluding a loss of {_said(need.bound, need.scale)} at {late.stage} {takes} with {power:.0%} power, "
            f"the deadline is {plan.deadline}.",
            _remedy(plan, metric, traffic[metric.name], late, power),
        )
    if not slow:
        yield Problem(
            "ST0250",
            late.stage,
            f"it ends after {late.starts + late.lasts:,.1f} days at the earliest ({late.binding.text}), "
            f"the deadline is {plan.deadline}.",
            "Take a larger share, fewer samples or a later deadline.",
        )


def _remedy(plan: Plan, metric: Metric, seen: Traffic, late: StageForecast, power: float) -> str:
    """At the last stage the margin that would do is known; before it a larger share does."""
    last = compile_stages(plan)[-1]
    reachable = None if metric.rare or late.stage != last.name else _reachable(plan, metric, seen, power)
    margin = "a wider margin" if reachable is None else f"a margin of {_said(reachable, margin_of(metric).scale)}"
    return f"Take {margin}, a larger share or a later deadline."


def _reachable(plan: Plan, metric: Metric, seen: Traffic, power: float) -> float | None:
    """The smallest margin that passes by the deadline if every stage takes its pause; None if it is no margin any more.

    Information needed is proportional to 1 / effect^2, planned clock included.
    """
    left = plan.deadline.seconds / DAY - (0.0 if metric.horizon is None else metric.horizon.seconds / DAY)
    information = 0.0
    for stage in (stages := compile_stages(plan)):
        days = left if stage is stages[-1] else min(stage.min_duration / DAY, left)
        left -= days
        if stage.kind == "canary":
            information += max(days, 0.0) * information_per_day(metric, seen, stage.weight / 10_000)
    if information <= 0:
        return None
    unit = Clock(planned_information(1.0), plan.alpha.promotion).needed(1.0, power)
    effect = math.sqrt(unit / information)
    relative = margin_of(metric).scale == "relative"
    if relative and effect > 1:
        return None
    size = natural(effect, margin_of(metric), metric.better)
    digits = 1 - math.floor(math.log10(size))
    rounded = math.ceil(size * 10**digits) / 10**digits
    return None if relative and rounded >= 1 else rounded


def _said(size: float, scale: str) -> str:
    return f"{100 * size:.3g}%" if scale == "relative" else f"{size:.3g} absolute"
