"""First facts of each unit: what sample-ratio checks, rare events and cohorts are counted from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from seatrial.evidence.visits import Ids, Ints, Numbers, Visits, longer
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
    """What a unit has been through: where it was, and which rare events it met where."""

    places: frozenset[Place] = frozenset()
    events: frozenset[tuple[str, Place]] = frozenset()


_NOWHERE = -1


class MutableFacts:
    """The same facts, grown in place: a look costs what is new, not what is known.

    Units are many, and what they have been through is of few kinds: a unit has the number of its history, units are
    counted by it as it grows, and a look adds up the histories.
    """

    def __init__(self) -> None:
        self._numbers = Numbers()
        self._places: list[Place] = []
        self._visits: dict[Place, Visits] = {}
        self._firsts = Visits()
        self._first_place: Ints = np.empty(0, dtype=np.int64)
        self._history: Ints = np.empty(0, dtype=np.int64)
        self._histories: dict[_History, int] = {_History(): 0}
        self._alike: Counter[tuple[int, int]] = Counter()

    def absorb(self, rows: Iterable[UnitRow]) -> None:
        """Add a slice of the log; the same slice twice changes nothing."""
        by_place: dict[Place, dict[str, UnitRow]] = {}
        for row in rows:
            units = by_place.setdefault((row.seen.phase, row.seen.arm), {})
            known = units.get(row.unit, row)
            units[row.unit] = UnitRow(row.unit, min(known.seen, row.seen), known.events | row.events)
        for place, units in by_place.items():
            found = list(units.values())
            names = sorted({name for row in found for name in row.events})
            self.absorb_columns(
                place,
                [*units],
                np.array([row.seen.time for row in found], dtype=np.int64),
                partial(_ids_of, found),
                {name: np.array([name in row.events for row in found]) for name in names},
            )

    def absorb_columns(
        self, place: Place, units: list[str], times: Ints, ids: Ids, events: Mapping[str, NDArray[np.bool_]]
    ) -> None:
        """What distinct units did in one place: first request of each, and whether it met each of the events."""
        at = self._numbers.of(units)
        self._first_place = longer(self._first_place, len(self._numbers), _NOWHERE)
        self._history = longer(self._history, len(self._numbers), 0)
        self._of(place).keep_least(at, times, ids)
        before = self._first_place[at], self._history[at]
        if place[1] != SHADOW:
            known = self._first_place
            first = self._firsts.keep_least(at, times, ids, lambda unit: place < self._places[known[unit]])
            self._first_place[at[first]] = self._places.index(place)
        self._history[at] = self._grown(place, before[1], events)
        self._recount(before, (self._first_place[at], self._history[at]))

    def merge(self, other: FirstFacts) -> None:
        """Add facts of another slice."""
        met: dict[tuple[str, Place], set[str]] = {}
        for (name, unit), where in other.events.items():
            for place in where:
                met.setdefault((unit, place), set()).add(name)
        self.absorb(
            UnitRow(unit, seen, frozenset(met.get((unit, (phase, arm)), ())))
            for (unit, phase, arm), seen in other.by_phase.items()
        )

    def first_time(self, unit: str, place: Place) -> int | None:
        """When a unit was first seen in a place; None if it never was."""
        visits = self._visits.get(place)
        seen = visits.at(self._numbers[unit]) if visits is not None and unit in self._numbers else None
        return None if seen is None else seen[0]

    def freeze(self) -> FirstFacts:
        """An unchanging copy."""
        names, histories = list(self._numbers), list(self._histories)
        first: dict[str, Seen] = {}
        by_arm: dict[tuple[str, Arm], Seen] = {}
        by_phase: dict[tuple[str, int, Arm], Seen] = {}
        for (phase, arm), visits in self._visits.items():
            for unit in visits.units():
                seen = Seen(*(visits.at(unit) or (0, "")), phase, arm)
                by_phase[names[unit], phase, arm] = seen
                _keep_least(by_arm, (names[unit], arm), seen)
                if arm != SHADOW:
                    _keep_least(first, names[unit], seen)
        events = {
            (name, unit): frozenset(places)
            for unit, number in zip(names, self._history.tolist(), strict=False)
            for name, places in _by_name(histories[number].events).items()
        }
        return FirstFacts(first, by_arm, by_phase, events)

    def counts(self, *, live: Collection[int], mirrored: Collection[int]) -> UnitCounts:
        """The numbers that gates read; events count once a unit, in the ``live`` and ``mirrored`` phases given."""
        census, histories = _Census(live, mirrored), list(self._histories)
        for (first, number), units in self._alike.items():
            census.add(None if first == _NOWHERE else self._places[first], histories[number], units)
        return census.counts()

    def _of(self, place: Place) -> Visits:
        if place not in self._visits:
            self._places.append(place)
            self._visits[place] = Visits()
        return self._visits[place]

    def _grown(self, place: Place, numbers: Ints, events: Mapping[str, NDArray[np.bool_]]) -> Ints:
        """Histories of units after they were in a place and met events there: each kind is grown once."""
        names = list(events)
        kinds = numbers << len(names)
        for bit, met in enumerate(events.values()):
            kinds |= met.astype(np.int64) << bit
        distinct, which = np.unique(kinds, return_inverse=True)
        histories = list(self._histories)
        grown = []
        for kind in distinct.tolist():
            old = histories[kind >> len(names)]
            met_here = {(name, place) for bit, name in enumerate(names) if kind >> bit & 1}
            new = _History(old.places | {place}, old.events | met_here)
            grown.append(self._histories.setdefault(new, len(self._histories)))
        numbers_after: Ints = np.array(grown, dtype=np.int64)[which]
        return numbers_after

    def _recount(self, before: tuple[Ints, Ints], after: tuple[Ints, Ints]) -> None:
        """Units by (first place, history), where that has changed."""
        changed = np.flatnonzero((before[0] != after[0]) | (before[1] != after[1]))
        if not len(changed):
            return
        self._alike.update(_tallied(after[0][changed], after[1][changed]))
        left = _tallied(before[0][changed], before[1][changed])
        left.pop((_NOWHERE, 0), None)  # whoever is new was not counted
        self._alike.subtract(left)
        for key in left:
            if not self._alike[key]:
                del self._alike[key]


def _ids_of(rows: Sequence[UnitRow], at: Ints) -> list[str]:
    return [rows[n].seen.request_id for n in at.tolist()]


def _tallied(firsts: Ints, numbers: Ints) -> Counter[tuple[int, int]]:
    """How many units have each pair of a first place and a history."""
    width = int(numbers.max()) + 1
    pairs, counts = np.unique((firsts + 1) * width + numbers, return_counts=True)
    return Counter(
        {(pair // width - 1, pair % width): n for pair, n in zip(pairs.tolist(), counts.tolist(), strict=True)}
    )


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

    def add(self, first: Place | None, history: _History, units: int) -> None:
        """So many units with the same first place and the same history."""
        places = history.places
        arms = _arms(places)
        copied = {phase for phase, arm in places if arm == SHADOW and phase in self._mirrored}
        self._crossed += units if {CHAMPION, CANARY} <= arms else 0
        _count(self._new, [first] if first else (), units)
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
