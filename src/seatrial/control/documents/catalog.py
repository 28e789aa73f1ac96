"""Reading the store for people: documents of models and rollouts by name; what they hold is said in views."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

from seatrial.control.documents import views
from seatrial.control.documents.explanation import explanation_document
from seatrial.control.documents.rollouts import rollout_document, rollout_summary, stored_decision_document
from seatrial.control.documents.views import Document
from seatrial.control.documents.ways_home import ways_home
from seatrial.control.follow_up import follow_up_document
from seatrial.control.project import Project
from seatrial.control.render import Release
from seatrial.control.states import decision_from_json, state_from_json
from seatrial.control.way_home.proof import served, served_document
from seatrial.errors import NotFound
from seatrial.gateway.kill import KillLatch, read_latches
from seatrial.store.canonical import iso_z
from seatrial.store.db import Transaction
from seatrial.store.plans import plan_from_json
from seatrial.store.rollouts import StoredRollout

Weights = Mapping[str, Mapping[str, int]]
"""Model → part → weight out of 10,000, as Envoy has it in use."""


def find_rollout(tx: Transaction, name: str) -> str:
    """The id of a rollout, given itself or a model: then its active rollout, or the latest. Raises NotFound."""
    stored = tx.rollouts.list(name)
    if stored:
        return next((r.id for r in stored if r.active), stored[-1].id)
    if any(model.name == name for model in tx.models.list_models()):
        raise NotFound("ST0823", f"model '{name}' has had no rollout.", remedy="`seatrial rollout start` begins one.")
    return tx.rollouts.get(name).id


def rollout(tx: Transaction, name: str, weights: Weights) -> Document:
    """One rollout in full, by id or by model."""
    release = load(tx.rollouts.get(find_rollout(tx, name)))
    stored = release.stored
    actual = weights.get(stored.model, {}).get("canary") if stored.active else None
    document = rollout_document(
        stored, release.plan, release.state, tx.decisions.list(stored.id), None if actual is None else float(actual)
    )
    return {
        **document,
        "waysHome": ways_home(tx, stored.id),
        "reconciliation": follow_up_document(tx, stored.id),
    }


def explanation(tx: Transaction, name: str, weights: Weights, look: int | None = None) -> Document:
    """The decision of one look of a rollout, or of its latest, rule by rule. Raises NotFound."""
    release = load(tx.rollouts.get(find_rollout(tx, name)))
    stored = release.stored
    actual = weights.get(stored.model, {}).get("canary") if stored.active else None
    return explanation_document(
        stored, release.plan, release.state, tx.decisions.list(stored.id),
        look=look, actual=None if actual is None else float(actual),
    )  # fmt: skip


def rollouts(tx: Transaction, *, model: str | None = None, active: bool | None = None) -> Document:
    """All rollouts, one line each, oldest first."""
    if model is not None:
        tx.models.get_model(model)
    lines = []
    for stored in tx.rollouts.list(model, active):
        release, last = load(stored), tx.decisions.last(stored.id)
        decision = None if last is None else decision_from_json(last.document)
        lines.append(rollout_summary(stored, release.plan, release.state, decision))
    return views.listing("seatrial.rollouts.v1", "rollouts", lines)


def decisions(tx: Transaction, name: str) -> Document:
    """Every stored decision of a rollout, complete."""
    found = tx.decisions.list(find_rollout(tx, name))
    return views.listing("seatrial.decisions.v1", "decisions", map(stored_decision_document, found))


def models(tx: Transaction, project: Project) -> Document:
    """All models, one line each."""
    latches, running = read_latches(project.kill_latches), _running(tx)
    lines = [
        views.model_summary(
            model,
            tx.models.pointers(model.name),
            len(tx.models.list_versions(model.name)),
            rollout=running.get(model.name),
            killed=_killed(latches, model.name),
        )
        for model in tx.models.list_models()
    ]
    return views.listing("seatrial.models.v1", "models", lines)


def model(tx: Transaction, project: Project, name: str) -> Document:
    """One model with its versions, and how fast its standby serves."""
    known = tx.models.get_model(name)
    document = views.model_document(
        known,
        tx.models.pointers(name),
        tx.models.list_versions(name),
        rollout=_running(tx).get(name),
        killed=_killed(read_latches(project.kill_latches), name),
    )
    return {**document, "standby": served_document(served(tx, project, known))}


def audit(tx: Transaction, limit: int) -> Document:
    """The latest entries, newest first."""
    return views.audit_document(tx.audit.log(limit))


def instance(project: Project) -> str:
    """Tells this project's server from another one's without saying where the project lies."""
    return hashlib.sha256(str(project.root).encode()).hexdigest()[:12]


def load(stored: StoredRollout) -> Release:
    """A stored rollout with its plan and state as values."""
    return Release(stored, plan_from_json(json.loads(stored.plan)), state_from_json(stored.state))


def _running(tx: Transaction) -> dict[str, str]:
    return {stored.model: stored.id for stored in tx.rollouts.list(active=True)}


def _killed(latches: Sequence[KillLatch], name: str) -> Document | None:
    for latch in latches:
        if latch.model == name:
            return {"mode": latch.mode, "actor": latch.actor, "reason": latch.reason, "time": iso_z(latch.time)}
    return None
