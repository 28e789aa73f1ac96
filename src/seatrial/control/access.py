"""Letting people in and putting them out; a token is shown once, and only its digest is kept."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime

from seatrial.control.documents.views import Document, listing
from seatrial.errors import UsageError
from seatrial.ids import Digest
from seatrial.registry.people import Person, Role
from seatrial.store.canonical import digest_of_bytes, iso_z
from seatrial.store.db import Store
from seatrial.values import Duration

PREFIX = "st_"
"""Makes a token that leaked into a repository or a log easy to find."""

MAX_LIFE_S = 10 * 366 * 86_400.0


@dataclass(frozen=True, slots=True)
class Grant:
    """``token`` exists nowhere else: who loses it is granted another one."""

    person: Person
    token: str = field(repr=False)


def token_digest(token: str) -> Digest:
    """What is kept of a token. It is 256 random bits, so a plain hash cannot be guessed back."""
    return digest_of_bytes(token.encode("utf-8", "replace"))


def grant(store: Store, name: str, role: Role, *, expires: Duration | None, actor: str, now: datetime) -> Grant:
    """Let somebody in, or give them a new role and a new token. ``expires``: how long the token holds."""
    if expires is not None and not 0 < expires.seconds <= MAX_LIFE_S:
        raise UsageError(
            "ST0859", f"access of {name!r}: a token cannot hold for {expires}.", remedy="Between 1s and 3660d."
        )
    token = PREFIX + secrets.token_urlsafe(32)
    until = None if expires is None else now + expires.delta
    with store.begin() as tx:
        person = tx.people.grant(name, role, token_digest(token), actor=actor, now=now, expires_at=until)
    return Grant(person, token)


def revoke(store: Store, name: str, *, actor: str, now: datetime) -> None:
    """End somebody's token and, with it, their sessions. Raises NotFound."""
    with store.begin() as tx:
        tx.people.revoke(name, actor=actor, now=now)


def listed(store: Store, now: datetime) -> Document:
    """Who has access; never a token nor its digest."""
    with store.read() as tx:
        return listing("seatrial.people.v1", "people", (_line(person, now) for person in tx.people.list()))


def grant_document(granted: Grant, now: datetime) -> Document:
    return {"schema": "seatrial.grant.v1", **_line(granted.person, now), "token": granted.token}


def _line(person: Person, now: datetime) -> Document:
    return {
        "name": person.name,
        "role": person.role.value,
        "expires": None if person.expires_at is None else iso_z(person.expires_at),
        "expired": person.expired(now),
        "granted": iso_z(person.created_at),
        "grantedBy": person.created_by,
    }
