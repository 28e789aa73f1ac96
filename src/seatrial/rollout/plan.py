"""A release plan: what is watched, how much loss is tolerable, and the steps from shadow to everyone.

The YAML of a plan has these fields in camelCase; unknown fields are refused where it is read (store.plans).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

from seatrial.rollout.bands import Bands
from seatrial.rollout.metric import FIELDS, Metric
from seatrial.values import Duration, Margin, Multiple, Share


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A dimension by which evidence is also kept: a field of the request, or of the features as used, or a header.

    Only what is in a header is known at the gateway, before the body is read: see ``ShadowBy``.
    With ``bounds`` and ``labels`` the field is a number, and its values are the labels of the bands it falls into.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = FIELDS

    name: str
    field: str | None = None
    header: str | None = None
    bounds: tuple[float, ...] | None = None
    labels: tuple[str, ...] | None = None

    @property
    def source(self) -> str:
        """What its values are called where they come from."""
        return self.field or self.header or self.name

    @property
    def bands(self) -> Bands | None:
        """The rule, if there is one."""
        return Bands(self.bounds, self.labels) if self.bounds and self.labels else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingDecision:
    """What a score is served as: ``above`` from ``threshold`` on, ``below`` under it. Shadow reports count flips."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FIELDS

    threshold: float
    above: str = "above"
    below: str = "below"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowBy:
    """Values of a segment in a header that are copied at a share of their own; all others at the step's share."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FIELDS

    segment: str
    shares: Mapping[str, Share] = field(hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """Send a copy of a share of the units' requests to the candidate; its answers reach nobody."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FIELDS

    share: Share = Share(10_000)
    by: ShadowBy | None = None


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
class Approval:
    """So many people must say yes before the stage ends, and none of them began the rollout.

    ``by``: names of people, or roles (``approver``, ``admin``); everybody who may approve, if it names none.
    ``asks``: what they are asked, for people.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = FIELDS

    by: tuple[str, ...] = ()
    count: int = 1
    asks: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One entry of ``steps``: exactly one action; ``name``, of a step that opens a stage, is what people call it."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FIELDS

    shadow: Shadow | None = None
    set_weight: Share | None = None
    pause: Pause | None = None
    analysis: Analysis | None = None
    approval: Approval | None = None
    name: str | None = None

    @property
    def actions(self) -> tuple[str, ...]:
        """Names of the actions that are given."""
        kinds = ("shadow", "set_weight", "pause", "analysis", "approval")
        return tuple(kind for kind in kinds if getattr(self, kind) is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """What is randomised: the request header that carries its id.

    ``kind``: a site or a reader, which may leave a rollout one by one (rollout.sites).
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = FIELDS

    header: str
    kind: Literal["site", "reader"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ethics:
    """The approval under which people are part of this: the number that an ethics board gave it."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FIELDS

    reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """A share of hits below which no segment value of the canary may be shown to lie: sensitivity in each site.

    ``least``: the floor; ``min_outcomes``: how many each must have before the stage ends. ``hold``: who waits where one
    is below it, that *unit* alone, back on the champion (the segment's values are units then), or *all*.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = FIELDS

    metric: str
    segment: str
    least: Share
    min_outcomes: int = 0
    hold: Literal["unit", "all"] = "all"


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
class Inputs:
    """How far the features that champion and shadow used may be apart before their comparison is invalid.

    ``max_divergence``: the share of pairs that may diverge, of each feature; ``tolerance``: relative, of numbers;
    ``staleness``: how far the times of a feature may lie apart; ``features``: the only ones that are compared, and
    without which a shadow stage does not end; all that both models tell if None.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = FIELDS

    max_divergence: Share = Share(100)
    tolerance: float = 1e-9
    staleness: Duration = Duration(60.0, "60s")
    features: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pacing:
    """How far the evidence may change the pace: see rollout.pacing.

    ``metric``: the guardrail whose gain sets it; a lower bound above ``strong`` is fast. ``fastest`` and ``slowest``:
    what a stage's least time is multiplied by; ``floor``: below this nothing is shortened, e.g. 7d for whole weeks.
    ``max_step``: how far the canary's share may rise at once, before everyone.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = FIELDS

    metric: str
    strong: Margin = Margin(0.02, "relative")
    fastest: Multiple = Multiple(0.5)
    slowest: Multiple = Multiple(2.0)
    max_step: Share = Share(2_500)
    floor: Duration | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A release plan. ``time_bucket`` is the length of a stratum, ``look_every`` the distance of looks (event time).

    ``margin_at_most``: the part of a metric's historic effect that its margin may give up, 50% if it is not said.
    ``justify_margins``: every guardrail says why its margin is acceptable. ``erosion_at_most``: how many margins all
    releases since the model's anchor may have lost together (rollout.erosion), 3x if it is not said.
    ``on_reconciled_harm``: what happens when a metric that outlasts the rollout turns out worse after it: an incident
    for people to decide on unless the plan says ``rollback``.
    ``decision``: what scores are served as, for the report of a shadow.
    ``inputs``: what is asked of the features that both models tell; if None, what is told is held to the defaults.
    ``back_within``: how fast the champion of before must serve again after a promotion (rollout.standby).
    ``holdout``: a share of the units that stays on the champion of before when everybody else has left it, until the
    last reconciliation or for ``holdout_until`` after the promotion; all weights of the plan are shares of the rest.
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
    pacing: Pacing | None = None
    impact: Literal["ordinary", "immediate", "irreversible", "clinical"] | None = None
    ethics: Ethics | None = None
    floors: tuple[Floor, ...] | None = None
    justify_margins: bool | None = None
    erosion_at_most: Multiple | None = None
    on_reconciled_harm: Literal["incident", "rollback"] | None = None
    inputs: Inputs | None = None
    decision: ServingDecision | None = None
    back_within: Duration | None = None
    holdout: Share | None = None
    holdout_until: Duration | None = None

    @property
    def guardrails(self) -> tuple[Metric, ...]:
        """Guardrails that can send a release back. Agreement cannot, so it has no part of the budget."""
        return tuple(m for m in self.metrics if m.role == "guardrail" and m.kind != "agreement")

    @property
    def agreements(self) -> tuple[Metric, ...]:
        """Metrics of agreement between shadow and champion, in any role."""
        return tuple(m for m in self.metrics if m.kind == "agreement")

    @property
    def reads_lists(self) -> bool:
        """Whether ranked lists can be judged: by clicks, or by how alike those of a shadow are."""
        return any(m.kind in ("agreement", "ndcg") for m in self.metrics)

    @property
    def mirrors(self) -> bool:
        """Whether any step shadows."""
        return any(step.shadow for step in self.steps)

    @property
    def samples(self) -> bool:
        """Whether segments are copied at shares of their own, so that pairs stand for unequal numbers of requests."""
        return any(step.shadow is not None and step.shadow.by is not None for step in self.steps)

    @property
    def gateway_segment(self) -> Segment | None:
        """The segment that the gateway knows, if there is one."""
        return next((segment for segment in self.segments if segment.header is not None), None)

    def trying(self, metric: Metric) -> Plan:
        """The plan in which a dry run counts: what it would have done is judged by this one's budget."""
        real = replace(metric, role="guardrail")
        return replace(self, metrics=tuple(real if m.name == metric.name else m for m in self.metrics))

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
