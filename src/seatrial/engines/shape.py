"""What of a plan the statements of its evidence depend on: plans that agree in it are asked about together."""

from __future__ import annotations

from dataclasses import dataclass, replace

from seatrial.rollout.metric import OUTCOME_KINDS, Metric
from seatrial.rollout.plan import Plan
from seatrial.values import Duration


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Metrics without names, margins and whatever else only gates read, in the order of the plan.

    ``mirrors``: shadows get copies; ``samples``: in segments at shares of their own; ``agreements``: their answers are
    judged by unit; ``lists``: answers may be ranked lists.
    """

    metrics: tuple[Metric, ...]
    segments: tuple[str, ...]
    look_every: Duration
    time_bucket: Duration
    mirrors: bool
    samples: bool
    agreements: bool
    lists: bool

    @property
    def answers(self) -> bool:
        """Whether what the versions answered is read, besides whether they did."""
        return (
            self.mirrors
            or self.lists
            or any(m.kind in ("loss", "agreement") or m.among is not None for m in self.metrics)
        )


def shape_of(plan: Plan) -> Shape:
    """The same for all plans of a fleet that differ in names, margins, budgets and steps alone."""
    return Shape(
        metrics=tuple(_summed(metric) for metric in plan.metrics),
        segments=tuple(segment.name for segment in plan.segments),
        look_every=plan.look_every,
        time_bucket=plan.time_bucket,
        mirrors=plan.mirrors,
        samples=plan.samples,
        agreements=bool(plan.agreements),
        lists=plan.reads_lists,
    )


def reads_outcomes(metric: Metric) -> bool:
    return metric.kind in OUTCOME_KINDS or metric.kind == "sum_per_time"


def _summed(metric: Metric) -> Metric:
    """What is summed up of a metric."""
    return Metric(
        name="",
        kind=metric.kind,
        role="signal",
        direction=metric.better,
        outcome=metric.outcome,
        loss=metric.loss,
        numerator=metric.numerator,
        denominator=metric.denominator,
        threshold=metric.threshold,
        horizon=metric.horizon,
        missing=metric.missing,
        per=metric.per,
        cap=metric.cap,
        k=metric.k,
        among=None if metric.among is None else replace(metric.among, name=""),
    )
