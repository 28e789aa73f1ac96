"""What releases need before they begin: ``approvals:`` in seatrial.yaml."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal, get_args

from seatrial.governance.approvals.identity import Identities
from seatrial.registry.people import Role
from seatrial.values import Duration, to_camel

_CONFIG: dict[str, Any] = {"extra": "forbid", "alias_generator": to_camel, "populate_by_name": True}
_DAY: Final = 86_400.0

Meaning = Literal["author", "review", "approval", "responsibility"]
"""What a signature says of whoever gives it (21 CFR 11.50)."""

MEANINGS: Final[tuple[Meaning, ...]] = get_args(Meaning)
RELEASES: Final[frozenset[Meaning]] = frozenset({"approval", "responsibility"})
"""Meanings that let something be released; the others are on the record beside them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """So many people, and one of each function in ``roles`` among them. ``within``: how long they have."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    count: int = 1
    roles: tuple[str, ...] = ()
    within: Duration | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.count <= 99:
            raise ValueError(f"{self.count} approvals cannot be asked for")

    @property
    def people(self) -> int:
        return max(self.count, len(self.roles))

    def stricter(self, other: Level) -> Level:
        """As many people as either asks for, every function that either names, and the shorter time.

        >>> Level(count=2).stricter(Level(count=1, roles=("risk",)))
        Level(count=2, roles=('risk',), within=None)
        """
        spans = [span for span in (self.within, other.within) if span is not None]
        roles = (Counter(self.roles) | Counter(other.roles)).elements()
        return Level(count=max(self.people, other.people), roles=tuple(sorted(roles)), within=min(spans, default=None))


NOBODY: Final = Level(count=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Emergency:
    """Who may let a release begin without its approvals, for how long, and how soon that is reviewed.

    ``roles``: functions, or roles of access; admins unless said otherwise.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    roles: tuple[str, ...] = ("admin",)
    lasts: Duration = Duration(4 * 3600.0, "4h")
    review_within: Duration = Duration(3 * _DAY, "3d")

    def __post_init__(self) -> None:
        if not self.roles or min(self.lasts.seconds, self.review_within.seconds) <= 0:
            raise ValueError("emergency names a role, and spans of time that are not empty")


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalPolicy:
    """``people``: other names of a person. ``roles``: who holds which function. ``teams``: who belongs to the owner of
    a model, and so does not judge it independently.

    ``least``: what every release needs; its change may need more, by its triage. ``expires``: how long a signature may
    wait for the release it is for.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    people: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    teams: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    least: Level = NOBODY
    expires: Duration = Duration(30 * _DAY, "30d")
    emergency: Emergency = field(default_factory=Emergency)

    def __post_init__(self) -> None:
        Identities(self.people)
        if taken := set(self.roles) & set(Role):
            raise ValueError(f"roles: {min(taken)!r} is a role of access")
        if problem := self.unfilled(self.least) or self.unfilled(Level(roles=self.emergency.roles)):
            raise ValueError(problem)
        if self.expires.seconds <= 0:
            raise ValueError("expires is a span of time that is not empty")

    def unfilled(self, level: Level) -> str:
        """Which function of a level too few people hold for it ever to be given; empty if none."""
        who = self.identities.who
        for role, count in Counter(level.roles).items():
            held = len({who(name) for name in self.roles.get(role, ())})
            if role not in set(Role) and held < count:
                return f"role {role!r} is asked for {count} times, and held by {held or 'nobody'}"
        return ""

    @property
    def identities(self) -> Identities:
        return Identities(self.people)

    def functions(self, name: str, role: Role | None) -> frozenset[str]:
        """What somebody may sign as: their functions, and what their role of access includes."""
        identities = self.identities
        held = {function for function, names in self.roles.items() if any(identities.same(name, n) for n in names)}
        return frozenset(held | {other.value for other in Role if role is not None and role.includes(other)})

    def in_team(self, name: str, owner: str) -> bool:
        """Whether somebody belongs to those who own a model."""
        return any(self.identities.same(name, member) for member in self.teams.get(owner, ()))
