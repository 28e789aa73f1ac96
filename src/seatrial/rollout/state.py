"""Where a rollout stands: a frozen value that only ``evolve`` (rollout.decide) changes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Literal

from seatrial.ids import ModelName, RolloutId, VersionNumber

Status = Literal["running", "paused", "promoted", "aborted"]
TERMINAL: frozenset[str] = frozenset({"promoted", "aborted"})

_CONFIG: dict[str, Any] = {"extra": "forbid"}


@dataclass(frozen=True, slots=True)
class Phase:
    """One route generation with one split. ``weight`` and ``mirrored`` are out of 10,000."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    number: int
    stage: int
    weight: int
    mirrored: int
    started: datetime


@dataclass(frozen=True, slots=True)
class Strike:
    """Evidence of harm that sent the release back."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    stage: int
    at: datetime
    metrics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Approved:
    """Somebody said yes to the present stage."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    by: str
    at: datetime
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A unit that left: on the champion and in no arm since then. ``unit``: as its header carries it."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    unit: str
    at: datetime
    by: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutState:
    """State of one rollout.

    ``phases``: every split so far, the last one current; ``epoch``: first phase since the last strike; ``closed``: the
    planned looks that are over, as ``metric/arms/direction`` (see stats.sequential: after the first look at or beyond
    the planned information only the always-valid part of the boundary remains); ``lossy_looks``: looks in a row at
    which capture did not reconcile; ``confirmed``: the manual pause of this stage was released;
    ``submitter``: who began it (empty where that was not written down); ``approvals``: of this stage;
    ``withdrawn``: units that left.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    rollout: RolloutId
    model: ModelName
    champion: VersionNumber
    candidate: VersionNumber
    salt: str
    started: datetime
    status: Status = "running"
    stage: int = 0
    phases: tuple[Phase, ...] = ()
    epoch: int = 1
    strikes: tuple[Strike, ...] = ()
    look: int = 0
    looked_at: datetime | None = None
    closed: tuple[str, ...] = ()
    lossy_looks: int = 0
    confirmed: bool = False
    reason: str = ""
    submitter: str = ""
    approvals: tuple[Approved, ...] = ()
    withdrawn: tuple[Withdrawn, ...] = ()

    @property
    def phase(self) -> Phase:
        """The current split."""
        return self.phases[-1]

    @property
    def over(self) -> bool:
        return self.status in TERMINAL

    def strikes_at(self, stage: int) -> int:
        return sum(1 for strike in self.strikes if strike.stage == stage)
