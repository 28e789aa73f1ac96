"""Words and values of judgement: status of a number, verdict of a metric, action of a decision."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Literal

from seatrial.ids import RolloutId

Status = Literal["ok", "not_enough", "immature", "degenerate", "invalid", "no_data"]
Verdict = Literal["pass", "fail", "inconclusive", "insufficient", "immature", "invalid"]
Action = Literal["start", "advance", "hold", "extend", "step_back", "abort", "promote", "pause", "resume"]
Arms = Literal["live", "shadow"]

VERDICT_OF: dict[Status, Verdict] = {
    "not_enough": "insufficient",
    "no_data": "insufficient",
    "degenerate": "insufficient",
    "immature": "immature",
    "invalid": "invalid",
}
"""Verdict of every status but ``ok``: none of them is ever a pass."""

_CONFIG: dict[str, Any] = {"extra": "forbid"}

JOINED = "joined boundary"
EXACT = "exact first events"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricVerdict:
    """What one look says of one metric.

    ``estimate``, ``lower`` and ``upper`` are the candidate minus the champion in the metric's own direction of
    measurement: relative (0.02 = 2% higher) or absolute, by ``scale``. ``lower`` and ``upper`` are one-sided bounds
    that hold at every look at once (alpha of promotion). ``bound`` is what the interval must exclude to pass now;
    ``crossed``, of a *fail*, the line it was proven to be beyond. ``arms`` says which comparison this is. ``count_*``
    are mature exposures (units for exact methods), ``units_*`` units. ``needs`` says what is missing.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    metric: str
    role: Literal["guardrail", "signal"]
    arms: Arms
    verdict: Verdict
    status: Status
    method: str
    scale: Literal["relative", "absolute"]
    better: Literal["increase", "decrease"]
    bound: float
    margin: float
    crossed: float | None = None
    estimate: float | None = None
    lower: float | None = None
    upper: float | None = None
    rate_champion: float | None = None
    rate_candidate: float | None = None
    count_champion: int = 0
    count_candidate: int = 0
    units_champion: int = 0
    units_candidate: int = 0
    information: float = 0.0
    planned: float = 0.0
    alpha_fail: float = 0.0
    needs: str = ""

    @property
    def losses(self) -> bool:
        """Judged on sums that vary with the day, not on single events."""
        return self.method == JOINED


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """A finding that is about the release as a whole: sample ratio, capture loss, an absolute limit."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    kind: Literal["sample_ratio", "capture_loss", "limit", "shared_outage"]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """All verdicts of one look. ``closed``: planned looks that are over from the next look on."""

    verdicts: tuple[MetricVerdict, ...] = ()
    signals: tuple[MetricVerdict, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    units: int = 0
    outcomes: int = 0
    pairs: int = 0
    closed: tuple[str, ...] = ()

    def failing(self) -> tuple[MetricVerdict, ...]:
        return tuple(v for v in self.verdicts if v.verdict == "fail")

    def alarm(self, kind: str) -> Alarm | None:
        return next((a for a in self.alarms if a.kind == kind), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """What the outside says at a look: kill latch, hard alerts, freeze, missing approvals."""

    killed: str = ""
    alerts: tuple[str, ...] = ()
    freeze: str = ""
    approval: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One decision, complete enough to be explained without anything else.

    ``rule`` is the stable code of the rule that fired; ``stage`` and ``weight`` (out of 10,000) hold after it.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    rollout: RolloutId
    look: int
    at: datetime
    action: Action
    rule: str
    reason: str
    stage: int
    stage_name: str
    weight: int
    mirrored: int
    phase: int
    strikes: int
    verdicts: tuple[MetricVerdict, ...] = ()
    signals: tuple[MetricVerdict, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    needs: tuple[str, ...] = ()
    units: int = 0
    outcomes: int = 0
    pairs: int = 0
    actor: str = "seatrial"
    considered: tuple[str, ...] = field(default_factory=tuple)
