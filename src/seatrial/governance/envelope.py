"""Changes that were agreed on before they happen: what may change and how far, how it is made and what must hold.

One file serves a predetermined change control plan (FD&C Act section 515C; FDA guidance of December 2024: description
of modifications, protocol in four parts, impact assessment, traceability) and the pre-determined changes of the EU AI
Act (article 43(4), annex IV), which are no substantial modification.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Final

from seatrial.governance.change_rules import Bounds
from seatrial.values import to_camel

_CONFIG: Final[dict[str, Any]] = {"extra": "forbid", "alias_generator": to_camel, "populate_by_name": True}

FILE_FIRST: Final = (
    "FDA: an amended plan or a new submission for the device (21 CFR 807.81(a)(3)); "
    "EU AI Act, article 43(4): a new conformity assessment"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """How a modification is made, in the four parts that the guidance names; each is a sentence or the name of one."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    data_management: str
    retraining: str
    evaluation: str
    update: str

    def __post_init__(self) -> None:
        _require_text(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Impact:
    """What a modification is good for, what may go wrong, and what is done about that."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    benefit: str
    risk: str
    mitigation: str

    def __post_init__(self) -> None:
        _require_text(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """What a step of ML CI must have found about the version, in a slice: the 95% bound that counts against it.

    ``slice``: ``overall``, ``site=A``, or ``site=*``: each value that was found, and at least one. ``min`` and ``max``
    of the metric, ``max_loss`` against the champion, in its unit. ``min_rows``: with fewer nothing is shown.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    metric: str
    step: str
    slice: str = "overall"
    min: float | None = None
    max: float | None = None
    max_loss: float | None = None
    min_rows: int = 1

    def __post_init__(self) -> None:
        if self.min is None and self.max is None and self.max_loss is None:
            raise ValueError(f"criterion {self.metric}: give min, max or maxLoss; nothing would be held to nothing")

    @property
    def text(self) -> str:
        """
        >>> Criterion(metric="sensitivity", step="reads", slice="site=*", min=0.9, max_loss=0.02).text
        'sensitivity of site=* at least 0.9, loss at most 0.02'
        """
        parts = (("at least", self.min), ("at most", self.max), ("loss at most", self.max_loss))
        return f"{self.metric} of {self.slice} " + ", ".join(f"{word} {v:g}" for word, v in parts if v is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Modification:
    """One kind of change. ``changes``: by name, as a triage tells them (``data digest``); ``sources``: what a feature
    may come from; ``importance``: the share of its old value within which the weight of a feature may move.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    name: str
    rationale: str
    protocol: Protocol
    criteria: tuple[Criterion, ...]
    impact: Impact
    changes: tuple[str, ...] = ()
    hyper_parameters: Mapping[str, Bounds] = field(default_factory=dict)
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    importance: float | None = None
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.name.strip() or not self.rationale.strip():
            raise ValueError("a modification has a name and a rationale")
        if not self.criteria:
            raise ValueError(f"modification '{self.name}' has no criterion: nobody could say that it went well")
        if self.importance is not None and not 0 <= self.importance <= 10:
            raise ValueError(f"modification '{self.name}': importance is a share of the old value from 0 to 10")


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """``envelope.yaml``, of one model. ``cumulative``: what all modifications together may do. ``outside``: what to
    file for what is not declared.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    name: str
    modifications: tuple[Modification, ...]
    cumulative: str
    outside: str = FILE_FIRST

    def __post_init__(self) -> None:
        if not self.modifications:
            raise ValueError("an envelope declares at least one modification")
        _require_text(self)
        names = [one.name for one in self.modifications]
        for name in sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two modifications are named '{name}'")


def _require_text(part: Any) -> None:
    for one in fields(part):
        if isinstance(value := getattr(part, one.name), str) and not value.strip():
            raise ValueError(f"{to_camel(one.name)} is empty")
