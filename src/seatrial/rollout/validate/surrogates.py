"""Leading indicators that lead nowhere, and a promise for after the rollout that nothing would keep."""

from __future__ import annotations

from collections.abc import Iterator

from seatrial.rollout.metric import Metric
from seatrial.rollout.plan import Plan
from seatrial.rollout.reconciliation.schedule import RECONCILED_KINDS, followed
from seatrial.rollout.validate.problem import Problem


def check_surrogates(plan: Plan) -> Iterator[Problem]:
    metrics = {metric.name: metric for metric in plan.metrics}
    for metric in plan.metrics:
        if metric.surrogate_of is not None:
            yield from _surrogate(metric, metrics.get(metric.surrogate_of.metric), metric.surrogate_of.correlation)
    if plan.on_reconciled_harm is not None and not followed(plan):
        yield Problem(
            "ST0323", "onReconciledHarm", "no metric outlasts the canary, so nothing is reconciled after the rollout.",
            "Add a metric with a longer horizon, or remove it.",
        )  # fmt: skip


def _surrogate(metric: Metric, long: Metric | None, correlation: float) -> Iterator[Problem]:
    where = f"metric '{metric.name}'"
    if long is None or long is metric or long.surrogate_of is not None:
        what = "is no metric of this plan" if long is None else "is a surrogate itself"
        yield Problem(
            "ST0320", where, f"surrogateOf names '{metric.surrogate_of and metric.surrogate_of.metric}', which {what}.",
            "Name the long metric that this one stands in for.",
        )  # fmt: skip
        return
    if long.kind not in RECONCILED_KINDS or long.horizon is None or _ripe_s(metric) >= long.horizon.seconds:
        yield Problem(
            "ST0321", where, f"'{long.name}' is not known later than this metric, or cannot be reconciled.",
            "A surrogate stands in for a proportion, mean or ratio with a longer horizon.",
        )  # fmt: skip
    if not 0 < abs(correlation) <= 1:
        yield Problem(
            "ST0322", where, f"a correlation of {correlation:g} is none.", "Give the historic one, e.g. 0.62."
        )


def _ripe_s(metric: Metric) -> float:
    """After how many seconds the metric is known."""
    return metric.horizon.seconds if metric.horizon is not None else 0.0
