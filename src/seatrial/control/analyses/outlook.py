"""What a plan would see on a model's traffic, known from the evidence of its past rollouts."""

from __future__ import annotations

from dataclasses import replace

from seatrial.control.documents.catalog import load
from seatrial.control.documents.findings import evidence_of
from seatrial.evidence.snapshot import Evidence
from seatrial.ids import CANARY, CHAMPION
from seatrial.rollout.forecast import Sight, Traffic, observe, sights
from seatrial.rollout.forecast.sight import margin_of
from seatrial.rollout.forecast.traffic import observe_pairs
from seatrial.rollout.metric import SHARE_KINDS, Metric
from seatrial.rollout.plan import Plan
from seatrial.store.artifacts import ArtifactStore
from seatrial.store.db import Transaction

DAY_S = 86_400.0


def outlook(
    tx: Transaction, artifacts: ArtifactStore, plan: Plan, model: str, effect: float | None = None
) -> list[Sight]:
    """One row a step and guardrail; empty when no rollout of the model has measured them. Raises NotFound."""
    return sights(plan, traffic_of(tx, artifacts, plan, model), effect)


def traffic_of(tx: Transaction, artifacts: ArtifactStore, plan: Plan, model: str) -> dict[str, Traffic]:
    """By guardrail, from the latest rollout whose evidence is stored and knows the metric, capped as it is here.

    Raises NotFound.
    """
    tx.models.get_model(model)
    found: dict[str, Traffic] = {}
    for stored in reversed(tx.rollouts.list(model)):
        if all(metric.name in found for metric in plan.guardrails):
            break
        evidence = _latest_evidence(tx, artifacts, stored.id)
        if evidence is None:
            continue
        release = load(stored)
        days = (evidence.at - release.state.started).total_seconds() / DAY_S
        capped = {metric.name: metric.cap for metric in release.plan.metrics}
        for metric in plan.guardrails:
            if metric.name in found or capped.get(metric.name) != metric.cap:
                continue  # of values capped elsewhere, or not at all, this log says nothing
            if (seen := _seen(evidence, metric, days)) is not None:
                found[metric.name] = seen
    return found


def _seen(evidence: Evidence, metric: Metric, days: float) -> Traffic | None:
    """What the rollout knows of one metric: exposures that had the time to mature, over that time."""
    if metric.name not in evidence.metrics:
        return None
    matured = days - (0.0 if metric.horizon is None else metric.horizon.seconds / DAY_S)
    arms, touched = evidence.units.arms, evidence.units.touched.get(metric.name, {})
    units = arms.get(CHAMPION, 0) + arms.get(CANARY, 0) - evidence.units.crossed
    tally = evidence.metrics[metric.name].tally
    seen = observe(tally, matured, round(units * matured / days) if days > 0 else 0, share=metric.kind in SHARE_KINDS)
    if seen is not None and metric.pairs and metric.name in evidence.pairs:
        noise = observe_pairs(evidence.pairs[metric.name].tally, margin_of(metric).scale)
        return replace(seen, pair_variance=noise)
    if seen is None or not metric.rare:
        return seen
    champion = arms.get(CHAMPION, 0)
    return replace(seen, rate=touched.get(CHAMPION, 0) / champion if champion else 0.0)


def _latest_evidence(tx: Transaction, artifacts: ArtifactStore, rollout: str) -> Evidence | None:
    digests = [d.evidence_digest for d in tx.decisions.list(rollout) if d.evidence_digest is not None]
    return evidence_of(artifacts, digests[-1])[0] if digests else None
