"""What makes a change of a model material, and who reviews it for how long: the rules that a project declares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Final, Literal

from seatrial.governance.change_delta import FIELDS, LineageField
from seatrial.values import Duration, Margin, to_camel

Class = Literal["material", "nonMaterial"]

MINOR: Final = (
    "code repository", "code commit", "code dirty", "code changes", "data digest", "data rows", "data time range",
    "model digest", "model framework version", "recipe command", "recipe environment", "features order",
)  # fmt: skip
"""What a training on newer data, a refactoring or an upgrade of a library changes. All else is material."""

_DAY: Final = 86_400.0
_CONFIG: Final[dict[str, Any]] = {"extra": "forbid", "alias_generator": to_camel, "populate_by_name": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a hyper-parameter may be without a review of the model: from ``min`` to ``max``, both included, or one of
    ``values``.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    min: float | None = None
    max: float | None = None
    values: tuple[str | int | float | bool, ...] = ()

    def __post_init__(self) -> None:
        if (self.min is None and self.max is None) == (not self.values):
            raise ValueError("bounds are min and max (one will do), or the values that are allowed")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}")

    def holds(self, value: Any) -> bool:
        """Whether a value lies within. What is no number lies within no range.

        >>> Bounds(min=3, max=8).holds(8), Bounds(min=3, max=8).holds(None), Bounds(values=("gini",)).holds("gini")
        (True, False, True)
        """
        if self.values:
            return any(isinstance(known, bool) is isinstance(value, bool) and known == value for known in self.values)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        low, high = self.min, self.max
        return (low is None or value >= low) and (high is None or value <= high)

    @property
    def text(self) -> str:
        """
        >>> Bounds(min=3, max=8).text, Bounds(values=("gini", "entropy")).text
        ('3 to 8', 'gini or entropy')
        """
        if self.values:
            return " or ".join(str(value) for value in self.values)
        if self.min is None or self.max is None:
            return f"at most {self.max:g}" if self.min is None else f"at least {self.min:g}"
        return f"{self.min:g} to {self.max:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """Who looks at a change, and how soon: so many people, and one of each function in ``roles`` among them.

    ``depth``: what they look at. ``within``: time on the clock from the question to the answer (7d: five working days).
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    approvals: int
    within: Duration
    depth: str
    roles: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.approvals <= 10:
            raise ValueError("approvals are 0 to 10")
        if self.approvals < len(self.roles):
            raise ValueError(f"{self.approvals} approvals do not fill {len(self.roles)} roles")
        if self.within.seconds <= 0:
            raise ValueError("within is a span of time that is not empty")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviews:
    """The review of both classes, in one tier."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    material: Review
    non_material: Review

    def __post_init__(self) -> None:
        if self.material.approvals < max(self.non_material.approvals, 1):
            raise ValueError("a material change needs an approval, and no fewer than one that is not")


_FULL: Final = "full review: data, method, performance by segment, limitations, monitoring"
_SHORT: Final = "lineage diff, CI results, metrics within their band"


def _reviews(material: int, days: int, non_material: int, short_days: int) -> Reviews:
    return Reviews(
        material=Review(approvals=material, within=Duration(days * _DAY, f"{days}d"), depth=_FULL),
        non_material=Review(approvals=non_material, within=Duration(short_days * _DAY, f"{short_days}d"), depth=_SHORT),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """``triage.yaml``. Each rule errs on the side of a review; what no rule speaks of is material.

    ``minor``: changes by name that are not material by themselves. ``importance``: the share of its old value beyond
    which the change of a feature's weight is. ``hyper_parameters``: what each may be; of one without bounds every
    change is material. ``metrics``: how far each may move, either way, ``metric_band`` all others. ``must_know``: what
    has to be known of both versions. ``tier1`` to ``tier3``: who reviews.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    minor: tuple[str, ...] = MINOR
    importance: float = 0.5
    hyper_parameters: Mapping[str, Bounds] = field(default_factory=dict)
    metrics: Mapping[str, Margin] = field(default_factory=dict)
    metric_band: Margin = Margin(0.05, "relative")
    must_know: tuple[LineageField, ...] = FIELDS
    tier1: Reviews = field(default_factory=lambda: _reviews(2, 7, 1, 3))
    tier2: Reviews = field(default_factory=lambda: _reviews(2, 7, 1, 1))
    tier3: Reviews = field(default_factory=lambda: _reviews(1, 7, 0, 1))

    def __post_init__(self) -> None:
        if not 0 <= self.importance <= 10:
            raise ValueError("importance is a share of the old value from 0 to 10, e.g. 0.5")

    @property
    def reviews(self) -> Mapping[int, Reviews]:
        """By tier."""
        return MappingProxyType({1: self.tier1, 2: self.tier2, 3: self.tier3})
