"""Deleting what is older than it is kept. What goes is in the audit log before it goes."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

from seatrial.control.clock import Clock
from seatrial.control.documents.views import Document, listing
from seatrial.control.project import Project
from seatrial.control.retention.keeping import Keeping, keeping
from seatrial.control.retention.outdated import Outdated, holds, outdated
from seatrial.control.worker import Worker
from seatrial.governance.retention import FLOORS, KINDS
from seatrial.store.artifacts import ArtifactStore
from seatrial.store.db import Store, Transaction

ACTOR = "seatrial"
FOREVER = "forever"
FIRST_S, PAUSE_S, TROUBLE_S = 60.0, 3600.0, 300.0


def retention_document(tx: Transaction, project: Project, now: datetime) -> Document:
    """``seatrial.retention.v1``: of each model how long each kind is kept, what holds it, and what would go now."""
    lines = []
    for model in tx.models.list_models():
        keep = keeping(tx, project, model)
        found = outdated(tx, keep, now)
        lines.append({
            "model": model.name,
            "keeps": dict.fromkeys(("audit", "decisions"), FOREVER) | _spans(keep),
            "floors": {kind: str(FLOORS[kind]) for kind in KINDS} if keep.floors else {},
            "why": keep.floors or None,
            "short": list(keep.short),
            "holds": list(holds(tx, model.name)),
            "outdated": {name: len(digests) for name, digests in asdict(found).items()},
        })  # fmt: skip
    return listing("seatrial.retention.v1", "models", lines)


def _spans(keep: Keeping) -> dict[str, str]:
    return {kind: str(keep.spans[kind] or FOREVER) for kind in KINDS}


class Keeper(Worker):
    """One look an hour. Events are deleted by housekeeping, by the same spans."""

    def __init__(self, project: Project, store: Store, clock: Clock) -> None:
        super().__init__("retention", first_s=FIRST_S, trouble_s=TROUBLE_S)
        self._project, self._store, self._clock = project, store, clock
        self._artifacts = ArtifactStore(project.artifacts)

    def turn(self) -> float:
        self.look(self._clock.now())
        return PAUSE_S

    def look(self, now: datetime) -> None:
        """Delete what is outdated of every model."""
        with self._store.read() as tx:
            names = [model.name for model in tx.models.list_models()]
        for name in names:
            with self._store.begin() as tx:
                keep = keeping(tx, self._project, tx.models.get_model(name))
                found = self._present(outdated(tx, keep, now))
                if not found:
                    continue
                tx.audit.append(ACTOR, "retention.delete", name, asdict(found), now)
            for digest in (*found.evidence, *found.artifacts):
                self._artifacts.discard(digest)

    def _present(self, found: Outdated) -> Outdated:
        """Without the files that are gone already."""
        here = self._artifacts.has
        return Outdated(tuple(filter(here, found.evidence)), tuple(filter(here, found.artifacts)))
