"""The audit log is anchored whenever it grew and it is time; what keeps it from that is told."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from seatrial.control.alerting import alerts
from seatrial.control.anchoring.anchoring import Taken, sinks_of, take_anchor
from seatrial.control.anchoring.notes import noted
from seatrial.control.project import Project
from seatrial.control.worker import Worker
from seatrial.errors import IntegrityError, SeatrialError
from seatrial.store.alert import Alert
from seatrial.store.db import Store

PAUSE_S, TROUBLE_S = 30.0, 300.0


class AnchorWatch(Worker):
    """One look after the other; by the wall clock, since an anchor says when the world could see it."""

    def __init__(self, project: Project, store: Store) -> None:
        super().__init__("audit anchors", first_s=PAUSE_S, trouble_s=TROUBLE_S)
        self._project, self._store = project, store

    def turn(self) -> float:
        return PAUSE_S if self.look(datetime.now(UTC)) else TROUBLE_S

    def look(self, now: datetime) -> bool:
        """Anchor what is due. False where a target, or the log itself, does not let it."""
        with self._store.read() as tx:
            head, last = tx.audit.head().seq, noted(tx)
        every = self._project.config.audit.every.delta
        known = sinks_of(self._project)
        sinks = {name: sink for name, sink in known.items() if _due(last.get(name), head, every, now)}
        if not sinks:
            return True
        try:
            taken = take_anchor(self._project, self._store, now, sinks)
        except IntegrityError as error:
            self._tell(alerts.of_broken_audit(None, error.message, now))
            return False
        except SeatrialError as error:  # the key is gone, say: no target gets anything
            self._tell(alerts.of_unanchored("all targets", error.message, now))
            return False
        return self._told(taken, now)

    def _told(self, taken: Taken, now: datetime) -> bool:
        for name, why in taken.failed.items():
            self._tell(alerts.of_unanchored(name, why, now))
        return not taken.failed

    def _tell(self, alert: Alert) -> None:
        with self._store.begin() as tx:
            tx.alerts.put(alert)


def _due(had: Mapping[str, Any] | None, head: int, every: timedelta, now: datetime) -> bool:
    """Whether the last anchor that a target ``had`` is older than ``every``, and not of the last entry."""
    if had is None or not head:
        return head > 0
    return bool(had["seq"] != head and now - datetime.fromisoformat(had["at"]) >= every)
