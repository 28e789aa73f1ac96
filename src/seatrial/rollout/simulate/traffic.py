"""Synthetic exposures of a declared population, drawn as sums: a release costs the same on any traffic.

Units come back at random (Poisson arrivals), and stay who they are: each has a rate of its own for the whole release.
So the sums of a unit bucket in a slot have a distribution that can be drawn from directly, without its exposures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from seatrial.evidence.tally import MICRO, UNIT_BUCKETS
from seatrial.rollout.simulate.effects import Scenario
from seatrial.rollout.simulate.feed import Bools, Events, Floats, Grid, Ints, Split, Window

DAY = 86_400.0

Form = Literal["share", "amount", "event"]


@dataclass(frozen=True, slots=True)
class Rate:
    """One metric of the champion.

    ``form``: *share* (an outcome that is 0 or 1, or a request that is bad or not), *amount* (positive numbers, mean
    ``baseline`` and standard deviation ``sd``) or *event* (a rare one, counted once a unit; ``counted``: its requests
    are summed as well, for an absolute limit). ``icc``: share of the variance of one exposure that is between units.
    ``paired``: correlation of both models' values on the same request.
    """

    form: Form
    baseline: float
    sd: float = 0.0
    icc: float = 0.0
    paired: float = 0.9
    counted: bool = False


@dataclass(frozen=True, slots=True)
class Declared:
    """A population: requests a day, how many units make them, and how the days of the week differ (mean 1)."""

    requests: float
    units: int
    rates: Mapping[str, Rate]
    weekly: tuple[float, ...] = field(default=(1.0,) * 7)

    def feed(self, scenario: Scenario, grid: Grid, seconds: float, rng: np.random.Generator) -> DeclaredFeed:
        """One release; it has no end of its own."""
        return DeclaredFeed(self, scenario, grid, rng)


class DeclaredFeed:
    """One release of a scenario on a declared population."""

    def __init__(self, declared: Declared, scenario: Scenario, grid: Grid, rng: np.random.Generator) -> None:
        self._d, self._grid, self._rng = declared, grid, rng
        n = declared.units
        self.points = rng.integers(0, 10_000, n)
        self.buckets = rng.integers(0, UNIT_BUCKETS, n)
        self._champion = {name: self._own(rate) for name, rate in declared.rates.items()}
        self._candidate = {
            name: np.minimum(scenario.effect(name).on(own), 1.0 if declared.rates[name].form != "amount" else np.inf)
            for name, own in self._champion.items()
        }

    def _own(self, rate: Rate) -> Floats:
        """The rate of each unit."""
        n, mean = self._d.units, rate.baseline
        if rate.icc <= 0 or mean <= 0:
            return np.full(n, mean)
        if rate.form == "amount":
            shape = mean**2 / (rate.icc * rate.sd**2)
            return self._rng.gamma(shape, mean / shape, n)
        weight = 1 / rate.icc - 1
        return self._rng.beta(mean * weight, (1 - mean) * weight, n)

    def window(self, start: int, stop: int, split: Split) -> Window:
        """Slots ``[start, stop)`` under a split."""
        each = self._per_unit(start, stop)
        canary = self.points < split.weight
        copied = ~canary & (self.points < split.weight + split.mirrored)
        events = {
            name: self._events(name, each, canary, copied) for name, r in self._d.rates.items() if r.form == "event"
        }
        sums: dict[str, Ints] = {}
        if split.weight:
            place = canary * UNIT_BUCKETS + self.buckets
            for name in self._d.rates:
                if (drawn := self._sums(name, each, place, canary, events.get(name))) is not None:
                    sums[name] = drawn
        copies = self._rng.poisson(each * copied.sum())
        pairs = {
            name: self._pairs(name, each, copied)
            for name, r in self._d.rates.items()
            if split.mirrored and r.form == "amount"
        }
        first = self._first(each, canary, copied, events)
        return Window(slots=stop - start, first=first, copies=copies, sums=sums, pairs=pairs, events=events)

    def _per_unit(self, start: int, stop: int) -> Floats:
        """Expected requests of one unit in each slot."""
        middle = self._grid.begin + (np.arange(start, stop) + 0.5) * self._grid.step
        weekday = ((middle // DAY + 3) % 7).astype(np.int64)  # the epoch was a Thursday
        daily = self._d.requests / self._d.units * np.array(self._d.weekly)[weekday]
        each: Floats = daily * self._grid.step / DAY
        return each

    def _sums(self, name: str, each: Floats, place: Ints, canary: Bools, events: Events | None) -> Ints | None:
        """Champion and canary by unit bucket."""
        rate = self._d.rates[name]
        own = np.where(canary, self._candidate[name], self._champion[name])
        units = np.bincount(place, minlength=2 * UNIT_BUCKETS)
        total = np.bincount(place, own, minlength=2 * UNIT_BUCKETS)
        if rate.form == "amount":
            count = self._rng.poisson(np.outer(each, units))
            return _cells(count, self._amounts(count, total / np.maximum(units, 1), rate.sd))
        rest = np.maximum(units - total, 0.0)
        if rate.form == "share":
            yes = self._rng.poisson(np.outer(each, total))
            return _cells(yes + self._rng.poisson(np.outer(each, rest)), yes * MICRO)
        if not rate.counted or events is None:
            return None
        met = np.where(canary[events.unit], events.candidate, events.champion)
        key = events.slot[met] * 2 * UNIT_BUCKETS + place[events.unit[met]]
        yes = np.bincount(key, minlength=len(each) * 2 * UNIT_BUCKETS).reshape(len(each), -1)
        return _cells(yes + self._rng.poisson(np.outer(each, rest)), yes * MICRO)

    def _amounts(self, count: Ints, mean: Floats, sd: float) -> Ints:
        """Sums of so many positive numbers, in millionths: gamma, which adds up to gamma."""
        if sd <= 0:
            exact: Ints = np.rint(count * mean * MICRO).astype(np.int64)
            return exact
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = np.where(mean > 0, sd**2 / mean, 0.0)
            shape = np.where(mean > 0, count * (mean / sd) ** 2, 0.0)
        drawn: Ints = np.rint(self._rng.gamma(shape, np.broadcast_to(scale, shape.shape)) * MICRO).astype(np.int64)
        return drawn

    def _pairs(self, name: str, each: Floats, copied: Bools) -> Ints:
        """Champion and shadow on the same requests: the difference of a pair is noise, and the effect."""
        rate = self._d.rates[name]
        units = np.bincount(self.buckets[copied], minlength=UNIT_BUCKETS)
        means = [
            np.bincount(self.buckets[copied], own[copied], minlength=UNIT_BUCKETS) / np.maximum(units, 1)
            for own in (self._champion[name], self._candidate[name])
        ]
        count = self._rng.poisson(np.outer(each, units))
        ours = self._amounts(count, means[0], rate.sd)
        noise = self._rng.normal(0.0, rate.sd * np.sqrt(2 * (1 - rate.paired) * count)) * MICRO
        theirs = np.rint(ours + noise + count * (means[1] - means[0]) * MICRO).astype(np.int64)
        return _cells(np.concatenate([count, count], axis=1), np.concatenate([ours, theirs], axis=1))

    def _events(self, name: str, each: Floats, canary: Bools, copied: Bools) -> Events:
        """Requests that met a rare event with the model that answered, or with the shadow."""
        served = self._occur(each, np.where(canary, self._candidate[name], self._champion[name]))
        shadow = self._occur(each, np.where(copied, self._candidate[name], 0.0))
        by_candidate = np.concatenate([canary[served[1]], np.ones(len(shadow[1]), dtype=bool)])
        slot, unit = (np.concatenate(pair) for pair in zip(served, shadow, strict=True))
        by_champion = np.concatenate([~canary[served[1]], np.zeros(len(shadow[1]), dtype=bool)])
        return Events(slot, unit, by_champion, by_candidate)

    def _occur(self, each: Floats, rates: Floats) -> tuple[Ints, Ints]:
        """Slots and units of events that each unit meets at its own rate."""
        reach = np.cumsum(rates)
        n = int(self._rng.poisson(each.sum() * reach[-1]))
        slot = np.searchsorted(np.cumsum(each), self._rng.random(n) * each.sum(), side="right")
        unit = np.searchsorted(reach, self._rng.random(n) * reach[-1], side="right")
        return np.minimum(slot, len(each) - 1), np.minimum(unit, len(rates) - 1)

    def _first(self, each: Floats, canary: Bools, copied: Bools, events: Mapping[str, Events]) -> Ints:
        """Slot of each unit's first request. Those without events come at the rate that events leave."""
        plain = np.ones(self._d.units)
        for name in events:
            plain -= np.where(canary, self._candidate[name], self._champion[name])
            plain -= np.where(copied, self._candidate[name], 0.0)
        with np.errstate(divide="ignore"):
            waits = self._rng.standard_exponential(self._d.units) / np.maximum(plain, 0.0)
        first = np.searchsorted(np.cumsum(each), waits, side="left")
        for met in events.values():
            np.minimum.at(first, met.unit, met.slot)
        return first


def _cells(count: Ints, numerator: Ints) -> Ints:
    """Of arrays (slots, 2 * 256): champion, then the other arm."""
    sums = np.stack([count, numerator, count * MICRO], axis=2)
    return sums.reshape(len(count), 2, UNIT_BUCKETS, 3)
