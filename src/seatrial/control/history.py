"""What is known of one version besides itself: its tests, its releases and who signed for it, as short documents."""

from __future__ import annotations

import json
from collections.abc import Iterator

from seatrial.ci.results import Run, run_of
from seatrial.control.documents.views import Document
from seatrial.control.states import decision_from_json
from seatrial.registry.version import ModelVersion
from seatrial.rollout.verdicts import Decision, MetricVerdict
from seatrial.store.canonical import iso_z
from seatrial.store.db import Transaction
from seatrial.store.rollouts import StoredRollout


def runs_of(tx: Transaction, version: ModelVersion) -> tuple[Run, ...]:
    """CI runs that were about this version, oldest first."""
    runs = (run_of(json.loads(text)) for text in tx.ci_runs.list(version.model))
    return tuple(run for run in runs if run.version == version.number)


def releases_of(tx: Transaction, version: ModelVersion) -> tuple[StoredRollout, ...]:
    """Rollouts that this version was the candidate of, oldest first."""
    return tuple(one for one in tx.rollouts.list(version.model) if one.candidate == version.number)


def compared_with(tx: Transaction, version: ModelVersion) -> int | None:
    """What a version takes the place of: the champion of its last release, else the one of now, else the one before."""
    if releases := releases_of(tx, version):
        return releases[-1].champion
    champion = tx.models.pointers(version.model).get("champion")
    if champion not in (None, version.number):
        return champion
    return version.number - 1 if version.number > 1 else None


def slices_of(run: Run) -> Iterator[Document]:
    """What the checks of a run found in each slice."""
    for step in run.steps:
        for one in step.detail.get("slices", []):
            yield {"run": run.id, "at": iso_z(run.started_at), "step": step.name, "status": step.status, **one}


def release_document(tx: Transaction, stored: StoredRollout) -> Document:
    """One release: how it ended, by which rule, and the last verdicts on real traffic."""
    decisions = [decision_from_json(one.document) for one in tx.decisions.list(stored.id)]
    last = decisions[-1] if decisions else None
    judged = next((one for one in reversed(decisions) if one.verdicts), None)
    return {
        "rollout": stored.id,
        "against": stored.champion,
        "status": stored.status,
        "from": iso_z(stored.created_at),
        "to": None if stored.active or last is None else iso_z(last.at),
        "rule": None if last is None else last.rule,
        "reason": None if last is None else last.reason,
        "actor": None if last is None else last.actor,
        "decisions": len(decisions),
        "byHand": [_act(one) for one in decisions if one.actor != "seatrial"],
        "verdicts": [] if judged is None else [_verdict(v) for v in (*judged.verdicts, *judged.signals)],
    }


def signatures_of(tx: Transaction, version: ModelVersion) -> list[Document]:
    """Every act on a request for this version, oldest first: who, when, with what meaning, on which evidence."""
    return [
        {
            "request": request.id,
            "kind": act.kind,
            "by": act.by,
            "at": iso_z(act.at),
            "role": None if act.role is None else act.role.value,
            "meaning": act.meaning,
            "reason": act.reason,
            "digest": None if act.reviewed is None else act.reviewed.digest,
        }
        for request in tx.approvals.list(version.model)
        if request.version == version.number
        for act in tx.approvals.acts(request.id)
    ]


def _act(decision: Decision) -> Document:
    named = ("action", "rule", "reason", "actor")
    return {"at": iso_z(decision.at), **{name: getattr(decision, name) for name in named}}


def _verdict(v: MetricVerdict) -> Document:
    return {
        "metric": v.metric,
        "role": v.role,
        "arms": v.arms,
        "verdict": v.verdict,
        "scale": v.scale,
        "estimate": v.estimate,
        "lower": v.lower,
        "upper": v.upper,
        "margin": v.margin,
        "champion": v.count_champion,
        "candidate": v.count_candidate,
        "segments": [
            {"segment": s.segment, "verdict": s.verdict, "estimate": s.estimate, "lower": s.lower, "upper": s.upper,
             "count": s.count} for s in v.segments
        ],
    }  # fmt: skip
