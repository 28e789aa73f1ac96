"""Where changes are declared: baselines, envelopes, locked test sets and tickets; each on the record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from seatrial.control.changes import baseline, envelopes, test_sets, tickets
from seatrial.control.changes.authority import require_independent, require_person
from seatrial.control.project import Project
from seatrial.governance.tickets import Stratum
from seatrial.store.artifacts import ArtifactStore
from seatrial.store.db import Store

Document = dict[str, Any]


class ChangeDesk:
    """``now``: the project's clock. Each method is one transaction, and answers with the document of what it made."""

    def __init__(self, project: Project, store: Store, now: Callable[[], datetime]) -> None:
        self._project, self._store, self._now = project, store, now

    def set_baseline(self, model: str, version: int, *, reason: str, actor: str, own: bool) -> Document:
        """``own``: whether the actor showed a token of their own. Raises what ``authority`` raises."""
        require_person(self._project, actor, own=own)
        with self._store.begin() as tx:
            require_independent(tx, self._project, tx.models.get_version(model, version), actor)
            baseline.set_baseline(tx, model, version, reason=reason, actor=actor, now=self._now())
            return baseline.baseline_document(tx, model)

    def set_envelope(self, model: str, text: str, *, source: str, reason: str, actor: str, own: bool) -> Document:
        """``own``: whether the actor showed a token of their own. Raises what ``authority`` raises."""
        require_person(self._project, actor, own=own)
        with self._store.begin() as tx:
            envelopes.set_envelope(tx, model, text, source=source, reason=reason, actor=actor, now=self._now())
            return envelopes.envelope_document(tx, model)

    def lock_test_set(self, given: Document, *, actor: str) -> Document:
        """Raises what ``ArtifactStore.verify`` raises where the hashes are not kept here."""
        ArtifactStore(self._project.artifacts).verify(given["hashes"])
        with self._store.begin() as tx:
            return test_sets.told(tx, test_sets.lock(tx, given, actor=actor, now=self._now()))

    def use_test_set(self, id: str, version: int, *, purpose: str, actor: str) -> Document:
        with self._store.begin() as tx:
            return test_sets.told(tx, test_sets.use(tx, id, version, purpose=purpose, actor=actor, now=self._now()))

    def retire_test_set(self, id: str, *, reason: str, actor: str, own: bool) -> Document:
        """``own``: whether the actor showed a token of their own. Raises what ``authority`` raises."""
        require_person(self._project, actor, own=own)
        with self._store.begin() as tx:
            return test_sets.told(tx, test_sets.retire(tx, id, reason=reason, actor=actor, now=self._now()))

    def open_ticket(self, model: str, strata: Sequence[Stratum], *, cause: str, actor: str) -> Document:
        with self._store.begin() as tx:
            found = tickets.ticket_from_drift(tx, model, strata, cause=cause, actor=actor, now=self._now())
            return tickets.ticket_told(found)

    def close_ticket(self, id: str, *, resolution: str, actor: str) -> Document:
        with self._store.begin() as tx:
            return tickets.ticket_told(
                tickets.close_ticket(tx, id, resolution=resolution, actor=actor, now=self._now())
            )
