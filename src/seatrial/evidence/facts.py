"""First facts of each unit: what sample-ratio checks, rare events and cohorts are counted from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from seatrial.ids import Arm


class Seen(NamedTuple):
    """An exposure, ordered by (event time in microseconds, request id): the merge of two is the smaller."""

    time: int
    request_id: str
    phase: int
    arm: Arm


class UnitRow(NamedTuple):
    """What one unit did in one (phase, arm) of a slice of the log; ``events`` names the rare events it met."""

    unit: str
    seen: Seen
    events: frozenset[str] = frozenset()


@dataclass(frozen=True)
class FirstFacts:
    """Per unit: first exposure, first exposure in each arm and phase, and the phases in which it met each rare event.

    Merging takes minima and unions, so it is associative, commutative and idempotent; ``FirstFacts()`` is the identity.
    """

    first: Mapping[str, Seen] = field(default_factory=dict)
    by_arm: Mapping[tuple[str, Arm], Seen] = field(default_factory=dict)
    by_phase: Mapping[tuple[str, int, Arm], Seen] = field(default_factory=dict)
    events: Mapping[tuple[str, str], frozenset[tuple[int, Arm]]] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: Iterable[UnitRow]) -> FirstFacts:
        """Facts of a slice of the log."""
        facts = MutableFacts()
        facts.absorb(rows)
        return facts.freeze()

    def __add__(self, other: FirstFacts) -> FirstFacts:
        facts = MutableFacts()
        for part in (self, other):
            facts.merge(part)
        return facts.freeze()


class MutableFacts:
    """The same facts, grown in place: a look costs what is new, not what is known."""

    def __init__(self) -> None:
        self.first: dict[str, Seen] = {}
        self.by_arm: dict[tuple[str, Arm], Seen] = {}
        self.by_phase: dict[tuple[str, int, Arm], Seen] = {}
        self.events: dict[tuple[str, str], frozenset[tuple[int, Arm]]] = {}

    def absorb(self, rows: Iterable[UnitRow]) -> None:
        """Add a slice of the log; the same slice twice changes nothing."""
        for unit, seen, events in rows:
            if seen.arm != "shadow":
                _keep_least(self.first, unit, seen)
            _keep_least(self.by_arm, (unit, seen.arm), seen)
            _keep_least(self.by_phase, (unit, seen.phase, seen.arm), seen)
            for name in events:
                key = (name, unit)
                self.events[key] = self.events.get(key, frozenset()) | {(seen.phase, seen.arm)}

    def merge(self, other: FirstFacts) -> None:
        """Add facts of another slice."""
        for unit, seen in other.first.items():
            _keep_least(self.first, unit, seen)
        for arm_key, seen in other.by_arm.items():
            _keep_least(self.by_arm, arm_key, seen)
        for phase_key, seen in other.by_phase.items():
            _keep_least(self.by_phase, phase_key, seen)
        for event_key, where in other.events.items():
            self.events[event_key] = self.events.get(event_key, frozenset()) | where

    def freeze(self) -> FirstFacts:
        """An unchanging copy."""
        return FirstFacts(dict(self.first), dict(self.by_arm), dict(self.by_phase), dict(self.events))

    def counts(self, *, live: Collection[int], mirrored: Collection[int]) -> UnitCounts:
        """The numbers that gates read; events count once a unit, in the ``live`` and ``mirrored`` phases given."""
        firsts: dict[str, Counter[tuple[int, Arm]]] = {}
        touched: dict[str, Counter[Arm]] = {}
        shadowed: dict[str, Counter[Arm]] = {}
        copied = {(unit, phase) for unit, phase, arm in self.by_phase if arm == "shadow" and phase in mirrored}
        for (name, unit), where in self.events.items():
            served = [place for place in where if place[1] != "shadow"]
            touched.setdefault(name, Counter()).update({arm for _, arm in served})
            if recent := [place for place in served if place[0] in live]:
                firsts.setdefault(name, Counter()).update([min(recent)])
            shadowed.setdefault(name, Counter()).update({arm for phase, arm in where if (unit, phase) in copied})
        arms_of = Counter(unit for unit, arm in self.by_arm if arm != "shadow")
        return UnitCounts(
            new=Counter((s.phase, s.arm) for s in self.first.values()),
            arms=Counter(arm for _, arm in self.by_arm),
            phases=Counter((phase, arm) for _, phase, arm in self.by_phase),
            crossed=sum(1 for n in arms_of.values() if n > 1),
            firsts=firsts,
            touched=touched,
            shadowed=shadowed,
            live=_distinct(key for key in self.by_phase if key[1] in live),
            mirrored=_distinct(key for key in self.by_phase if key[:2] in copied),
        )


@dataclass(frozen=True)
class UnitCounts:
    """Units, not requests.

    ``new``: units first seen in (phase, arm); ``arms``: distinct units an arm has had; ``phases``: distinct units per
    (phase, arm); ``crossed``: units that were in both champion and canary (a ramp moves each of them once, one way).
    Rare events: ``firsts`` counts, per event, units by the (phase, arm) of their first one in the live phases asked
    for; ``touched`` the distinct units of an arm that ever met it; ``shadowed`` those in the mirrored phases asked for.
    ``live`` and ``mirrored``: distinct units of an arm in the live and in the mirrored phases asked for. Where only a
    share is copied, the mirrored ones are the units with a copy: both models saw the same.
    """

    new: Mapping[tuple[int, Arm], int] = field(default_factory=dict)
    arms: Mapping[Arm, int] = field(default_factory=dict)
    phases: Mapping[tuple[int, Arm], int] = field(default_factory=dict)
    crossed: int = 0
    firsts: Mapping[str, Mapping[tuple[int, Arm], int]] = field(default_factory=dict)
    touched: Mapping[str, Mapping[Arm, int]] = field(default_factory=dict)
    shadowed: Mapping[str, Mapping[Arm, int]] = field(default_factory=dict)
    live: Mapping[Arm, int] = field(default_factory=dict)
    mirrored: Mapping[Arm, int] = field(default_factory=dict)


def _distinct(seen: Iterable[tuple[str, int, Arm]]) -> Counter[Arm]:
    return Counter(arm for _, arm in {(unit, arm) for unit, _, arm in seen})


_Key = TypeVar("_Key")


def _keep_least(facts: dict[_Key, Seen], key: _Key, seen: Seen) -> None:
    known = facts.get(key)
    if known is None or seen < known:
        facts[key] = seen
