"""Who fills which place: an approval of two functions is one by two people, whatever either of them may sign as."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from seatrial.governance.approvals.policy import Level

ANYONE: Final = ""


@dataclass(frozen=True, slots=True)
class Seat:
    """One person is asked for. ``role``: the function, or ANYONE; ``by``: who fills it, if anybody does."""

    role: str
    by: str | None = None

    @property
    def text(self) -> str:
        return f"of role {self.role}" if self.role else "of anybody who may approve"


def seats(wanted: Level, people: Mapping[str, frozenset[str]]) -> tuple[Seat, ...]:
    """The seats of a level with as many filled as can be; each person fills one. ``people``: what each may sign as.

    >>> risk, both = frozenset({"risk"}), frozenset({"risk", "clinical"})
    >>> [seat.by for seat in seats(Level(roles=("clinical", "risk")), {"ann": both, "bob": risk})]
    ['ann', 'bob']
    """
    roles = (*wanted.roles, *(ANYONE,) * (wanted.people - len(wanted.roles)))
    taken: dict[int, str] = {}
    for person in people:
        _seat(person, roles, people, taken, set())
    return tuple(Seat(role, taken.get(n)) for n, role in enumerate(roles))


def _seat(
    person: str, roles: Sequence[str], people: Mapping[str, frozenset[str]], taken: dict[int, str], tried: set[int]
) -> bool:
    """Find a seat, moving others to another one of theirs where that frees it (Kuhn 1955, augmenting paths)."""
    for n, role in enumerate(roles):
        if n in tried or (role != ANYONE and role not in people[person]):
            continue
        tried.add(n)
        if n not in taken or _seat(taken[n], roles, people, taken, tried):
            taken[n] = person
            return True
    return False
