"""Units of a simulated release: who was seen where, and who met a rare event, counted after every slot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from seatrial.evidence.facts import UnitCounts
from seatrial.ids import CANARY, CHAMPION, SHADOW, Arm
from seatrial.rollout.simulate.feed import Bools, Events, Ints, Split, Window

_ROLES: tuple[tuple[str, Arm], ...] = (
    ("arms", CHAMPION),
    ("arms", CANARY),
    ("arms", SHADOW),
    ("phase", CHAMPION),
    ("phase", CANARY),
    ("phase", SHADOW),
    ("live", CHAMPION),
    ("live", CANARY),
    ("mirrored", CHAMPION),
    ("mirrored", SHADOW),
)
"""Sets of units: in an arm at all, in an arm of the present phase, of the epoch's live phases, of its mirrored ones."""

_MET: tuple[tuple[str, Arm], ...] = (
    ("touched", CHAMPION),
    ("touched", CANARY),
    ("met", CHAMPION),
    ("met", CANARY),
    ("shadowed", CHAMPION),
    ("shadowed", SHADOW),
)
"""The same of units that met a rare event: ever, in the present phase, in mirrored ones of the epoch; their first ones
of an epoch are kept apart, by phase."""

_EPOCH = frozenset({"live", "mirrored", "shadowed"})
_PHASE = frozenset({"phase", "met"})


@dataclass(slots=True)
class _Set:
    """Units that belong somewhere, how many there were before this window, and how many more after each slot."""

    member: Bools
    size: int
    more: Ints
    since: Ints

    @classmethod
    def empty(cls, units: int) -> _Set:
        return cls(np.zeros(units, dtype=bool), 0, np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))

    def offer(self, since: Ints, slots: int) -> None:
        """``since``: slot in which each unit joins unless it is a member; the number of slots for never."""
        self.since = np.where(self.member, slots, since)
        self.more = _cumulated(self.since, slots)

    def settle(self, kept: int) -> None:
        if kept and len(self.more):
            self.member |= self.since < kept
            self.size += int(self.more[kept - 1])
        self.more = self.since = np.zeros(0, dtype=np.int64)

    def count(self, slots: int) -> int:
        return self.size + (int(self.more[slots - 1]) if slots and len(self.more) else 0)

    def counts(self, slots: int) -> Ints:
        """After each slot of the window."""
        return self.size + (self.more if len(self.more) else np.zeros(slots, dtype=np.int64))


