"""First facts of each unit: what sample-ratio checks, rare events and cohorts are counted from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from seatrial.ids import CANARY, CHAMPION, SHADOW, Arm

Place = tuple[int, Arm]
"""A phase and an arm."""


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
    events: Mapping[tuple[str, str], frozenset[Place]] = field(default_factory=dict)

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


class _History(NamedTuple):
    """What a unit has been through: where it was served first, where it was, and which rare events it met where."""

    first: Place | None
    places: frozenset[Place]
    events: frozenset[tuple[str, Place]]


_NOTHING = _History(None, frozenset(), frozenset())


class MutableFacts:
    """The same facts, grown in place: a look costs what is new, not what is known.

    Units are many, and what they have been through is of few kinds: units are counted by their history as it grows, and
    a look adds up the histories.
    """

    def __init__(self) -> None:
        self.first: dict[str, Seen] = {}
        self.by_phase: dict[tuple[str, int, Arm], Seen] = {}
        self._histories: dict[str, _History] = {}
        self._alike: Counter[_History] = Counter()
        self._same: dict[_History, _History] = {}

    def absorb(self, rows: Iterable[UnitRow]) -> None:
        """Add a slice of the log; the same slice twice changes nothing."""
        for unit, seen, events in rows:
            place = (seen.phase, seen.arm)
            if seen.arm != SHADOW:
                _keep_least(self.first, unit, seen)
            _keep_least(self.by_phase, (unit, *place), seen)
            self._write(unit, (place,), [(name, place) for name in events] if events else ())

    def merge(self, other: FirstFacts) -> None:
        """Add facts of another slice."""
        for unit, seen in other.first.items():
            _keep_least(self.first, unit, seen)
        for (unit, phase, arm), seen in other.by_phase.items():
            _keep_least(self.by_phase, (unit, phase, arm), seen)
            self._write(unit, ((phase, arm),), ())
        for (name, unit), where in other.events.items():
            self._write(unit, where, [(name, place) for place in where])

    def _write(self, unit: str, places: Collection[Place], events: Collection[tuple[str, Place]]) -> None:
        """Places and events into the unit's history, after its first exposure is known."""
        old, seen = self._histories.get(unit, _NOTHING), self.first.get(unit)
        first = None if seen is None else (seen.phase, seen.arm)
        if first == old.first and old.places.issuperset(places) and old.events.issuperset(events):
            return
        new = _History(first, old.places.union(places), old.events.union(events))
        self._histories[unit] = self._same.setdefault(new, new)
        self._alike[new] += 1
        if old is not _NOTHING:
            self._alike[old] -= 1
            if not self._alike[old]:
                del self._alike[old]

    def freeze(self) -> FirstFacts:
        """An unchanging copy."""
        by_arm: dict[tuple[str, Arm], Seen] = {}
        for (unit, _, arm), seen in self.by_phase.items():
            _keep_least(by_arm, (unit, arm), seen)
        events = {
            (name, unit): frozenset(places)
            for unit, history in self._histories.items()
            for name, places in _by_name(history.events).items()
        }
        return FirstFacts(dict(self.first), by_arm, dict(self.by_phase), events)

    def counts(self, *, live: Collection[int], mirrored: Collection[int]) -> UnitCounts:
        """The numbers that gates read; events count once a unit, in the ``live`` and ``mirrored`` phases given."""
        census = _Census(live, mirrored)
        for history, units in self._alike.items():
            census.add(history, units)
        return census.counts()


