"""How long records are kept: what is declared, and what regulation asks for at least.

Sources of the floors: Regulation (EU) 2024/1689, article 19 and 26 (6) (logs, six months) and article 18 (technical
documentation, ten years).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Final, Literal, get_args

from seatrial.values import Duration, to_camel

Kind = Literal["events", "evidence", "artifacts"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

FLOORS: Final[Mapping[Kind, Duration]] = MappingProxyType({
    "events": Duration.parse("184d"),
    "evidence": Duration.parse("3653d"),
    "artifacts": Duration.parse("3653d"),
})  # fmt: skip
"""Of models of tier 1, and of those that are declared to fall under a regulation."""

_CONFIG: dict[str, Any] = {"extra": "forbid", "alias_generator": to_camel, "populate_by_name": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class Spans:
    """How long each kind is kept; None is not declared. ``events``: predictions and outcomes. ``evidence``: what the
    decisions of rollouts that are over were taken on. ``artifacts``: of versions in stage Archived.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    events: Duration | None = None
    evidence: Duration | None = None
    artifacts: Duration | None = None

    def __post_init__(self) -> None:
        for kind in KINDS:
            span: Duration | None = getattr(self, kind)
            if span is not None and span.seconds <= 0:
                raise ValueError(f"{kind} is a span of time that is not empty")

    def of(self, kind: Kind) -> Duration | None:
        found: Duration | None = getattr(self, kind)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPolicy(Spans):
    """``retention`` in seatrial.yaml, of all models, and of some in particular.

    ``audit`` and ``decisions`` are *forever*: a chain from which entries are taken away proves nothing about those that
    are left, and what was decided is what all else is held against. Both are small, and hold nobody's data.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    audit: Literal["forever"] = "forever"
    decisions: Literal["forever"] = "forever"
    models: Mapping[str, Spans] = field(default_factory=dict)

    def declared(self, model: str, kind: Kind) -> Duration | None:
        """Of the model in particular, else of all.

        >>> mine = Spans(events=Duration.parse("1d"))
        >>> policy = RetentionPolicy(events=Duration.parse("90d"), models={"credit": mine})
        >>> str(policy.declared("credit", "events")), str(policy.declared("fraud", "events"))
        ('1d', '90d')
        """
        mine = self.models[model].of(kind) if model in self.models else None
        return mine or self.of(kind)


def too_short(spans: Mapping[Kind, Duration | None]) -> tuple[Kind, ...]:
    """Kinds that are declared to be kept for less than the floor.

    >>> too_short({"events": Duration.parse("183d"), "evidence": None})
    ('events',)
    """
    return tuple(kind for kind, span in spans.items() if span is not None and span.seconds < FLOORS[kind].seconds)
