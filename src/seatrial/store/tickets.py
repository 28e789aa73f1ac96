"""Tickets of re-validation: what was found, which strata it is about, and what people made of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from seatrial.errors import Conflict, NotFound
from seatrial.ids import ModelName
from seatrial.store.audit import AuditLog
from seatrial.store.canonical import as_utc, canonical
from seatrial.store.schema import tickets


@dataclass(frozen=True, slots=True)
class StoredTicket:
    """``key`` says what it is about: while a ticket of a key is open there is no second one."""

    id: str
    model: ModelName
    key: str
    opened_at: datetime
    opened_by: str
    document: Mapping[str, Any]
    closed_at: datetime | None
    closed_by: str
    resolution: str

    @property
    def open(self) -> bool:
        return self.closed_at is None


class Tickets:
    """Inside the caller's transaction."""

    def __init__(self, connection: Connection, audit: AuditLog) -> None:
        self._db, self._audit = connection, audit

    def open(
        self, model: str, key: str, document: Mapping[str, Any], *, actor: str, now: datetime
    ) -> tuple[StoredTicket, bool]:
        """The open ticket of this key and False, or a new one and True."""
        same = select(tickets).where(tickets.c.key == key, tickets.c.model == model, tickets.c.closed_at.is_(None))
        if (known := self._db.execute(same).first()) is not None:
            return _stored(known), False
        count = self._db.execute(select(func.count()).select_from(tickets)).scalar() or 0
        id = f"v-{count + 1:04d}"
        row = {"id": id, "model": model, "key": key, "opened_at": as_utc(now), "opened_by": actor}
        rest = {"document": canonical(document), "closed_at": None, "closed_by": "", "resolution": ""}
        self._db.execute(insert(tickets).values({**row, **rest}))
        self._audit.append(actor, "ticket.open", id, {"model": model, **document}, now)
        return self.get(id), True

    def get(self, id: str) -> StoredTicket:
        """Raises NotFound (ST1440)."""
        row = self._db.execute(select(tickets).where(tickets.c.id == id)).first()
        if row is None:
            raise NotFound("ST1440", f"there is no ticket '{id}'.", remedy="See `seatrial change tickets list`.")
        return _stored(row)

    def list(self, model: str | None = None, *, open_only: bool = False) -> tuple[StoredTicket, ...]:
        """Oldest first."""
        query = select(tickets).order_by(tickets.c.id)
        if model is not None:
            query = query.where(tickets.c.model == model)
        if open_only:
            query = query.where(tickets.c.closed_at.is_(None))
        return tuple(_stored(row) for row in self._db.execute(query))

    def close(self, id: str, resolution: str, *, actor: str, now: datetime) -> StoredTicket:
        """``Conflict`` (ST1441) for one that is closed."""
        ticket = self.get(id)
        if not ticket.open:
            raise Conflict("ST1441", f"ticket {id} was closed by {ticket.closed_by}: {ticket.resolution}.",
                           remedy="What is found from now on opens another one.")  # fmt: skip
        values = {"closed_at": as_utc(now), "closed_by": actor, "resolution": resolution}
        self._db.execute(update(tickets).where(tickets.c.id == id).values(values))
        self._audit.append(actor, "ticket.close", id, {"model": ticket.model, "resolution": resolution}, now)
        return self.get(id)


def _stored(row: Row[Any]) -> StoredTicket:
    return StoredTicket(**{**row._mapping, "document": json.loads(row.document)})
