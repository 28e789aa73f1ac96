"""Rollouts: the plan as it was, the state as it is, one active one a model."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Integer, cast, func, insert, select, update

from seatrial.errors import Conflict, NotFound
from seatrial.ids import ModelName, RolloutId, VersionNumber
from seatrial.store.schema import rollouts


@dataclass(frozen=True, slots=True)
class StoredRollout:
    """A rollout as stored: ``plan`` and ``state`` are JSON text; ``revision`` rises with every save."""

    id: RolloutId
    model: ModelName
    candidate: VersionNumber
    champion: VersionNumber
    plan: str
    state: str
    status: str
    active: bool
    revision: int
    created_at: datetime
    updated_at: datetime


class Rollouts:
    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def next_id(self) -> RolloutId:
        """``r-0001``, ``r-0002``, ... It is taken by ``create`` in the same transaction."""
        number = cast(func.substr(rollouts.c.id, 3), Integer)
        highest = self._db.execute(select(func.max(number)).where(rollouts.c.id.like("r-%"))).scalar()
        return RolloutId(f"r-{(highest or 0) + 1:04d}")

    def create(
        self,
        id: str,
        model: str,
        candidate: int,
        champion: int,
        plan_json: str,
        state_json: str,
        now: datetime,
        *,
        status: str = "running",
    ) -> StoredRollout:
        """Store an active rollout at revision 1. ``Conflict`` names the one that is active already."""
        for other in self.list(model, active=True):
            raise Conflict(
                "ST0660",
                f"model {model!r} is in rollout {other.id} (v{other.candidate}, {other.status}).",
                remedy=f"Wait for it, or end it with `seatrial rollout abort {other.id}`.",
            )
        values = {
            "id": id,
            "model": model,
            "candidate": candidate,
            "champion": champion,
            "plan": plan_json,
            "state": state_json,
            "status": status,
            "active": True,
            "revision": 1,
            "created_at": now,
            "updated_at": now,
        }
        self._db.execute(insert(rollouts).values(values))
        return self.get(id)

    def get(self, id: str) -> StoredRollout:
        row = self._db.execute(select(rollouts).where(rollouts.c.id == id)).first()
        if row is None:
            raise NotFound("ST0661", f"there is no rollout {id!r}.", remedy="See `seatrial rollout list`.")
        return StoredRollout(**row._mapping)

    def list(self, model: str | None = None, active: bool | None = None) -> tuple[StoredRollout, ...]:
        """Rollouts, oldest first: of one model, or active ones only (or finished ones only)."""
        query = select(rollouts).order_by(rollouts.c.created_at, rollouts.c.id)
        if model is not None:
            query = query.where(rollouts.c.model == model)
        if active is not None:
            query = query.where(rollouts.c.active == active)
        return tuple(StoredRollout(**row._mapping) for row in self._db.execute(query))

    def save(
        self, id: str, state_json: str, status: str, *, expected_revision: int, active: bool, now: datetime
    ) -> int:
        """Write state and status over ``expected_revision`` and return the new revision; ``Conflict`` if it is another.

        ``active=False`` ends the rollout and frees the model for the next one; that is final.
        """
        change = (
            update(rollouts)
            .where(rollouts.c.id == id, rollouts.c.revision == expected_revision)
            .where(rollouts.c.active.is_(True))
            .values(state=state_json, status=status, active=active, revision=expected_revision + 1, updated_at=now)
        )
        if self._db.execute(change).rowcount == 0:
            self._explain(self.get(id), expected_revision)
        return expected_revision + 1

    def _explain(self, stored: StoredRollout, expected_revision: int) -> None:
        if not stored.active:
            raise Conflict("ST0662", f"rollout {stored.id} is over ({stored.status}).")
        raise Conflict(
            "ST0663",
            f"rollout {stored.id} is at revision {stored.revision}, expected {expected_revision}.",
            remedy="Somebody else saved it: load it again and decide on what is there.",
        )
