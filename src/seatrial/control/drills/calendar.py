"""When drills are due: for people, for releases that wait for one, and for the alert about one that was missed."""

from __future__ import annotations

from datetime import datetime

from seatrial.control.alerting import alerts
from seatrial.control.clock import Clock
from seatrial.control.documents.views import Document
from seatrial.control.drills.documents import listed
from seatrial.control.project import Project
from seatrial.control.worker import Worker
from seatrial.governance.drills.schedule import NOTICE, Due, due
from seatrial.store.canonical import iso_z
from seatrial.store.db import Store, Transaction

ACTOR = "seatrial"
PAUSE_S, TROUBLE_S = 30.0, 60.0
PLANNED_KEY = "drills.planned."


def due_of(tx: Transaction, project: Project, model: str, now: datetime) -> Due | None:
    """The model's next drill; None without a schedule, or before it has a champion."""
    policy = project.config.drills
    since = next((move.at for move in tx.models.pointer_history(model, "champion")), None)
    if policy is None or since is None:
        return None
    passed = [drill for drill in tx.drills.list(model) if drill.status == "passed"]
    last = datetime.fromisoformat(passed[-1].document["endedAt"]) if passed else None
    return due(policy, model, tx.models.get_model(model).safety.tier, last=last, since=since, now=now)


def calendar(tx: Transaction, project: Project, now: datetime) -> list[Due]:
    """Of all models, the first due first."""
    found = [due_of(tx, project, model.name, now) for model in tx.models.list_models()]
    return sorted((one for one in found if one is not None), key=lambda one: (one.due, one.model))


def hold(tx: Transaction, project: Project, model: str, now: datetime) -> str:
    """Why a promotion of the model waits for a drill; empty if it does not."""
    found = due_of(tx, project, model, now)
    return found.text if found is not None and found.blocks else ""


def drills_document(tx: Transaction, project: Project, now: datetime) -> Document:
    """``seatrial.drills.v1``."""
    return listed(tx.drills.list(), calendar(tx, project, now), now)


class DrillWatch(Worker):
    """Tells of drills that were missed, each once; and writes down beforehand when unannounced ones will be."""

    def __init__(self, project: Project, store: Store, clock: Clock) -> None:
        super().__init__("drill calendar", first_s=PAUSE_S, trouble_s=TROUBLE_S)
        self._project, self._store, self._clock = project, store, clock

    def turn(self) -> float:
        if self._project.config.drills is not None:
            self.look()
        return PAUSE_S

    def look(self) -> None:
        """One look at the calendar."""
        now = self._clock.now()
        with self._store.read() as tx:
            found = calendar(tx, self._project, now)
        if any(one.overdue or one.planned is not None for one in found):
            with self._store.begin() as tx:
                for one in found:
                    self._heed(tx, one, now)

    def _heed(self, tx: Transaction, one: Due, now: datetime) -> None:
        if one.planned is not None and now >= one.due - NOTICE:
            self._plan(tx, one, one.planned, now)
        if one.overdue:
            tx.alerts.put(alerts.of_missed_drill(one.model, one.text, one.due, now))

    def _plan(self, tx: Transaction, one: Due, planned: datetime, now: datetime) -> None:
        """In the audit log before its time comes; people are told when it has."""
        key, known = f"{PLANNED_KEY}{one.model}", {"due": iso_z(one.due), "at": iso_z(planned)}
        stored = tx.settings.get(key)
        if stored is None or stored.value != known:
            tx.settings.put(key, known, now)
            tx.audit.append(ACTOR, "drill.plan", one.model, known, now)
        if planned <= now and not one.overdue:
            tx.alerts.put(alerts.of_drill_time(one.model, planned, now))
