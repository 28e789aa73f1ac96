"""Traffic of clustered units, simulated at the level of (time slice, arm, unit bucket).

Every unit has a click rate of its own (beta) and an activity of its own (gamma); its exposures are a Poisson process, a
click marks each with the unit's rate. The sum of Poisson processes is one, so drawing the sums of a bucket's units at
once is *exactly* the simulation of each of its units, at a thousandth of the cost.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from seatrial.evidence.tally import UNIT_BUCKETS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

RATE, CLUSTERING = 0.052, 0.05
"""Mean click rate, and how alike two exposures of one unit are (intra-class correlation)."""

ACTIVITY_SHAPE = 3.0
"""Gamma shape of a unit's activity: squared coefficient of variation 1/3."""

_A, _B = RATE * (1 / CLUSTERING - 1), (1 - RATE) * (1 / CLUSTERING - 1)


@dataclass(frozen=True)
class Schedule:
    """Shares of the canary and how many days each lasts; looks at equal distances over all of them.

    The day has a rhythm (traffic +-60%, clicks +-15%) and each one a level of its own (5%); ``trend`` is the change
    of the click rate over the run. A unit has ``exposures`` on average.
    """

    stages: tuple[tuple[float, float], ...]
    looks: int = 200
    exposures: float = 10.0
    trend: float = 0.0

    @cached_property
    def days(self) -> float:
        return sum(days for _, days in self.stages)

    @cached_property
    def time(self) -> Floats:
        """Middle of each slice, in days."""
        return (np.arange(self.looks) + 0.5) * self.days / self.looks

    @cached_property
    def stage(self) -> Ints:
        """Index of the stage of each slice."""
        return np.searchsorted(np.cumsum([days for _, days in self.stages]), self.time, side="right")

    @cached_property
    def strata(self) -> list[tuple[int, int]]:
        """Slices [from, to) of each stratum (stage, day)."""
        key = self.stage * 1000 + np.floor(self.time).astype(int)
        starts = [0, *(np.flatnonzero(np.diff(key)) + 1), self.looks]
        return [(int(a), int(b)) for a, b in pairwise(starts)]

    @cached_property
    def traffic(self) -> Floats:
        """Exposures of an average unit in each slice."""
        rhythm = 1 + 0.6 * np.sin(2 * np.pi * self.time)
        traffic: Floats = self.exposures * rhythm / rhythm.sum()
        return traffic

    def appeal(self, rng: np.random.Generator) -> Floats:
        """Factor on everybody's click rate in each slice; the same in both arms."""
        level = rng.lognormal(0, 0.05, int(np.ceil(self.days)))[np.floor(self.time).astype(int)]
        rhythm = 1 + 0.15 * np.sin(2 * np.pi * (self.time + 0.25))
        appeal: Floats = level * rhythm * (1 + self.trend * self.time / self.days)
        return appeal

    def seen(self, units: int) -> Floats:
        """Units expected to have been seen by the end of each slice."""
        gone = np.cumsum(self.traffic) / ACTIVITY_SHAPE
        return units * (1 - (1 + gone) ** -ACTIVITY_SHAPE)


@dataclass(frozen=True)
class Population:
    """Sums over the units of each (band, bucket): ``activity``, and activity times click rate (``liking``).

    A band is the units that join the canary together; band k is in it while the share is at least the k-th.
    """

    activity: Floats
    liking: Floats

    @classmethod
    def draw(cls, units: int, edges: Floats, rng: np.random.Generator, *, gaussian: bool) -> Population:
        """Units one by one, or, for millions of them, the normal law their sums tend to (same mean and covariance)."""
        widths = np.diff(np.concatenate([[0.0], edges, [1.0]]))
        shape = (len(widths), UNIT_BUCKETS)
        if gaussian:
            return cls(*_normal_sums(units * widths / UNIT_BUCKETS, shape, rng))
        place = rng.choice(len(widths), units, p=widths) * UNIT_BUCKETS + rng.integers(0, UNIT_BUCKETS, units)
        activity = rng.gamma(ACTIVITY_SHAPE, 1 / ACTIVITY_SHAPE, units)
        liking = activity * rng.beta(_A, _B, units)
        size = shape[0] * UNIT_BUCKETS
        sums = [np.bincount(place, w, size).reshape(shape).astype(float) for w in (activity, liking)]
        return cls(*sums)


@dataclass(frozen=True)
class Exposures:
    """Clicked and unclicked exposures of canary (t) and champion (c): arrays of shape (looks, buckets)."""

    clicks_t: Ints
    misses_t: Ints
    clicks_c: Ints
    misses_c: Ints


def expose(schedule: Schedule, population: Population, rng: np.random.Generator) -> Exposures:
    """One run of the schedule over a population, both arms with the same model."""
    appeal = schedule.appeal(rng)
    joined = np.cumsum(population.activity, axis=0), np.cumsum(population.liking, axis=0)
    arms = []
    for of_arm in ("t", "c"):
        activity, liking = (s[schedule.stage] if of_arm == "t" else s[-1] - s[schedule.stage] for s in joined)
        clicks = liking * (schedule.traffic * appeal)[:, None]
        misses = np.maximum(activity * schedule.traffic[:, None] - clicks, 0)
        arms += [rng.poisson(clicks), rng.poisson(misses)]
    return Exposures(*arms)


def _normal_sums(expected: Floats, shape: tuple[int, int], rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Compound Poisson sums of (activity, activity x rate) in the normal limit, for ``expected`` units a bucket."""
    squared = 1 + 1 / ACTIVITY_SHAPE
    rate_squared = RATE**2 + CLUSTERING * RATE * (1 - RATE)
    common = rng.standard_normal(shape) * np.sqrt(expected * squared)[:, None]
    own = rng.standard_normal(shape) * np.sqrt(expected * squared * (rate_squared - RATE**2))[:, None]
    mean = expected[:, None]
    return np.maximum(mean + common, 0), np.maximum(mean * RATE + RATE * common + own, 0)
