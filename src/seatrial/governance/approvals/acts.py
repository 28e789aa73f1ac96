"""What people did about a request: each act is written once and stays as it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from seatrial.governance.approvals.policy import Meaning
from seatrial.ids import Digest
from seatrial.registry.people import Role

Kind = Literal["release", "step"]
ActKind = Literal["sign", "reject", "withdraw", "close", "break_glass", "review", "start"]

WORDS: Final[Mapping[str, str]] = {
    "artifact": "the artifact",
    "lineage": "the lineage",
    "ci": "what CI found",
    "plan": "the plan",
    "change": "what it changes",
}
"""Parts of the evidence, for people; in the order in which they are shown."""


@dataclass(frozen=True, slots=True)
class Reviewed:
    """What a signature is about: a digest of all of it, and one of each part, to say later which one changed."""

    digest: Digest
    parts: Mapping[str, Digest] = field(default_factory=dict)

    def changed(self, now: Reviewed) -> tuple[str, ...]:
        """The parts that are not the same any more.

        >>> before = Reviewed(Digest("sha256:1"), {"ci": Digest("sha256:a"), "plan": Digest("sha256:b")})
        >>> before.changed(Reviewed(Digest("sha256:2"), {"ci": Digest("sha256:c"), "plan": Digest("sha256:b")}))
        ('ci',)
        """
        return tuple(part for part in {**self.parts, **now.parts} if self.parts.get(part) != now.parts.get(part))


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Somebody asks to release a version (``subject``: the digest of the plan), or to go on from a stage of a rollout
    (``subject``: the number of its phase).

    ``authors``: who made the version, and everybody who asked; none of them approves it.
    """

    id: str
    kind: Kind
    model: str
    version: int
    subject: str
    requested_by: str
    requested_at: datetime
    authors: tuple[str, ...]
    rollout: str | None = None
    reason: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """``by``: as they were called then; ``role``: their role of access. ``of``: the act that is taken back.

    ``until``: how long a broken glass lasts; ``due``: when its review is; ``rollout``: what began.
    """

    seq: int = 0
    kind: ActKind
    by: str
    at: datetime
    role: Role | None = None
    meaning: Meaning | None = None
    reason: str = ""
    reviewed: Reviewed | None = None
    of: int | None = None
    until: datetime | None = None
    due: datetime | None = None
    rollout: str | None = None