class Units:
    """First facts of every unit, as flags, and the numbers that gates read."""

    def __init__(self, points: Ints, events: tuple[str, ...]) -> None:
        self._points, self._n = points, len(points)
        self._names = events
        self._sets = {role: _Set.empty(self._n) for role in _ROLES}
        self._ever = _Set.empty(self._n)
        self._met = {(name, *role): _Set.empty(self._n) for name in events for role in _MET}
        self._firsts = {name: _Set.empty(self._n) for name in events}
        self._new: dict[tuple[int, Arm], int] = {}
        self._first_counts: dict[str, dict[tuple[int, Arm], int]] = {name: {} for name in events}
        self._phase_counts: dict[tuple[int, Arm], int] = {}
        self._met_counts: dict[str, dict[tuple[int, Arm], int]] = {name: {} for name in events}
        self._fresh: dict[Arm, Ints] = {}
        self._fresh_first: dict[tuple[str, Arm], Ints] = {}
        self._phase = 0

    def begin_epoch(self) -> None:
        """Harm is judged afresh."""
        self._empty(_EPOCH)
        for name in self._names:
            self._firsts[name] = _Set.empty(self._n)
            self._first_counts[name] = {}

    def _empty(self, kinds: frozenset[str]) -> None:
        for role in (role for role in _ROLES if role[0] in kinds):
            self._sets[role] = _Set.empty(self._n)
        for key in ((name, *role) for name in self._names for role in _MET if role[0] in kinds):
            self._met[key] = _Set.empty(self._n)

    def extend(self, phase: int, split: Split, window: Window) -> None:
        """What a window brings; nothing is settled yet."""
        if phase != self._phase:
            self._empty(_PHASE)
        slots, self._phase = window.slots, phase
        canary = self._points < split.weight
        copied = ~canary & (self._points < split.weight + split.mirrored)
        here: dict[Arm, Ints] = {
            CHAMPION: np.where(canary, slots, window.first),
            CANARY: np.where(canary, window.first, slots),
            SHADOW: np.where(copied, window.first, slots),
        }
        for kind, arm in _ROLES:
            wanted = kind in ("arms", "phase") or (split.weight > 0 if kind == "live" else split.mirrored > 0)
            if wanted:
                self._sets[kind, arm].offer(here[SHADOW if kind == "mirrored" else arm], slots)
        self._ever.offer(window.first, slots)
        self._fresh = {a: _cumulated(np.where(here[a] < slots, self._ever.since, slots), slots) for a in _SERVED}
        for name in self._names:
            self._extend_met(name, split, window, canary, copied)

    def _extend_met(self, name: str, split: Split, window: Window, canary: Bools, copied: Bools) -> None:
        slots, events = window.slots, window.events[name]
        met: dict[Arm, Ints] = {
            CHAMPION: _earliest(events, events.champion & ~canary[events.unit], self._n, slots),
            CANARY: _earliest(events, events.candidate & canary[events.unit], self._n, slots),
            SHADOW: _earliest(events, events.candidate & copied[events.unit], self._n, slots),
        }
        both = met | {CHAMPION: _earliest(events, events.champion & copied[events.unit], self._n, slots)}
        for kind, arm in _MET:
            if kind in ("touched", "met"):
                self._met[name, kind, arm].offer(met[arm], slots)
            elif split.mirrored > 0:  # of the units that are copied: both models saw the same
                self._met[name, kind, arm].offer(both[arm], slots)
        if split.weight == 0:
            return
        first = self._firsts[name]
        first.offer(np.minimum(met[CHAMPION], met[CANARY]), slots)
        for arm in _SERVED:
            self._fresh_first[name, arm] = _cumulated(np.where(met[arm] < slots, first.since, slots), slots)

    def settle(self, kept: int) -> None:
        """Keep the first slots of the window."""
        if kept:
            for arm in _SERVED:
                self._new[self._phase, arm] = self.new(arm, kept)
                for name in self._names:
                    self._first_counts[name][self._phase, arm] = self.first(name, arm, kept)
                    self._met_counts[name][self._phase, arm] = self._met[name, "met", arm].count(kept)
            for arm in _ARMS:
                self._phase_counts[self._phase, arm] = self._sets["phase", arm].count(kept)
        for found in (*self._sets.values(), self._ever, *self._met.values(), *self._firsts.values()):
            found.settle(kept)
        self._fresh, self._fresh_first = {}, {}

    def new(self, arm: Arm, slots: int) -> int:
        """Units first seen in an arm of the current phase, after so many slots of the window."""
        return self._new.get((self._phase, arm), 0) + _after(self._fresh.get(arm), slots)

    def first(self, name: str, arm: Arm, slots: int) -> int:
        """Units that met their first event of the epoch in an arm of the current phase."""
        known = self._first_counts[name].get((self._phase, arm), 0)
        return known + _after(self._fresh_first.get((name, arm)), slots)

    def series(self, kind: str, arm: Arm, slots: int) -> Ints:
        """Size of a set (`arms`, `phase`, `live`, `mirrored`) after each slot of the window."""
        return self._sets[kind, arm].counts(slots)

    def met_series(self, name: str, kind: str, arm: Arm, slots: int) -> Ints:
        """The same of units that met an event (`touched`, `met`, `shadowed`)."""
        return self._met[name, kind, arm].counts(slots)

    def by_phase(self, name: str | None, arm: Arm, slots: int) -> dict[int, Ints]:
        """New units (no name), or first events, of an arm by phase, after each slot of the window."""
        held = self._new if name is None else self._first_counts[name]
        fresh = self._fresh.get(arm) if name is None else self._fresh_first.get((name, arm))
        found = {phase: np.full(slots, n) for (phase, where), n in held.items() if where == arm}
        if fresh is not None:
            found[self._phase] = found.get(self._phase, np.zeros(slots, dtype=np.int64)) + fresh
        return found

    def counts(self, slots: int) -> UnitCounts:
        """Everything after so many slots of the window."""
        new = dict(self._new) | {(self._phase, arm): self.new(arm, slots) for arm in _SERVED}
        firsts = {
            name: dict(self._first_counts[name]) | {(self._phase, a): self.first(name, a, slots) for a in _SERVED}
            for name in self._names
        }
        met = {
            name: dict(self._met_counts[name])
            | {(self._phase, arm): self._met[name, "met", arm].count(slots) for arm in _SERVED}
            for name in self._names
        }
        sizes = {role: found.count(slots) for role, found in self._sets.items()}
        phases = dict(self._phase_counts) | {(self._phase, arm): sizes["phase", arm] for arm in _ARMS}
        return UnitCounts(
            new=new,
            arms=_of(sizes, "arms"),
            phases=phases,
            live=_of(sizes, "live"),
            mirrored=_of(sizes, "mirrored"),
            firsts=firsts,
            met=met,
            touched=self._met_sizes("touched", slots),
            shadowed=self._met_sizes("shadowed", slots),
        )

    def _met_sizes(self, kind: str, slots: int) -> dict[str, dict[Arm, int]]:
        return {
            name: {arm: self._met[name, kind, arm].count(slots) for k, arm in _MET if k == kind} for name in self._names
        }


_SERVED: tuple[Arm, Arm] = (CHAMPION, CANARY)
_ARMS: tuple[Arm, Arm, Arm] = (CHAMPION, CANARY, SHADOW)


def _cumulated(since: Ints, slots: int) -> Ints:
    counts: Ints = np.cumsum(np.bincount(since, minlength=slots + 1)[:slots])
    return counts


def _after(series: Ints | None, slots: int) -> int:
    return int(series[slots - 1]) if series is not None and slots else 0


def _of(sizes: Mapping[tuple[str, Arm], int], kind: str) -> dict[Arm, int]:
    return {arm: n for (k, arm), n in sizes.items() if k == kind}


def _earliest(events: Events, which: Bools, units: int, slots: int) -> Ints:
    """Slot of each unit's first such event; the number of slots if there is none."""
    first = np.full(units, slots)
    np.minimum.at(first, events.unit[which], events.slot[which])
    return first
