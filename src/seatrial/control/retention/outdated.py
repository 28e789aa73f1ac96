"""What of a model is older than it is kept, and what holds it all the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from seatrial.control.retention.keeping import Keeping
from seatrial.governance.retention import Kind
from seatrial.registry.lifecycle import Stage
from seatrial.store.db import Transaction
from seatrial.store.recalls import MARKS, StoredRecall


@dataclass(frozen=True, slots=True)
class Outdated:
    """Digests of what no record needs any more."""

    evidence: tuple[str, ...] = ()
    artifacts: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.evidence or self.artifacts)


def outdated(tx: Transaction, keep: Keeping, now: datetime) -> Outdated:
    """Nothing of a model that something holds, or whose retention is not as it must be."""
    if keep.short or holds(tx, keep.model):
        return Outdated()
    return Outdated(tuple(sorted(_evidence(tx, keep, now))), tuple(sorted(_artifacts(tx, keep, now))))


def holds(tx: Transaction, model: str) -> tuple[str, ...]:
    """Why nothing of a model may go now: a rollout, a follow-up, an incident or a recall that is open."""
    return tuple(_holds(tx, model))


def _holds(tx: Transaction, model: str) -> Iterator[str]:
    for rollout in tx.rollouts.list(model, active=True):
        yield f"rollout {rollout.id} is active"
    for rollout in tx.rollouts.list(model):
        following = tx.follow_ups.find(rollout.id)
        if following is not None and following.next_at is not None:
            yield f"rollout {rollout.id} is followed until its last reconciliation"
        for incident in tx.incidents.list(rollout=rollout.id, open_only=True):
            yield f"incident {incident.id} is open"
    yield from recalled(tx, model)


def recalled(tx: Transaction, model: str) -> tuple[str, ...]:
    """Recalls with predictions that somebody was not told of yet, or nobody read again."""
    return tuple(f"recall {one.id} is open" for one in tx.recalls.list(model) if _open(tx, one))


def _open(tx: Transaction, recall: StoredRecall) -> bool:
    done = [mark.kind for mark in tx.recalls.marks(recall.id)]
    return min(done.count(kind) for kind in MARKS) < recall.found


def _evidence(tx: Transaction, keep: Keeping, now: datetime) -> set[str]:
    """Evidence of the model's old decisions, unless a younger one, or another model's, was taken on the same."""
    found: set[str] = set()
    wanted: set[str] = set()
    for rollout in tx.rollouts.list():
        for decision in tx.decisions.list(rollout.id):
            if decision.evidence_digest is None:
                continue
            old = rollout.model == keep.model and _older(keep, "evidence", decision.at, now)
            (found if old else wanted).add(decision.evidence_digest)
    return found - wanted


def _artifacts(tx: Transaction, keep: Keeping, now: datetime) -> set[str]:
    """Artifacts that only archived versions of this model have, each archived for longer than it is kept."""
    found: set[str] = set()
    wanted: set[str] = set()
    for model in tx.models.list_models():
        pointed = set(tx.models.pointers(model.name).values())
        for version in tx.models.list_versions(model.name):
            if (digest := version.serving.artifact) is None:
                continue
            mine = model.name == keep.model and version.stage is Stage.ARCHIVED and version.number not in pointed
            old = mine and _older(keep, "artifacts", _archived(tx, model.name, version.number, version.created_at), now)
            (found if old else wanted).add(digest)
    return found - wanted


def _archived(tx: Transaction, model: str, number: int, created: datetime) -> datetime:
    """When a version got into its last stage, by the audit log."""
    moves = [e for e in tx.audit.log(limit=1000, object=f"{model}/{number}") if e.action.startswith("stage.")]
    return datetime.fromisoformat(moves[0].at) if moves else created


def _older(keep: Keeping, kind: Kind, at: datetime, now: datetime) -> bool:
    span = keep.spans[kind]
    return span is not None and at < now - span.delta
