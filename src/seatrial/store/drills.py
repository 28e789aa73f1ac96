"""Drills: what was done and seen, step by step, and what people made of it; one document each, saved by revision."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from seatrial.errors import Conflict, NotFound
from seatrial.governance.drills.steps import Progress, Status, progress
from seatrial.ids import ModelName
from seatrial.store.canonical import as_utc, canonical
from seatrial.store.schema import drills


@dataclass(frozen=True, slots=True)
class StoredDrill:
    """``document``: plain JSON; its ``steps`` are those that are done."""

    id: str
    model: ModelName
    status: Status
    started_at: datetime
    revision: int
    document: Mapping[str, Any]

    @property
    def progress(self) -> Progress:
        return progress(self.id, self.status, [step["name"] for step in self.document["steps"]])


class Drills:
    """Inside the caller's transaction."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def create(self, model: str, document: Mapping[str, Any], now: datetime) -> StoredDrill:
        """A drill that begins. ``Conflict`` (ST0370) while another one of the model runs."""
        for other in self.list(model):
            if other.status == "running":
                raise Conflict(
                    "ST0370", f"model '{model}' is in drill {other.id}.",
                    remedy=f"`seatrial drill run {model}` goes on with it, `seatrial drill abort {other.id}` ends it.",
                )  # fmt: skip
        count = self._db.execute(select(func.count()).select_from(drills)).scalar() or 0
        id = f"d-{count + 1:04d}"
        values = {"id": id, "model": model, "status": "running", "started_at": as_utc(now), "revision": 1}
        self._db.execute(insert(drills).values(**values, document=canonical(document)))
        return self.get(id)

    def get(self, id: str) -> StoredDrill:
        """Raises NotFound (ST0371)."""
        row = self._db.execute(select(drills).where(drills.c.id == id)).first()
        if row is None:
            raise NotFound("ST0371", f"there is no drill '{id}'.", remedy="See `seatrial drill list`.")
        return _stored(row)

    def list(self, model: str | None = None) -> tuple[StoredDrill, ...]:
        """Oldest first."""
        query = select(drills).order_by(drills.c.id)
        if model is not None:
            query = query.where(drills.c.model == model)
        return tuple(_stored(row) for row in self._db.execute(query))

    def save(self, drill: StoredDrill, document: Mapping[str, Any], status: Status | None = None) -> StoredDrill:
        """Over the revision that was read; ``Conflict`` (ST0372) if somebody else saved it since."""
        change = (
            update(drills)
            .where(drills.c.id == drill.id, drills.c.revision == drill.revision)
            .values(status=status or drill.status, revision=drill.revision + 1, document=canonical(document))
        )
        if self._db.execute(change).rowcount == 0:
            raise Conflict("ST0372", f"drill {drill.id} was changed by somebody else, or aborted, meanwhile.",
                           remedy=f"`seatrial drill report {drill.id}` shows where it stands.")  # fmt: skip
        return self.get(drill.id)


def _stored(row: Row[Any]) -> StoredDrill:
    return StoredDrill(**{**row._mapping, "document": json.loads(row.document)})
