"""The outbox of alerts: an alert is written in the transaction of what it tells, and delivered afterwards.

So an alert exists exactly when the thing is recorded, once for each key, whatever crashes. Each target has its own
deliveries: a receiver that is down keeps nothing from the others.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from seatrial.store.alert import Alert
from seatrial.store.canonical import as_utc, canonical
from seatrial.store.schema import alerts, deliveries

State = Literal["pending", "delivered", "failed"]

PRUNED_AT_ONCE: Final = 500
"""Rows that one statement deletes: a store bounds how many values one may name."""

UNDELIVERED: Final[tuple[State, ...]] = ("pending", "failed")


@dataclass(frozen=True, slots=True)
class StoredAlert:
    """An alert with its number, which rises in the order of writing."""

    seq: int
    alert: Alert


@dataclass(frozen=True, slots=True)
class Delivery:
    """How far an alert got with one target. ``next_at``: when a pending one is tried next."""

    alert: int
    target: str
    state: State
    attempts: int
    next_at: datetime
    last_error: str


class Outbox:
    """Alerts and their deliveries, inside the caller's transaction."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def put(self, alert: Alert) -> bool:
        """Keep an alert; False if one of this key is there, which stays as it is."""
        known = select(alerts.c.seq).where(alerts.c.key == alert.key)
        if self._db.execute(known).first() is not None:
            return False
        row = {name: getattr(alert, name) for name in ("key", "kind", "severity", "object")}
        document = canonical({"text": alert.text, "model": alert.model, "detail": dict(alert.detail)})
        self._db.execute(insert(alerts).values(**row, document=document, created_at=alert.at))
        return True

    def latest(self, limit: int) -> tuple[StoredAlert, ...]:
        """Newest first."""
        return tuple(map(_stored, self._db.execute(select(alerts).order_by(alerts.c.seq.desc()).limit(limit))))

    def after(self, seq: int) -> tuple[StoredAlert, ...]:
        """Those written after a number, oldest first."""
        query = select(alerts).where(alerts.c.seq > seq).order_by(alerts.c.seq)
        return tuple(map(_stored, self._db.execute(query)))

    def get(self, seq: int) -> StoredAlert:
        return _stored(self._db.execute(select(alerts).where(alerts.c.seq == seq)).one())

    def newest(self) -> int:
        """The highest number; 0 of an empty outbox."""
        return self._db.execute(select(func.max(alerts.c.seq))).scalar() or 0

    def send(self, seq: int, target: str, now: datetime) -> None:
        """Have an alert delivered to a target, from now on."""
        row = {"alert": seq, "target": target, "state": "pending", "attempts": 0, "next_at": now, "last_error": ""}
        self._db.execute(insert(deliveries).values(row))

    def due(self, target: str, now: datetime, limit: int = 20) -> tuple[Delivery, ...]:
        """Pending deliveries whose time has come, oldest alert first."""
        query = select(deliveries).where(deliveries.c.target == target, deliveries.c.state == "pending")
        query = query.where(deliveries.c.next_at <= as_utc(now)).order_by(deliveries.c.alert).limit(limit)
        return tuple(Delivery(**row._mapping) for row in self._db.execute(query))

    def deliveries(self, seq: int) -> tuple[Delivery, ...]:
        """Where an alert went, by target."""
        query = select(deliveries).where(deliveries.c.alert == seq).order_by(deliveries.c.target)
        return tuple(Delivery(**row._mapping) for row in self._db.execute(query))

    def settle(self, delivery: Delivery) -> None:
        """Write what came of an attempt."""
        key = (deliveries.c.alert == delivery.alert, deliveries.c.target == delivery.target)
        values = {name: getattr(delivery, name) for name in ("state", "attempts", "next_at", "last_error")}
        self._db.execute(update(deliveries).where(*key).values(values))

    def retry(self, now: datetime, target: str | None = None) -> int:
        """Begin anew with what has failed, and with what waits for its next attempt; returns how many."""
        query = update(deliveries).where(deliveries.c.state.in_(UNDELIVERED))
        if target is not None:
            query = query.where(deliveries.c.target == target)
        return self._db.execute(query.values(state="pending", attempts=0, next_at=as_utc(now))).rowcount

    def prune(self, before: datetime) -> int:
        """Forget alerts from before a time that no receiver waits for; returns how many.

        The newest one always stays: numbers go on from it, and readers know by their number how far they have come.
        """
        waiting = select(deliveries.c.alert).where(deliveries.c.state.in_(UNDELIVERED))
        newest = select(func.max(alerts.c.seq)).scalar_subquery()
        old = select(alerts.c.seq).where(
            alerts.c.created_at < as_utc(before), alerts.c.seq < newest, alerts.c.seq.not_in(waiting)
        )
        gone = [row.seq for row in self._db.execute(old)]
        for at in range(0, len(gone), PRUNED_AT_ONCE):
            some = gone[at : at + PRUNED_AT_ONCE]
            self._db.execute(delete(deliveries).where(deliveries.c.alert.in_(some)))
            self._db.execute(delete(alerts).where(alerts.c.seq.in_(some)))
        return len(gone)

    def undelivered(self) -> dict[tuple[str, str], int]:
        """How many are not delivered, by target and state."""
        query = select(deliveries.c.target, deliveries.c.state, func.count()).where(deliveries.c.state.in_(UNDELIVERED))
        rows = self._db.execute(query.group_by(deliveries.c.target, deliveries.c.state))
        return {(target, state): count for target, state, count in rows}


def _stored(row: Row[Any]) -> StoredAlert:
    document = json.loads(row.document)
    told = {name: getattr(row, name) for name in ("key", "kind", "severity", "object")}
    return StoredAlert(row.seq, Alert(**told, at=row.created_at, **document))
