"""From a token to who holds it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from secrets import compare_digest
from typing import Final

from seatrial.control.access import token_digest
from seatrial.ids import Digest
from seatrial.registry.people import Person, Role

LOCAL: Final = "local"
"""Who holds the project's own token and does not say more."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls, and what they may do. ``credential``: the digest of the token that showed it."""

    name: str
    role: Role
    credential: Digest = Digest("")

    def may(self, needed: Role) -> bool:
        return self.role.includes(needed)


class Credentials:
    """The project's own token, whose holder is admin, and those of people in the store.

    Tokens are compared by their digests: neither the comparison nor the database's index tells anything of a token by
    the time it takes.
    """

    def __init__(self, token: str, find: Callable[[Digest], Person | None]) -> None:
        self._local, self._find = token_digest(token), find

    def of_token(self, token: str, named: str, now: datetime) -> Principal | None:
        """Whose token this is; None if it is nobody's, or has run out. ``named``: who the local caller says it is."""
        return self.of_digest(token_digest(token), named, now)

    def of_digest(self, digest: Digest, named: str, now: datetime) -> Principal | None:
        """The same, by the token's digest. Raises Unavailable when the store does not answer."""
        if compare_digest(digest, self._local):
            return Principal(named or LOCAL, Role.ADMIN, digest)
        person = self._find(digest)
        if person is None or person.expired(now):
            return None
        return Principal(person.name, person.role, digest)
