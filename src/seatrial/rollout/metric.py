"""A metric of a plan: what is counted, how much loss of it is tolerable, and what it may do to a release."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from seatrial.values import Duration, Margin, Rate, Share, to_camel

FIELDS: dict[str, Any] = {"extra": "forbid", "alias_generator": to_camel, "populate_by_name": True}
"""How every part of a plan is read: camelCase names, and none that is not known."""

Kind = Literal[
    "proportion",
    "mean",
    "loss",
    "ratio",
    "error_rate",
    "latency",
    "sum_per_time",
    "requests_per_unit",
    "missing_outcomes",
    "ndcg",
    "agreement",
]
Role = Literal["guardrail", "signal", "dryRun"]
_BY_KIND: Any = None
"""Not said: agreement, which is not quality, is a signal, and everything else a guardrail."""

OUTCOME_KINDS: frozenset[str] = frozenset({"proportion", "mean", "loss", "ratio", "missing_outcomes", "ndcg"})
DEFAULT_K, MOST_K = 10, 100
"""Items of a ranked list that clicks judge, and as many as the log keeps at most."""

SHARE_KINDS: frozenset[str] = frozenset({"proportion", "error_rate", "latency", "missing_outcomes"})
"""Kinds whose rate is a share of exposures (or of units): its variance follows from the rate."""

RARE_KINDS: frozenset[str] = frozenset({"error_rate", "latency"})
LOWER_IS_BETTER: frozenset[str] = frozenset({"loss", "error_rate", "latency", "sum_per_time", "missing_outcomes"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Surrogate:
    """The long metric that a leading indicator stands in for, and how well it did so: their historic correlation."""

    __pydantic_config__: ClassVar[dict[str, Any]] = FIELDS

    metric: str
    correlation: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Among:
    """Exposures by what the version decided, for outcomes that the others cannot have.

    A blocked payment never becomes a fraud or a sale: its outcome is unobserved, which is not a no. ``name``: what
    people call these exposures (*allowed*); they have a score ``below`` and ``at_least`` so much.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = FIELDS

    name: str
    below: float | None = None
    at_least: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One number that is compared between the arms.

    ``kind``: *proportion* or *mean* of an outcome; *loss* of the score against an outcome; *ratio* of two outcomes;
    *error_rate*; *latency* (share of exposures slower than ``threshold``); *sum_per_time* of an outcome (with an
    absolute ``limit``); *requests_per_unit*; *missing_outcomes* (share of mature exposures that never got one);
    *ndcg* of the ranked list that was served, at ``k``, by the items that were clicked (outcomes that name an item);
    *agreement* of the shadow's answers with the champion's (of ranked lists by ``statistic``), over all at least
    ``floor``, in every value of ``segment`` (of every segment, if it names none) with ``min_pairs`` pairs at least
    ``segment_floor`` and at most ``max_gap`` below the whole.
    ``role``: a *guardrail* can stop a release and must pass before promotion; a *signal* is only shown; a *dryRun* is
    judged as a guardrail would be, and shown, and neither stops nor promotes anything.
    ``margin``: the loss that is tolerable, with its unit. ``horizon``: how long after the exposure its outcome counts.
    ``among``: which exposures can have the outcome at all; the metric is about those of each arm.
    ``starting_step``: the name of the step from which on a guardrail counts; before it, it is only shown.
    ``missing``: what a mature exposure without outcome is. ``per``: whether exposures or units are counted. ``cap``:
    what the outcome (of a ratio: the numerator) of one exposure counts for at most.
    ``fail_on``: *harm* stops when the metric is proven worse at all; *inferior* only when worse by the margin, which
    needs a ``justification``. ``weight``: share of the false-rollback budget. ``limit``: an absolute bound of the
    canary's rate (or of its sum per time) that aborts at once if the champion is inside it. ``historic_effect``: by how
    much the champion is known to beat the baseline it once replaced; the margin may give up only a part of that.
    ``surrogate_of``: this is a leading indicator of another metric of the plan, and labelled so wherever it is shown.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = FIELDS

    name: str
    kind: Kind
    role: Role = _BY_KIND
    margin: Margin | None = None
    direction: Literal["increase", "decrease"] | None = None
    outcome: str | None = None
    loss: Literal["log_loss", "brier", "absolute", "squared"] | None = None
    numerator: str | None = None
    denominator: str | None = None
    threshold: Duration | None = None
    limit: Share | Rate | None = None
    horizon: Duration | None = None
    missing: Literal["exclude", "zero", "fail"] = "exclude"
    per: Literal["request", "unit"] | None = None
    cap: float | None = None
    starting_step: str | None = None
    among: Among | None = None
    fail_on: Literal["harm", "inferior"] = "harm"
    justification: str | None = None
    historic_effect: Margin | None = None
    weight: float = 1.0
    surrogate_of: Surrogate | None = None
    floor: float | None = None
    segment_floor: float | None = None
    max_gap: float | None = None
    min_pairs: int | None = None
    segment: str | None = None
    statistic: Literal["rbo", "topK", "kendall"] | None = None
    k: int | None = None

    def __post_init__(self) -> None:
        if self.role is _BY_KIND:
            object.__setattr__(self, "role", "signal" if self.kind == "agreement" else "guardrail")

    @property
    def better(self) -> Literal["increase", "decrease"]:
        """The direction in which this metric is better; by kind unless declared."""
        return self.direction or ("decrease" if self.kind in LOWER_IS_BETTER else "increase")

    @property
    def rare(self) -> bool:
        """Judged exactly on units' first events rather than on sums (errors and slow answers, per unit)."""
        return self.kind in RARE_KINDS and self.per != "request"

    @property
    def outcomes(self) -> tuple[str, ...]:
        """Names of the outcomes it reads."""
        return tuple(name for name in (self.outcome, self.numerator, self.denominator) if name)

    @property
    def depth(self) -> int:
        """How many items of a served list are judged by clicks."""
        return self.k or DEFAULT_K

    @property
    def pairs(self) -> bool:
        """Whether champion and shadow can be compared on the same request: the loss of each one's own answer."""
        return self.kind == "loss"

    @property
    def may_cap(self) -> bool:
        """Whether its values can be capped: amounts; a share has none, and a loss is what it is."""
        return self.kind in ("mean", "ratio")

    def judged_in(self, arms: Literal["live", "shadow"]) -> bool:
        """Whether anything is known of it there: of answers that nobody got, and of pairs, which are there only."""
        if self.kind == "agreement":
            return arms == "shadow"
        return arms == "live" or self.pairs or self.rare
