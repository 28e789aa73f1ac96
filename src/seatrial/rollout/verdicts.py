"""Words and values of judgement: status of a number, verdict of a metric, action of a decision."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Literal

from seatrial.ids import RolloutId
from seatrial.rollout.chain import Chain
from seatrial.rollout.metric import Role

Status = Literal["ok", "not_enough", "immature", "degenerate", "invalid", "no_data"]
Verdict = Literal["pass", "fail", "inconclusive", "insufficient", "immature", "invalid"]
Action = Literal["start", "advance", "hold", "extend", "step_back", "abort", "promote", "pause", "resume"]
Arms = Literal["live", "shadow"]
PaceWord = Literal["slow", "standard", "fast"]

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
AGREEMENT = "agreement"


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentFinding:
    """What a look says of agreement in one segment (``total``, or ``dimension=value``).

    ``lower`` and ``upper`` hold at every look; ``count`` are pairs, ``units`` what they are worth if all pairs of a
    unit say the same. ``why``: what is missing, or which floor is missed.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    segment: str
    verdict: Verdict
    estimate: float | None = None
    lower: float | None = None
    upper: float | None = None
    count: int = 0
    units: float = 0.0
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricVerdict:
    """What one look says of one metric.

    ``estimate``, ``lower`` and ``upper`` are the candidate minus the champion in the metric's own direction of
    measurement: relative (0.02 = 2% higher) or absolute, by ``scale``. ``lower`` and ``upper`` are one-sided bounds
    that hold at every look at once (alpha of promotion). ``bound`` is what the interval must exclude to pass now;
    ``crossed``, of a *fail*, the line it was proven to be beyond. ``unobserved_*``: mature exposures that cannot have
    the outcome. ``arms`` says which comparison this is. ``count_*``
    are mature exposures (units for exact methods, pairs for agreement), ``units_*`` units. ``needs`` says what is
    missing. Agreement has its own number in place of a difference, and ``segments``: what was found in each.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    metric: str
    role: Role
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
    unobserved_champion: int = 0
    unobserved_candidate: int = 0
    segments: tuple[SegmentFinding, ...] = ()

    @property
    def agrees(self) -> bool:
        """About agreement, which is not quality: missing a floor holds a release, and is no harm."""
        return self.method.startswith(AGREEMENT)

    def missed(self) -> str:
        """Which floors of agreement are missed, and where."""
        return "; ".join(finding.why for finding in self.segments if finding.verdict == "fail")

    @property
    def losses(self) -> bool:
        """Judged on sums that vary with the day, not on single events."""
        return self.method.startswith(JOINED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """A finding that is about the release as a whole: sample ratio, inputs, capture loss, an absolute limit."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    kind: Literal["sample_ratio", "input_divergence", "capture_loss", "limit", "shared_outage", "floor"]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """All verdicts of one look. ``closed``: planned looks that are over from the next look on.

    ``inputs``: pairs of which both models said what they used, where the plan asks for it.
    """

    verdicts: tuple[MetricVerdict, ...] = ()
    signals: tuple[MetricVerdict, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    units: int = 0
    outcomes: int = 0
    pairs: int = 0
    inputs: int | None = None
    closed: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    short: tuple[str, ...] = ()

    def failing(self) -> tuple[MetricVerdict, ...]:
        """Guardrails of which harm is shown."""
        return tuple(v for v in self.verdicts if v.verdict == "fail" and not v.agrees)

    def disagreeing(self) -> tuple[MetricVerdict, ...]:
        """Guardrails of agreement that miss a floor."""
        return tuple(v for v in self.verdicts if v.verdict == "fail" and v.agrees)

    def alarm(self, kind: str) -> Alarm | None:
        return next((a for a in self.alarms if a.kind == kind), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """What the outside says at a look: kill latch, hard alerts, freeze, missing approvals.

    ``chains``: what the releases since the model's anchor changed together, by metric. ``drill``: why a drill is asked
    for before the model may be promoted.
    """

    killed: str = ""
    alerts: tuple[str, ...] = ()
    freeze: str = ""
    approval: str = ""
    chains: tuple[Chain, ...] = ()
    drill: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast the evidence of a look lets a release go on: the stage's least time (seconds) and the share after it."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    word: PaceWord
    why: str
    min_duration: float
    next_weight: int


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
    pace: Pace | None = None
    units_held: tuple[str, ...] = ()
