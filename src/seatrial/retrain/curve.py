"""How a model's quality declines with its age."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise


@dataclass(frozen=True)
class Curve:
    """Decline in points of per cent at ages in days, straight between them; age 0 has no decline unless it is said.

    ``open_end``: the last slope goes on for ever; otherwise nothing is known beyond the last age. Raises ValueError for
    fewer than two ages, ages that do not rise, and numbers that are negative or not finite.

    >>> Curve((0, 1, 3), (0, 1, 2)).decline(2), Curve((0, 1, 3), (0, 1, 2)).lost(3)
    (1.5, 3.5)
    """

    ages: tuple[float, ...]
    declines: tuple[float, ...]
    open_end: bool = False

    def __post_init__(self) -> None:
        if len(self.ages) < 2 or len(self.ages) != len(self.declines) or self.ages[0] != 0:
            raise ValueError("a curve begins at age 0 and has a decline for each of at least two ages")
        if not all(math.isfinite(v) and v >= 0 for v in (*self.ages, *self.declines)):
            raise ValueError("ages and declines are finite and not negative")
        if not all(before < after for before, after in pairwise(self.ages)):
            raise ValueError("ages rise")

    @property
    def end(self) -> float:
        return math.inf if self.open_end else self.ages[-1]

    @property
    def is_straight(self) -> bool:
        return self.open_end and len(self.ages) == 2 and self.declines[0] == 0

    def decline(self, age: float) -> float:
        """At an age, in points. Raises ValueError beyond the curve's end."""
        start, slope, at, _ = self._segment(age)
        return at + slope * (age - start)

    def lost(self, age: float) -> float:
        """Point-days that a model has lost by this age: the area below the curve. Raises ValueError as `decline`."""
        start, slope, at, before = self._segment(age)
        passed = age - start
        return before + at * passed + slope * passed**2 / 2

    @cached_property
    def segments(self) -> tuple[tuple[float, float, float, float, float], ...]:
        """Of each straight part: its first and last age, slope, decline at the first, and point-days lost before it."""
        found, before = [], 0.0
        last = len(self.ages) - 2
        for i, ((a, b), (p, q)) in enumerate(zip(pairwise(self.ages), pairwise(self.declines), strict=True)):
            found.append((a, math.inf if self.open_end and i == last else b, (q - p) / (b - a), p, before))
            before += (p + q) / 2 * (b - a)
        return tuple(found)

    def _segment(self, age: float) -> tuple[float, float, float, float]:
        if not 0 <= age <= self.end:
            raise ValueError(f"the curve says nothing of age {age:g}: it ends at {self.end:g} days")
        parts = self.segments
        place = min(max(bisect_right(self.ages, age) - 1, 0), len(parts) - 1)
        first, _, slope, at, before = parts[place]
        return first, slope, at, before


def straight(rate: float) -> Curve:
    """A decline of ``rate`` points a day for ever. Raises ValueError unless it is positive.

    >>> straight(0.5).decline(7)
    3.5
    """
    if not (rate > 0 and math.isfinite(rate)):
        raise ValueError("a decline is a positive number of points a day")
    return Curve((0.0, 1.0), (0.0, rate), open_end=True)


def through(points: Sequence[tuple[float, float]]) -> Curve:
    """The curve through (age in days, decline in points), in any order; from 0 at age 0 unless that is given.

    >>> through([(2, 1.0), (1, 0.25)])
    Curve(ages=(0.0, 1.0, 2.0), declines=(0.0, 0.25, 1.0), open_end=False)
    """
    known = sorted((float(age), float(decline)) for age, decline in points)
    full = known if known and known[0][0] == 0 else [(0.0, 0.0), *known]
    return Curve(tuple(age for age, _ in full), tuple(decline for _, decline in full))
