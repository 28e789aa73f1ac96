"""Incidents: opened once for what happened, closed once by somebody who chose; both are audited."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Connection, func, insert, select, update

from seatrial.errors import Conflict, NotFound
from seatrial.ids import ModelName, RolloutId
from seatrial.store.audit import AuditLog
from seatrial.store.canonical import as_utc
from seatrial.store.schema import incidents


@dataclass(frozen=True, slots=True)
class StoredIncident:
    """``key`` is what happened to what; ``document`` is JSON: what was known when it was opened."""

    id: str
    key: str
    rollout: RolloutId
    model: ModelName
    opened_at: datetime
    document: str
    choice: str | None = None
    reason: str = ""
    closed_at: datetime | None = None
    closed_by: str = ""

    @property
    def open(self) -> bool:
        return self.choice is None


class Incidents:
    """Inside the caller's transaction."""

    def __init__(self, connection: Connection, audit: AuditLog) -> None:
        self._db, self._audit = connection, audit

    def open(self, key: str, rollout: str, model: str, document: str, *, now: datetime) -> StoredIncident | None:
        """A new incident; None if there is one of this key, open or closed."""
        if self._db.execute(select(incidents.c.id).where(incidents.c.key == key)).first() is not None:
            return None
        count = self._db.execute(select(func.count()).select_from(incidents)).scalar() or 0
        found = StoredIncident(f"i-{count + 1:04d}", key, RolloutId(rollout), ModelName(model), as_utc(now), document)
        self._db.execute(insert(incidents).values(asdict(found)))
        self._audit.append("seatrial", "incident.open", found.id, {"rollout": rollout, "what": key}, now)
        return found

    def get(self, id: str) -> StoredIncident:
        row = self._db.execute(select(incidents).where(incidents.c.id == id)).first()
        if row is None:
            raise NotFound("ST0328", f"there is no incident {id!r}.", remedy="See `seatrial incidents list`.")
        return StoredIncident(**row._mapping)

    def list(self, *, rollout: str | None = None, open_only: bool = False) -> tuple[StoredIncident, ...]:
        """Oldest first."""
        query = select(incidents).order_by(incidents.c.id)
        if rollout is not None:
            query = query.where(incidents.c.rollout == rollout)
        if open_only:
            query = query.where(incidents.c.choice.is_(None))
        return tuple(StoredIncident(**row._mapping) for row in self._db.execute(query))

    def close(self, id: str, choice: str, reason: str, *, actor: str, now: datetime) -> StoredIncident:
        """What was chosen, by whom and why. ``Conflict`` if it is closed already."""
        found = self.get_open(id)
        values = {"choice": choice, "reason": reason, "closed_at": as_utc(now), "closed_by": actor}
        self._db.execute(update(incidents).where(incidents.c.id == id).values(values))
        self._audit.append(
            actor, "incident.close", id, {"choice": choice, "reason": reason, "rollout": found.rollout}, now
        )
        return self.get(id)

    def get_open(self, id: str) -> StoredIncident:
        """One that waits for a choice. ``Conflict`` if it is closed already."""
        found = self.get(id)
        if not found.open:
            raise Conflict(
                "ST0329", f"incident {id} was closed by {found.closed_by} ({found.choice}): {found.reason}.",
                remedy="A choice is not changed; act on it with `seatrial rollback` or a new rollout.",
            )  # fmt: skip
        return found
