"""Recorded exposures as what a simulated release is fed with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from seatrial.evidence.tally import MICRO, UNIT_BUCKETS
from seatrial.rollout.simulate.effects import Effect, Scenario
from seatrial.rollout.simulate.feed import Bools, Events, Floats, Grid, Ints, Split, Window, bucket_sums

_DAY = 86_400.0


@dataclass(frozen=True)
class Values:
    """One metric for every exposure: its value with either model (millionths), and whether its outcome came in time.

    ``over``: the denominator of a ratio (millionths); without one every exposure counts as one.
    """

    champion: Ints
    candidate: Ints
    known: Bools
    over: Ints | None = None


@dataclass(frozen=True)
class Population:
    """Recorded exposures in time order: ``time`` in seconds since the epoch (UTC), ``unit`` as an index from 0.

    ``events``: per rare metric, whether the exposure meets the event with (champion, candidate).
    """

    time: Floats
    unit: Ints
    values: Mapping[str, Values]
    events: Mapping[str, tuple[Bools, Bools]]

    @property
    def units(self) -> int:
        return int(self.unit.max()) + 1 if len(self.unit) else 0


class RecordedFeed:
    """A population, split by the places of its units."""

    def __init__(self, population: Population, points: Ints, buckets: Ints, grid: Grid) -> None:
        self.points, self.buckets = points, buckets
        self._all = population
        self._slot = np.floor((population.time - grid.begin) / grid.step).astype(np.int64)

    def window(self, start: int, stop: int, split: Split) -> Window:
        """Slots ``[start, stop)`` under a split."""
        low, high = np.searchsorted(self._slot, [start, stop])
        here = slice(int(low), int(high))
        unit, slot, slots = self._all.unit[here], self._slot[here] - start, stop - start
        first = np.full(len(self.points), slots)
        first[unit[::-1]] = slot[::-1]  # of several values for one place the last one stays: the earliest slot
        place = self.points[unit]
        canary = place < split.weight
        copied = ~canary & (place < split.weight + split.mirrored)
        bucket = self.buckets[unit]
        served = _Rows(slots, slot, bucket, canary)
        return Window(
            slots=slots,
            first=first,
            copies=np.bincount(slot[copied], minlength=slots),
            sums={name: served.sums(_at(v, here)) for name, v in self._all.values.items()} if split.weight else {},
            pairs={name: served.pairs(_at(v, here), copied) for name, v in self._all.values.items()}
            if split.mirrored
            else {},
            events={name: _events(slot, unit, a[here], b[here]) for name, (a, b) in self._all.events.items()},
        )


@dataclass(frozen=True, slots=True)
class _Rows:
    """Exposures of a window."""

    slots: int
    slot: Ints
    bucket: Ints
    canary: Bools

    def sums(self, values: Values) -> Ints:
        """Champion and canary, each with the value of the model that answered."""
        value = np.where(self.canary, values.candidate, values.champion)
        return self._of(values, values.known, self.canary.astype(np.int64), value)

    def pairs(self, values: Values, copied: Bools) -> Ints:
        """Champion and shadow on the same requests."""
        used = values.known & copied
        both = [
            self._of(values, used, np.full(len(used), n), v) for n, v in enumerate((values.champion, values.candidate))
        ]
        return both[0] + both[1]

    def _of(self, values: Values, used: Bools, arm: Ints, value: Ints) -> Ints:
        over = None if values.over is None else values.over[used]
        return bucket_sums(self.slots, arm[used], self.bucket[used], self.slot[used], value[used], over)


def _at(values: Values, here: slice) -> Values:
    over = None if values.over is None else values.over[here]
    return Values(values.champion[here], values.candidate[here], values.known[here], over)


def _events(slot: Ints, unit: Ints, champion: Bools, candidate: Bools) -> Events:
    met = champion | candidate
    return Events(slot[met], unit[met], champion[met], candidate[met])


@dataclass(frozen=True)
class Recorded:
    """Exposures of the champion from a log, whose units are drawn again and again.

    ``time``: seconds since the log's first midnight (UTC), ``unit``: an index from 0, both sorted by unit and then by
    time. ``values``: of the champion (millionths; ``shares`` names those that are 0 or 1); ``events``: rare ones.
    ``days``: whole days that the log covers; a longer release goes round it again.
    """

    time: Floats
    unit: Ints
    values: Mapping[str, Values]
    shares: frozenset[str]
    events: Mapping[str, Bools]
    days: int

    @property
    def units(self) -> int:
        return int(self.unit[-1]) + 1 if len(self.unit) else 0

    def feed(self, scenario: Scenario, grid: Grid, seconds: float, rng: np.random.Generator) -> RecordedFeed:
        """Units drawn with replacement, each with all its requests in their hours, and a candidate for them.

        They are drawn within the time bucket of their first request, so that the day keeps its shape. A unit that is
        drawn twice is two units, each with its own place. Every round through the log draws anew.
        """
        span = self.days * _DAY
        rounds = max(int(np.ceil(seconds / span)), 1)
        drawn = [self._round(grid.bucket, rng) for _ in range(rounds)]
        row = np.concatenate([rows for rows, _ in drawn])
        unit = np.concatenate([units + n * self.units for n, (_, units) in enumerate(drawn)])
        time = self.time[row] + np.repeat(np.arange(rounds) * span, [len(rows) for rows, _ in drawn])
        order = np.argsort(time, kind="stable")
        row, unit, time = row[order], unit[order], time[order] + grid.begin
        events = self._events(row, scenario, rng)
        population = Population(time, unit, self._values(row, scenario, events, rng), events)
        n = rounds * self.units
        return RecordedFeed(population, rng.integers(0, 10_000, n), rng.integers(0, UNIT_BUCKETS, n), grid)

    def _round(self, bucket: float, rng: np.random.Generator) -> tuple[Ints, Ints]:
        """Rows of the units that are drawn for one round, and which of them each row belongs to."""
        begins = np.flatnonzero(np.concatenate([[True], self.unit[1:] != self.unit[:-1]]))
        lengths = np.diff(np.append(begins, len(self.unit)))
        stratum = (self.time[begins] // bucket).astype(np.int64)
        order = np.argsort(stratum, kind="stable")
        _, first, size = np.unique(stratum[order], return_index=True, return_counts=True)
        pick = np.repeat(first, size) + np.floor(rng.random(len(order)) * np.repeat(size, size)).astype(np.int64)
        chosen = order[pick]
        many = lengths[chosen]
        unit = np.repeat(np.arange(len(chosen)), many)
        within = np.arange(len(unit)) - np.repeat(np.cumsum(many) - many, many)
        return begins[chosen][unit] + within, unit

    def _values(
        self, row: Ints, scenario: Scenario, events: Mapping[str, tuple[Bools, Bools]], rng: np.random.Generator
    ) -> dict[str, Values]:
        found = {}
        for name, values in self.values.items():
            ours, effect = values.champion[row], scenario.effect(name)
            if name in events:
                theirs = events[name][1] * MICRO
            elif name in self.shares:
                theirs = _flipped(ours > 0, effect, rng) * MICRO
            else:
                theirs = _changed(ours, effect)
            over = None if values.over is None else values.over[row]
            found[name] = Values(ours, theirs, values.known[row], over)
        return found

    def _events(self, row: Ints, scenario: Scenario, rng: np.random.Generator) -> dict[str, tuple[Bools, Bools]]:
        return {name: (met[row], _flipped(met[row], scenario.effect(name), rng)) for name, met in self.events.items()}


def _flipped(met: Bools, effect: Effect, rng: np.random.Generator) -> Bools:
    """Yes-or-no values whose rate has changed: some become no, or some others yes."""
    rate = float(met.mean()) if len(met) else 0.0
    wanted = min(float(effect.on(np.array(rate))), 1.0)
    if wanted <= rate:
        return met & (rng.random(len(met)) * rate < wanted) if wanted < rate else met
    return met | (rng.random(len(met)) < (wanted - rate) / (1 - rate))


def _changed(values: Ints, effect: Effect) -> Ints:
    """Amounts (millionths) with a change of each."""
    by = values * effect.size if effect.scale == "relative" else np.full(len(values), effect.size * MICRO)
    changed: Ints = values + np.rint(by).astype(np.int64)
    return changed
