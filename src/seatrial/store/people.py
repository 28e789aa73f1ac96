"""People and the digests of their tokens; who was let in and who was put out is audited."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select

from seatrial.errors import NotFound
from seatrial.ids import Digest
from seatrial.registry.people import Person, Role
from seatrial.store.audit import AuditLog
from seatrial.store.canonical import as_utc
from seatrial.store.schema import people


class People:
    def __init__(self, connection: Connection, audit: AuditLog) -> None:
        self._db, self._audit = connection, audit

    def list(self) -> tuple[Person, ...]:
        """Everybody, by name; those whose token ran out too."""
        return tuple(_person(row) for row in self._db.execute(select(people).order_by(people.c.name)))

    def find(self, token_digest: str) -> Person | None:
        """Whose token this is the digest of; it may have run out."""
        row = self._db.execute(select(people).where(people.c.token_digest == token_digest)).first()
        return None if row is None else _person(row)

    def grant(
        self, name: str, role: Role, token_digest: Digest, *, actor: str, now: datetime, expires_at: datetime | None
    ) -> Person:
        """Let somebody in. A name that is known gets the new role and the new token; the old token ends."""
        person = Person(name, role, as_utc(now), actor, None if expires_at is None else as_utc(expires_at))
        self._db.execute(delete(people).where(people.c.name == name))
        self._db.execute(insert(people).values(**_row(person), token_digest=token_digest))
        self._audit.append(actor, "access.grant", name, {"role": role, "expires": person.expires_at}, now)
        return person

    def revoke(self, name: str, *, actor: str, now: datetime) -> None:
        """End somebody's token. Raises NotFound."""
        if self._db.execute(delete(people).where(people.c.name == name)).rowcount == 0:
            raise NotFound("ST0623", f"nobody named {name!r} has access.", remedy="See `seatrial access list`.")
        self._audit.append(actor, "access.revoke", name, {}, now)


def _row(person: Person) -> dict[str, Any]:
    return {
        "name": person.name,
        "role": person.role.value,
        "created_at": person.created_at,
        "created_by": person.created_by,
        "expires_at": person.expires_at,
    }


def _person(row: Row[Any]) -> Person:
    return Person(row.name, Role(row.role), row.created_at, row.created_by, row.expires_at)
