"""Who may do what: people with a token each, and their roles."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from seatrial.errors import UsageError

_NAME: Final = re.compile(r"[A-Za-z0-9._@+-]{1,64}")
_RESERVED: Final = frozenset({"local", "controller"})  # actors in the audit log that are not a person


class Role(StrEnum):
    """What somebody may do. ``reporter`` stands beside the ladder: it sends outcomes, and does nothing else."""

    REPORTER = "reporter"
    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"
    ADMIN = "admin"

    def includes(self, needed: Role) -> bool:
        """Whether who has this role may do what ``needed`` may.

        >>> Role.OPERATOR.includes(Role.VIEWER), Role.OPERATOR.includes(Role.APPROVER)
        (True, False)
        >>> Role.REPORTER.includes(Role.VIEWER), Role.VIEWER.includes(Role.REPORTER)
        (False, False)
        """
        return needed is self or needed in _BELOW[self]


_BELOW: Final[Mapping[Role, frozenset[Role]]] = {
    Role.REPORTER: frozenset(),
    Role.VIEWER: frozenset(),
    Role.OPERATOR: frozenset({Role.REPORTER, Role.VIEWER}),
    Role.APPROVER: frozenset({Role.REPORTER, Role.VIEWER, Role.OPERATOR}),
    Role.ADMIN: frozenset({Role.REPORTER, Role.VIEWER, Role.OPERATOR, Role.APPROVER}),
}


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody (or some pipeline) with a token of their own. ``expires_at`` is exclusive; None: it does not."""

    name: str
    role: Role
    created_at: datetime
    created_by: str
    expires_at: datetime | None = None

    def __post_init__(self) -> None:
        check_person(self.name)

    def expired(self, now: datetime) -> bool:
        return self.expires_at is not None and now >= self.expires_at


def check_person(name: str) -> str:
    """The name if it is legal: it is written into the audit log as the actor.

    >>> check_person("ann@example.com")
    'ann@example.com'
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            "ST0622",
            f"{name!r} is not a person's name.",
            remedy="Use 1 to 64 letters, digits and . _ @ + - (an e-mail address will do).",
        )
    if name in _RESERVED:
        raise UsageError("ST0624", f"the name {name!r} is kept for seatrial itself.", remedy="Choose another one.")
    return name
