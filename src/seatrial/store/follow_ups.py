"""Rollouts that are followed after their end, and what was found at each reconciliation, never changed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from seatrial.ids import ModelName, RolloutId
from seatrial.store.canonical import as_utc
from seatrial.store.schema import follow_ups, reconciliations


@dataclass(frozen=True, slots=True)
class StoredFollowUp:
    """``since``: the canary's first exposure, before which nothing is needed; ``next_at``: when it is looked at next.

    ``next_at`` is None when everything is done. ``document`` is JSON: what is planned.
    """

    rollout: RolloutId
    model: ModelName
    since: datetime
    next_at: datetime | None
    document: str


@dataclass(frozen=True, slots=True)
class StoredReconciliation:
    """What was known at ``at``; another ``revision`` of the same moment when later records said something else."""

    rollout: RolloutId
    at: datetime
    revision: int
    taken_at: datetime
    actor: str
    document: str


class FollowUps:
    """Inside the caller's transaction."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def open(self, follow_up: StoredFollowUp) -> None:
        """Begin to follow a rollout that is over."""
        self._db.execute(insert(follow_ups).values(asdict(follow_up)))

    def find(self, rollout: str) -> StoredFollowUp | None:
        row = self._db.execute(select(follow_ups).where(follow_ups.c.rollout == rollout)).first()
        return None if row is None else StoredFollowUp(**row._mapping)

    def due(self, now: datetime) -> tuple[StoredFollowUp, ...]:
        """Those whose next look has come, the longest overdue first."""
        query = select(follow_ups).where(follow_ups.c.next_at <= as_utc(now))
        query = query.order_by(follow_ups.c.next_at, follow_ups.c.rollout)
        return tuple(StoredFollowUp(**row._mapping) for row in self._db.execute(query))

    def open_since(self, model: str) -> tuple[datetime, ...]:
        """The first exposures of the model's rollouts that are still followed: from then on, events are needed."""
        query = select(follow_ups.c.since).where(follow_ups.c.model == model, follow_ups.c.next_at.is_not(None))
        return tuple(row.since for row in self._db.execute(query))

    def move(self, rollout: str, next_at: datetime | None) -> None:
        """When it is looked at next."""
        self._db.execute(update(follow_ups).where(follow_ups.c.rollout == rollout).values(next_at=next_at))

    def put(self, rollout: str, at: datetime, document: str, *, taken_at: datetime, actor: str) -> bool:
        """Keep what was found; False if the latest of this moment says the same."""
        found = [one for one in self.results(rollout) if one.at == as_utc(at)]
        if found and found[-1].document == document:
            return False
        row = StoredReconciliation(RolloutId(rollout), as_utc(at), len(found) + 1, as_utc(taken_at), actor, document)
        self._db.execute(insert(reconciliations).values(asdict(row)))
        return True

    def results(self, rollout: str) -> tuple[StoredReconciliation, ...]:
        """Everything that was found of a rollout, by moment and revision."""
        query = select(reconciliations).where(reconciliations.c.rollout == rollout)
        query = query.order_by(reconciliations.c.at, reconciliations.c.revision)
        return tuple(StoredReconciliation(**row._mapping) for row in self._db.execute(query))
