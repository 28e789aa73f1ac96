"""Times that do not fit: stages, horizons, buckets and the deadline."""

from __future__ import annotations

from collections.abc import Iterator

from seatrial.rollout.maturity import earliest
from seatrial.rollout.metric import Metric
from seatrial.rollout.plan import Plan
from seatrial.rollout.stages import Stage, compile_stages
from seatrial.rollout.validate.problem import Problem
from seatrial.rollout.way_home import SWITCH_S


def check_times(plan: Plan) -> Iterator[Problem]:
    stages = compile_stages(plan)
    lasts = sum(stage.min_duration for stage in stages)
    if lasts > plan.deadline.seconds:
        yield Problem(
            "ST0230", "deadline", f"the steps last {_span(lasts)}, the deadline is {plan.deadline}.",
            "Lengthen the deadline or shorten the pauses.",
        )  # fmt: skip
    if plan.look_every.seconds > plan.time_bucket.seconds or plan.time_bucket.seconds % plan.look_every.seconds:
        yield Problem(
            "ST0231", "lookEvery", f"{plan.look_every} does not divide the time bucket {plan.time_bucket}.",
            "Looks fall inside buckets: choose a divisor.",
        )  # fmt: skip
    if plan.time_bucket.seconds not in (3600.0, 86400.0):
        yield Problem("ST0232", "timeBucket", f"{plan.time_bucket} is not a calendar bucket.", "Use 1h or 1d (UTC).")
    if plan.back_within is not None and plan.back_within.seconds < SWITCH_S:
        yield Problem(
            "ST0351", "backWithin", f"{plan.back_within} is less than a change of routes may take.",
            f"The least is {SWITCH_S:g}s.",
        )  # fmt: skip
    for metric in plan.metrics:
        if metric.horizon is not None:
            yield from _maturity(plan, stages, metric, metric.horizon.seconds)


def _maturity(plan: Plan, stages: tuple[Stage, ...], metric: Metric, horizon: float) -> Iterator[Problem]:
    """Outcomes must be able to mature before the deadline, and a stage must not end before its first one can."""
    if metric.role != "guardrail":
        return
    if horizon >= plan.deadline.seconds:
        yield Problem(
            "ST0203", f"metric '{metric.name}'",
            f"outcomes mature after {metric.horizon}, the deadline is {plan.deadline}.",
            "Lengthen the deadline, or make it a signal and reconcile later.",
        )  # fmt: skip
    for stage in stages:
        judged = stage.watches(metric) and (stage.kind == "canary" or metric.pairs)
        if judged and 0 < stage.min_duration < horizon:
            yield Problem(
                "ST0203", f"{stage.name}",
                f"metric '{metric.name}' has a horizon of {metric.horizon} but the step lasts "
                f"{_span(stage.min_duration)}.",
                f"{_earliest(plan, metric)}; lengthen the pause, or make it a signal and reconcile later.",
            )  # fmt: skip


def _earliest(plan: Plan, metric: Metric) -> str:
    """``Earliest decision: day 8 for the first cohort, day 10 for all``."""
    found = earliest(plan, metric)
    return f"Earliest decision: {found}" if found else "Earliest evidence comes after the horizon"


def _span(seconds: float) -> str:
    """A span of time in the largest unit that is not a fraction of one.

    >>> _span(1800), _span(5400), _span(86400)
    ('30m', '1.5h', '1d')
    """
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= size:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"
