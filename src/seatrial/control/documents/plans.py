"""A plan as a document: its stages, what each guardrail may lose and by which alpha, and what outlasts the rollout."""

from __future__ import annotations

from seatrial.control.documents.views import Document, plain
from seatrial.rollout.agreement import DEFAULT_MIN_PAIRS
from seatrial.rollout.maturity import earliest
from seatrial.rollout.metric import SHARE_KINDS, Metric
from seatrial.rollout.plan import Plan
from seatrial.rollout.reconciliation.schedule import followed
from seatrial.rollout.stages import compile_stages
from seatrial.store.plans import plan_digest, plan_to_json


def plan_document(plan: Plan) -> Document:
    """What a plan means: its compiled stages, and the error budget of each test of each guardrail."""
    budget = plan.budget()
    return {
        "schema": "seatrial.plan.v1",
        "name": plan.name,
        "description": plan.description,
        "digest": plan_digest(plan),
        "minDuration": sum(stage.min_duration for stage in compile_stages(plan)),
        "deadline": plan.deadline.seconds,
        "onDeadline": plan.on_deadline,
        "lookEvery": plan.look_every.seconds,
        "strikes": plain(plan.strikes),
        "alpha": plain(plan.alpha),
        "stages": [
            {
                **plain(stage),
                "name": stage.name,
                "weight": stage.weight / 100,
                "mirrored": stage.mirrored / 100,
                "mirroredBy": {value: points / 100 for value, points in stage.mirrored_by},
                "last": stage.index + 1 == len(compile_stages(plan)),
            }
            for stage in compile_stages(plan)
        ],
        "guardrails": [
            {
                "name": metric.name,
                "kind": metric.kind,
                "better": metric.better,
                "margin": _margin(metric),
                "failOn": metric.fail_on,
                "justification": metric.justification,
                "horizon": None if metric.horizon is None else metric.horizon.seconds,
                "cap": metric.cap,
                "limit": None if metric.limit is None else str(metric.limit),
                "alpha": {arms: alpha for (name, arms), alpha in budget.items() if name == metric.name},
            }
            for metric in plan.guardrails
        ],
        "signals": [metric.name for metric in plan.metrics if metric.role == "signal"],
        "dryRuns": [metric.name for metric in plan.metrics if metric.role == "dryRun"],
        "agreements": [_floors(metric) for metric in plan.agreements],
        **later(plan),
        "plan": plan_to_json(plan),
    }


def later(plan: Plan) -> Document:
    """When each metric can be decided on at the earliest, which are reconciled, and which stand in for others."""
    return {
        "earliest": {metric.name: plain(found) for metric in plan.metrics if (found := earliest(plan, metric))},
        "reconciled": [metric.name for metric in followed(plan)],
        "surrogates": {m.name: plain(m.surrogate_of) for m in plan.metrics if m.surrogate_of is not None},
    }


def _margin(metric: Metric) -> str:
    """``2%``, ``1pp`` of a share, or ``0.02 absolute`` in the metric's own unit."""
    margin = metric.margin
    if margin is not None and margin.scale == "absolute" and metric.kind in SHARE_KINDS:
        return f"{100 * margin.value:g}pp"
    return str(margin)


def _floors(metric: Metric) -> Document:
    """What is asked of the agreement of shadow and champion."""
    return {
        "name": metric.name,
        "role": metric.role,
        "floor": metric.floor,
        "segmentFloor": metric.segment_floor,
        "maxGap": metric.max_gap,
        "minPairs": metric.min_pairs or DEFAULT_MIN_PAIRS,
        "segment": metric.segment,
    }
