"""The front page: every model with its champion, its release and its latest decision; alerts; what ended last."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Final

from seatrial.control.documents.catalog import load
from seatrial.control.documents.rollouts import rollout_document
from seatrial.control.documents.views import Document
from seatrial.control.project import Project
from seatrial.gateway.kill import KillLatch, read_latches
from seatrial.ids import ModelName
from seatrial.registry.version import Model
from seatrial.store.alert import Alert
from seatrial.store.db import Store, Transaction
from seatrial.store.overview import Overview
from seatrial.store.rollouts import StoredRollout

RECENT: Final = 12
ALERTS: Final = 6
LOOKED_AT: Final = 60
"""So many of the latest alerts are gone through for those that ask for an eye."""

KEPT: Final = 4096


@dataclass(frozen=True, slots=True)
class Line:
    """One model. ``rollout``: the active one or the latest (``seatrial.rollout.v1``)."""

    model: Model
    champion: int | None
    previous: int | None
    versions: int
    rollout: Document | None
    killed: KillLatch | None

    @property
    def rank(self) -> int:
        """What needs an eye comes first: killed, then under way, then at rest."""
        return 0 if self.killed else 1 if self.rollout and self.rollout["active"] else 2


@dataclass(frozen=True, slots=True)
class Board:
    """All models, those that need an eye first.

    ``alerts``: the latest that are more than news; ``undelivered``: how many a target did not take; ``recent``: the
    releases that ended last.
    """

    lines: tuple[Line, ...]
    alerts: tuple[Alert, ...]
    undelivered: Mapping[str, int]
    recent: tuple[Document, ...]


class Boards:
    """Reads the board; what a rollout looks like is kept until its revision rises."""

    def __init__(self, project: Project, store: Store) -> None:
        self._project, self._store = project, store
        self._lock = Lock()
        self._known: OrderedDict[tuple[str, int], Document] = OrderedDict()

    def read(self) -> Board:
        latches = {latch.model: latch for latch in read_latches(self._project.kill_latches)}
        with self._store.read() as tx:
            overview = Overview(tx.connection)
            rollouts = {stored.model: self._rollout(tx, stored) for stored in overview.latest_rollouts()}
            lines = _lines(tx.models.list_models(), overview, rollouts, latches)
            recent = tuple(self._rollout(tx, stored) for stored in overview.finished_rollouts(RECENT))
            alerts = tuple(found.alert for found in tx.alerts.latest(LOOKED_AT) if found.alert.severity != "info")
            failed = {target: n for (target, state), n in tx.alerts.undelivered().items() if state == "failed"}
        return Board(tuple(sorted(lines, key=lambda line: line.rank)), alerts[:ALERTS], failed, recent)

    def marks(self) -> dict[str, object]:
        """What is different whenever the board is (api.stream)."""
        with self._store.read() as tx:
            marks, told = Overview(tx.connection).marks(), tx.alerts.newest()
        audit = marks.pop("audit")
        found: dict[str, object] = {f"rollouts/{rollout}": revision for rollout, revision in marks.items()}
        return {**found, "registry": audit, "alerts": told, "kills": read_latches(self._project.kill_latches)}

    def _rollout(self, tx: Transaction, stored: StoredRollout) -> Document:
        key = (stored.id, stored.revision)
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        release, last = load(stored), tx.decisions.last(stored.id)
        decisions = [] if last is None else [last]
        document = rollout_document(stored, release.plan, release.state, decisions)
        with self._lock:
            self._known[key] = document
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
        return document


def _lines(
    models: tuple[Model, ...],
    overview: Overview,
    rollouts: Mapping[ModelName, Document],
    latches: Mapping[str, KillLatch],
) -> list[Line]:
    pointers, counts = overview.pointers(), overview.version_counts()
    return [
        Line(
            model=model,
            champion=pointers.get(model.name, {}).get("champion"),
            previous=pointers.get(model.name, {}).get("previous"),
            versions=counts.get(model.name, 0),
            rollout=rollouts.get(model.name),
            killed=latches.get(model.name),
        )
        for model in models
    ]
