"""What starts the training of one model: its triggers, the time between runs, and what may pass it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeAlias

from seatrial.retrain.cron import Cron
from seatrial.retrain.running import Command, Release, Watch
from seatrial.values import Duration, to_camel

Kind = Literal["schedule", "drift", "performance", "volume", "manual", "webhook"]
Mode = Literal["sliding", "expanding", "decay"]
DriftMeasure = Literal["psi", "ks"]

_CONFIG: dict[str, Any] = {"alias_generator": to_camel, "extra": "forbid"}

CRITICAL_PSI = 0.5
CRITICAL_KS = 0.28
"""What a PSI of 0.5 is between two normal distributions: 0.71 standard deviations apart, and a distance of 0.276."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """One reason to train; exactly one of the kinds is set.

    ``schedule``: cron in UTC. ``drift``: from where on any feature (or one of ``features``) has moved, by ``measure``:
    a PSI above it (the default), or Kolmogorov and Smirnov's distance of at least it that is also sure.
    ``performance``: a relative loss of the metric from which it counts, on at least ``min_mature`` matured outcomes.
    ``volume``: rows since the last run. ``manual``, ``webhook``: true; somebody or something asks.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    name: str
    schedule: str | None = None
    drift: float | None = None
    measure: DriftMeasure | None = None
    features: tuple[str, ...] = ()
    performance: float | None = None
    min_mature: int = 0
    volume: int | None = None
    manual: bool = False
    webhook: bool = False

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds that are set: exactly one in a trigger that can be used."""
        given: tuple[tuple[Kind, object], ...] = (
            ("schedule", self.schedule), ("drift", self.drift), ("performance", self.performance),
            ("volume", self.volume), ("manual", self.manual or None), ("webhook", self.webhook or None),
        )  # fmt: skip
        return tuple(kind for kind, value in given if value is not None)

    @property
    def kind(self) -> Kind:
        return self.kinds[0]

    @property
    def drift_measure(self) -> DriftMeasure | None:
        """What drift is measured by; None for a trigger of another kind."""
        return None if self.drift is None else self.measure or "psi"

    @property
    def cron(self) -> Cron:
        """Raises ValueError for a trigger without a schedule that can be read."""
        return Cron.parse(self.schedule or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Critical:
    """Drift above ``psi`` does not wait for the interval, nor does a distance above ``ks`` of a trigger that measures
    by it; twice not within ``interval``, its own limit."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    psi: float = CRITICAL_PSI
    ks: float = CRITICAL_KS
    interval: Duration = Duration(6 * 3600.0, "6h")


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """The data of a run: ``sliding`` (the last ``window``), ``expanding`` (all) or ``decay`` (all, of which a row
    counts half as much with every ``window`` of its age).

    ``season``: the longest cycle that the model has to have seen.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    window: Duration | None = None
    mode: Mode = "sliding"
    season: Duration | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """``interval``: from the *start* of a run, the time in which only critical drift and people start another.

    ``primary``: the trigger that the model is mainly trained by; the others are its guards.
    ``run``: what trains; without it a policy can be explained, and not set.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    model: str
    primary: str
    triggers: tuple[Trigger, ...]
    description: str = ""
    interval: Duration = Duration(86_400.0, "24h")
    critical: Critical = field(default_factory=Critical)
    training: Training = field(default_factory=Training)
    run: Command | None = None
    watch: Watch = field(default_factory=Watch)
    release: Release = field(default_factory=Release)

    @property
    def drift_measures(self) -> frozenset[DriftMeasure]:
        """What the triggers ask of the inputs."""
        return frozenset(one.drift_measure for one in self.triggers if one.drift_measure is not None)

    def trigger(self, name: str) -> Trigger | None:
        return next((trigger for trigger in self.triggers if trigger.name == name), None)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about a policy: an error cannot be honoured, a warning is likely not meant."""

    code: str
    level: Literal["error", "warning"]
    text: str


Findings: TypeAlias = tuple[Finding, ...]