class _Census:
    """Units of every history, added up."""

    def __init__(self, live: Collection[int], mirrored: Collection[int]) -> None:
        self._live, self._mirrored = frozenset(live), frozenset(mirrored)
        self._new: Counter[Place] = Counter()
        self._arms: Counter[Arm] = Counter()
        self._phases: Counter[Place] = Counter()
        self._in_live: Counter[Arm] = Counter()
        self._in_mirrored: Counter[Arm] = Counter()
        self._crossed = 0
        self._firsts: dict[str, Counter[Place]] = {}
        self._met: dict[str, Counter[Place]] = {}
        self._touched: dict[str, Counter[Arm]] = {}
        self._shadowed: dict[str, Counter[Arm]] = {}

    def add(self, history: _History, units: int) -> None:
        """So many units with the same history."""
        places = history.places
        arms = _arms(places)
        copied = {phase for phase, arm in places if arm == SHADOW and phase in self._mirrored}
        self._crossed += units if {CHAMPION, CANARY} <= arms else 0
        _count(self._new, [history.first] if history.first else (), units)
        _count(self._arms, arms, units)
        _count(self._phases, places, units)
        _count(self._in_live, _arms(places, self._live), units)
        _count(self._in_mirrored, _arms(places, copied), units)
        for name, where in _by_name(history.events).items():
            served = [place for place in where if place[1] != SHADOW]
            recent = [place for place in served if place[0] in self._live]
            _count(self._met.setdefault(name, Counter()), served, units)
            _count(self._touched.setdefault(name, Counter()), _arms(served), units)
            _count(self._shadowed.setdefault(name, Counter()), _arms(where, copied), units)
            if recent:
                _count(self._firsts.setdefault(name, Counter()), [min(recent)], units)

    def counts(self) -> UnitCounts:
        return UnitCounts(
            new=self._new,
            arms=self._arms,
            phases=self._phases,
            crossed=self._crossed,
            firsts=self._firsts,
            met=self._met,
            touched=self._touched,
            shadowed=self._shadowed,
            live=self._in_live,
            mirrored=self._in_mirrored,
        )


@dataclass(frozen=True)
class UnitCounts:
    """Units, not requests.

    ``new``: units first seen in (phase, arm); ``arms``: distinct units an arm has had; ``phases``: distinct units per
    (phase, arm); ``crossed``: units that were in both champion and canary (a ramp moves each of them once, one way).
    Rare events: ``firsts`` counts, per event, units by the (phase, arm) of their first one in the live phases asked
    for; ``met`` the units of champion and canary that met it in a (phase, arm); ``touched`` the distinct units of an
    arm that ever met it; ``shadowed`` those in the mirrored phases asked for.
    ``live`` and ``mirrored``: distinct units of an arm in the live and in the mirrored phases asked for. Where only a
    share is copied, the mirrored ones are the units with a copy: both models saw the same.
    """

    new: Mapping[Place, int] = field(default_factory=dict)
    arms: Mapping[Arm, int] = field(default_factory=dict)
    phases: Mapping[Place, int] = field(default_factory=dict)
    crossed: int = 0
    firsts: Mapping[str, Mapping[Place, int]] = field(default_factory=dict)
    met: Mapping[str, Mapping[Place, int]] = field(default_factory=dict)
    touched: Mapping[str, Mapping[Arm, int]] = field(default_factory=dict)
    shadowed: Mapping[str, Mapping[Arm, int]] = field(default_factory=dict)
    live: Mapping[Arm, int] = field(default_factory=dict)
    mirrored: Mapping[Arm, int] = field(default_factory=dict)


def _arms(places: Iterable[Place], phases: Collection[int] | None = None) -> set[Arm]:
    """Arms of places; with ``phases``, of those in these phases."""
    return {arm for phase, arm in places if phases is None or phase in phases}


def _by_name(events: Iterable[tuple[str, Place]]) -> dict[str, list[Place]]:
    """Where each event was met."""
    found: dict[str, list[Place]] = {}
    for name, place in events:
        found.setdefault(name, []).append(place)
    return found


_Key = TypeVar("_Key", bound=Hashable)


def _count(counter: Counter[_Key], keys: Iterable[_Key], units: int) -> None:
    for key in keys:
        counter[key] += units


def _keep_least(facts: dict[_Key, Seen], key: _Key, seen: Seen) -> None:
    known = facts.get(key)
    if known is None or seen < known:
        facts[key] = seen
