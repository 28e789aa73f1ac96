"""Every model at a glance, in as many queries for a thousand models as for one."""

from __future__ import annotations

from sqlalchemy import Connection, Select, func, select

from seatrial.ids import ModelName, VersionNumber
from seatrial.store.pointers import PointerName
from seatrial.store.rollouts import StoredRollout
from seatrial.store.schema import audit_head, pointers, rollouts, versions


class Overview:
    """Reads over all models at once."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def pointers(self) -> dict[ModelName, dict[PointerName, VersionNumber]]:
        """The pointers that are set, by model."""
        found: dict[ModelName, dict[PointerName, VersionNumber]] = {}
        for row in self._db.execute(select(pointers.c.model, pointers.c.name, pointers.c.version)):
            found.setdefault(row.model, {})[row.name] = row.version
        return found

    def version_counts(self) -> dict[ModelName, int]:
        """How many versions each model has."""
        query = select(versions.c.model, func.count()).group_by(versions.c.model)
        return {ModelName(model): n for model, n in self._db.execute(query)}

    def latest_rollouts(self) -> tuple[StoredRollout, ...]:
        """One a model: the active one, or else the latest."""
        order = (rollouts.c.active.desc(), rollouts.c.created_at.desc(), rollouts.c.id.desc())
        place = func.row_number().over(partition_by=rollouts.c.model, order_by=order).label("place")
        ranked = select(rollouts, place).subquery()
        query = select(*(ranked.c[column.name] for column in rollouts.c)).where(ranked.c.place == 1)
        return _rollouts(self._db, query.order_by(ranked.c.model))

    def finished_rollouts(self, limit: int) -> tuple[StoredRollout, ...]:
        """The rollouts that ended last, the newest first."""
        query = select(rollouts).where(rollouts.c.active.is_(False))
        return _rollouts(self._db, query.order_by(rollouts.c.updated_at.desc(), rollouts.c.id.desc()).limit(limit))

    def marks(self) -> dict[str, int]:
        """What rises with every change: the revision of each active rollout by its id, and the audit log's length.

        Cheap enough to be asked all the time; a rollout that ends is missing from then on.
        """
        query = select(rollouts.c.id, rollouts.c.revision).where(rollouts.c.active.is_(True))
        marks: dict[str, int] = {row.id: row.revision for row in self._db.execute(query)}
        return {**marks, "audit": self._db.execute(select(audit_head.c.seq)).scalar() or 0}


def _rollouts(connection: Connection, query: Select[tuple[object, ...]]) -> tuple[StoredRollout, ...]:
    return tuple(StoredRollout(**row._mapping) for row in connection.execute(query))
