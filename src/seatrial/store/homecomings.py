"""Ways home as they were taken, with their times, and how fast each standby serves, as it was measured."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select

from seatrial.ids import ModelName, RolloutId, VersionNumber
from seatrial.store.canonical import as_utc
from seatrial.store.schema import homecomings, standby_times


@dataclass(frozen=True, slots=True)
class StoredHomecoming:
    """One way home; ``document`` is JSON: from where to where, why, and its times. ``at``: the clock of the project."""

    model: ModelName
    rollout: RolloutId | None
    at: datetime
    actor: str
    document: str


@dataclass(frozen=True, slots=True)
class StoredStandbyTime:
    """A measurement: ``seconds`` from the request for a standby to its first valid answer, None if none came.

    ``occasion``: promotion, start, drill or by hand; ``document`` is JSON: how it was measured.
    """

    model: ModelName
    version: VersionNumber
    policy: str
    seconds: float | None
    at: datetime
    occasion: str
    document: str


class Homecomings:
    """Inside the caller's transaction. Nothing here is ever changed."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def put(self, found: StoredHomecoming) -> None:
        self._db.execute(insert(homecomings).values({**asdict(found), "at": as_utc(found.at)}))

    def list(self, *, rollout: str | None = None, model: str | None = None) -> tuple[StoredHomecoming, ...]:
        """Oldest first."""
        query = select(*(c for c in homecomings.c if c.name != "seq")).order_by(homecomings.c.seq)
        if rollout is not None:
            query = query.where(homecomings.c.rollout == rollout)
        if model is not None:
            query = query.where(homecomings.c.model == model)
        return tuple(StoredHomecoming(**row._mapping) for row in self._db.execute(query))

    def measured(self, found: StoredStandbyTime) -> None:
        """Keep a measurement."""
        self._db.execute(insert(standby_times).values({**asdict(found), "at": as_utc(found.at)}))

    def latest(self, model: str, policy: str, version: int | None = None) -> StoredStandbyTime | None:
        """The last measurement under a policy; of any version unless one is named."""
        query = select(*(c for c in standby_times.c if c.name != "seq")).order_by(standby_times.c.seq.desc())
        query = query.where(standby_times.c.model == model, standby_times.c.policy == policy)
        if version is not None:
            query = query.where(standby_times.c.version == version)
        row = self._db.execute(query.limit(1)).first()
        return None if row is None else StoredStandbyTime(**row._mapping)
