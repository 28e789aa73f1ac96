"""Kills, rollbacks and aborts as plain values, and what several of them have in common."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal, get_args

from seatrial.registry.diff import Change
from seatrial.stats.counts import conditional_binomial_p

InterventionKind = Literal["kill", "rollback", "abort"]
Dimension = Literal["trigger", "version", "named", "data", "changed", "actor", "hour", "weekday"]
DIMENSIONS: Final[tuple[Dimension, ...]] = get_args(Dimension)

WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
SLOTS: Final[Mapping[Dimension, int]] = {"hour": 24, "weekday": 7}
"""Dimensions whose values are equally likely if nothing is behind it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intervention:
    """One version that was taken out of traffic.

    ``version`` is the one that was taken out and ``before`` the one before it. ``trigger`` is the rule that spoke, or
    *by hand*. ``named``: features, sources and metrics that its reason or its verdicts name. ``data`` is the training
    snapshot of the version, ``changes`` what sets it apart from the one before. ``until``: when a kill was revived.
    """

    id: str
    kind: InterventionKind
    at: datetime
    model: str
    version: int | None
    before: int | None
    trigger: str
    reason: str
    actor: str
    named: tuple[str, ...] = ()
    data: str = ""
    changes: tuple[Change, ...] = ()
    until: datetime | None = None

    def values(self, dimension: Dimension) -> tuple[str, ...]:
        """Where it stands in one dimension; usually one value."""
        match dimension:
            case "version":
                return () if self.version is None else (f"{self.model} v{self.version}",)
            case "named":
                return self.named
            case "changed":
                return tuple(dict.fromkeys(f"{change.part} {change.what}" for change in self.changes))
            case "hour":
                return (f"{self.at.astimezone(UTC):%H}:00",)
            case "weekday":
                return (WEEKDAYS[self.at.astimezone(UTC).weekday()],)
        value: str = getattr(self, dimension)
        return (value,) if value else ()


@dataclass(frozen=True, slots=True)
class Group:
    """Interventions that share a value of a dimension.

    ``chance``: of so many in one hour or on one weekday if all were equally likely, corrected for looking at all of
    them; None for other dimensions, where nobody knows what to expect.
    """

    dimension: Dimension
    value: str
    ids: tuple[str, ...]
    share: float
    chance: float | None = None

    @property
    def count(self) -> int:
        return len(self.ids)


def groups(found: Sequence[Intervention]) -> tuple[Group, ...]:
    """All values of all dimensions, the most frequent first within each dimension."""
    return tuple(group for dimension in DIMENSIONS for group in _groups(dimension, found))


def common(found: Sequence[Intervention]) -> tuple[Group, ...]:
    """What at least two of them and more than half of them share: where to look first, not what the cause is."""
    return tuple(group for group in groups(found) if group.count >= 2 and group.share > 0.5 and _tells(group))


def _tells(group: Group) -> bool:
    """An hour or a weekday is worth a word only where chance alone would seldom do it."""
    return group.chance is None or group.chance < 0.05


def _groups(dimension: Dimension, found: Sequence[Intervention]) -> list[Group]:
    members: dict[str, list[str]] = {}
    for one in found:
        for value in one.values(dimension):
            members.setdefault(value, []).append(one.id)
    made = [
        Group(dimension, value, tuple(ids), len(ids) / len(found), _chance(dimension, len(ids), len(found)))
        for value, ids in members.items()
    ]
    return sorted(made, key=lambda group: (-group.count, group.value))


def _chance(dimension: Dimension, count: int, total: int) -> float | None:
    if dimension not in SLOTS:
        return None
    return min(1.0, SLOTS[dimension] * conditional_binomial_p(count, total, 1 / SLOTS[dimension], "greater"))


def named_in(text: str, names: Iterable[str]) -> tuple[str, ...]:
    """The names that a text mentions as whole words, in the order given.

    >>> named_in("bureau_score is stale since 04:00", ["age", "bureau_score", "score"])
    ('bureau_score',)
    """
    return tuple(
        name
        for name in dict.fromkeys(names)
        if name and re.search(rf"(?<![\w.]){re.escape(name)}(?!\w)", text, re.IGNORECASE)
    )
