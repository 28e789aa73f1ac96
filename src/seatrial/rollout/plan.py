"""A release plan: what is watched, how much loss is tolerable, and the steps from shadow to everyone.

The YAML of a plan has these fields in camelCase; unknown fields are refused where it is read (store.plans).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from seatrial.rollout.metric import FIELDS, Metric
from seatrial.values import Duration, Multiple, Share


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A dimension by which evidence is also kept: a field of the request, or of the features as used."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FIELDS

    name: str
    field: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """Send a copy of a share of the units' requests to the candidate; its answers reach nobody."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FIELDS

    share: Share = Share(10_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Wait at least ``duration`` (guardrails watch meanwhile); without a duration wait for ``rollout promote``."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FIELDS

    duration: Duration | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """What must be known before the next step: samples, and how large a loss must be excluded."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FIELDS

    min_units: int | None = None
    min_outcomes: int | None = None
    min_pairs: int | None = None
    tolerance: Multiple | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One entry of ``steps``: a map with exactly one key."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FIELDS

    shadow: Shadow | None = None
    set_weight: Share | None = None
    pause: Pause | None = None
    analysis: Analysis | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """What is randomised: the request header that carries its id."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FIELDS

    header: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Alpha:
    """Error budgets: false rollback (shared by all guardrails), false promotion (each), sample-ratio alarm."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FIELDS

    rollback: float = 0.05
    promotion: float = 0.05
    srm: float = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class Strikes:
    """How often evidence may send a release back: per step, and in all."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FIELDS

    per_step: int = 2
    total: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A release plan. ``time_bucket`` is the length of a stratum, ``look_every`` the distance of looks (event time).

    ``margin_at_most``: the part of a metric's historic effect that its margin may give up, 50% if it is not said.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = FIELDS

    name: str
    steps: tuple[Step, ...]
    metrics: tuple[Metric, ...]
    api_version: Literal["seatrial/v1"] = "seatrial/v1"
    kind: Literal["Plan"] = "Plan"
    description: str = ""
    unit: Unit | None = None
    segments: tuple[Segment, ...] = ()
    time_bucket: Duration = Duration(3600.0, "1h")
    look_every: Duration = Duration(10.0, "10s")
    deadline: Duration = Duration(30 * 86400.0, "30d")
    on_deadline: Literal["hold", "abort"] = "hold"
    alpha: Alpha = field(default_factory=Alpha)
    strikes: Strikes = field(default_factory=Strikes)
    margin_at_most: Share | None = None

    @property
    def guardrails(self) -> tuple[Metric, ...]:
        return tuple(m for m in self.metrics if m.role == "guardrail")

    @property
    def mirrors(self) -> bool:
        """Whether any step shadows."""
        return any(step.shadow for step in self.steps)

    def budget(self) -> Mapping[tuple[str, str], float]:
        """False-rollback alpha of each test, keyed (metric, ``live`` or ``shadow``); they add up to ``alpha.rollback``.

        A guardrail that is also judged on shadow answers (losses, errors, latency) halves its share between the two.
        """
        total = sum(m.weight for m in self.guardrails)
        budget: dict[tuple[str, str], float] = {}
        for metric in self.guardrails:
            alpha = self.alpha.rollback * metric.weight / total
            shadowed = self.mirrors and (metric.pairs or metric.rare)
            budget[metric.name, "live"] = alpha / 2 if shadowed else alpha
            if shadowed:
                budget[metric.name, "shadow"] = alpha / 2
        return budget
