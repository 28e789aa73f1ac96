"""What a plan would see on a model's traffic, known from the evidence of its past rollouts."""

from __future__ import annotations

from seatrial.control.catalog import load
from seatrial.control.findings import evidence_of
from seatrial.evidence.snapshot import Evidence
from seatrial.ids import CHAMPION
from seatrial.rollout.forecast import Sight, Traffic, forecast, observe
from seatrial.rollout.plan import Plan
from seatrial.store.artifacts import ArtifactStore
from seatrial.store.db import Transaction


def outlook(
    tx: Transaction, artifacts: ArtifactStore, plan: Plan, model: str, effect: float | None = None
) -> list[Sight]:
    """One row a step and guardrail; empty when no rollout of the model has measured them. Raises NotFound."""
    tx.models.get_model(model)
    return forecast(plan, _traffic(tx, artifacts, plan, model), effect)


def _traffic(tx: Transaction, artifacts: ArtifactStore, plan: Plan, model: str) -> dict[str, Traffic]:
    """By guardrail, from the latest rollout whose evidence is stored and knows the metric."""
    found: dict[str, Traffic] = {}
    for stored in reversed(tx.rollouts.list(model)):
        if all(metric.name in found for metric in plan.guardrails):
            break
        evidence = _latest_evidence(tx, artifacts, stored.id)
        if evidence is None:
            continue
        days = (evidence.at - load(stored).state.started).total_seconds() / 86400
        units = evidence.units.arms.get(CHAMPION, 0)
        for metric in plan.guardrails:
            if metric.name not in found and metric.name in evidence.metrics:
                seen = observe(evidence.metrics[metric.name].tally, days, units)
                found.update({} if seen is None else {metric.name: seen})
    return found


def _latest_evidence(tx: Transaction, artifacts: ArtifactStore, rollout: str) -> Evidence | None:
    digests = [d.evidence_digest for d in tx.decisions.list(rollout) if d.evidence_digest is not None]
    return evidence_of(artifacts, digests[-1])[0] if digests else None
