"""What a plan would see on a model's traffic, known from the evidence of its past rollouts."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any

from seatrial.cli.session import opened

if TYPE_CHECKING:
    from seatrial.control.project import Project
    from seatrial.evidence.snapshot import Evidence
    from seatrial.rollout.forecast import Traffic
    from seatrial.rollout.plan import Plan
    from seatrial.store.db import Transaction


def rows(project: Project, plan: Plan, model: str, effect: float | None = None) -> list[dict[str, Any]]:
    """One row a step and guardrail; empty when no rollout of the model has measured them. Raises NotFound."""
    from seatrial.control.views import plain
    from seatrial.rollout.forecast import forecast

    with opened(project) as store, store.read() as tx:
        tx.models.get_model(model)
        traffic = _traffic(project, tx, plan, model)
    return [plain(sight) for sight in forecast(plan, traffic, effect)]


def _traffic(project: Project, tx: Transaction, plan: Plan, model: str) -> dict[str, Traffic]:
    """By guardrail, from the latest rollout whose evidence is stored and knows the metric."""
    from seatrial.control.catalog import load
    from seatrial.ids import CHAMPION
    from seatrial.rollout.forecast import observe

    found: dict[str, Traffic] = {}
    for stored in reversed(tx.rollouts.list(model)):
        evidence = _latest_evidence(project, tx, stored.id)
        if evidence is None:
            continue
        days = (evidence.at - load(stored).state.started).total_seconds() / 86400
        units = evidence.units.arms.get(CHAMPION, 0)
        for metric in plan.guardrails:
            if metric.name not in found and metric.name in evidence.metrics:
                seen = observe(evidence.metrics[metric.name].tally, days, units)
                found.update({} if seen is None else {metric.name: seen})
    return found


def _latest_evidence(project: Project, tx: Transaction, rollout: str) -> Evidence | None:
    from seatrial.evidence.codec import from_document
    from seatrial.store.artifacts import ArtifactStore

    digests = [d.evidence_digest for d in tx.decisions.list(rollout) if d.evidence_digest is not None]
    if not digests:
        return None
    path = ArtifactStore(project.artifacts).path(digests[-1])
    return from_document(json.loads(zlib.decompress(path.read_bytes())))
