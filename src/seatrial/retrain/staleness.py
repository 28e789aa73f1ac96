"""How loss grows with a model's age, measured on models of several ages in the same periods."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from seatrial.retrain.differences import LEAST, Difference, difference


@dataclass(frozen=True, slots=True)
class Point:
    """Models of ``age`` days, in periods that the youngest age has too.

    ``decline``: points of per cent above the youngest, paired by period; None for fewer than three periods.
    """

    age: float
    periods: int
    loss: float
    decline: Difference | None


@dataclass(frozen=True, slots=True)
class Measured:
    """A staleness curve. ``youngest`` age in days: what declines are counted from; ``points`` from there on."""

    youngest: float
    loss: float
    points: tuple[Point, ...]

    @property
    def usable(self) -> tuple[tuple[float, float, float, float], ...]:
        """(age in days, decline, lower, upper) as `cadence optimise` reads them, a decline below nothing being none.

        Ages count from the youngest, which is where a model that has just been trained stands.
        """
        found = [(0.0, 0.0, 0.0, 0.0)]
        for one in self.points:
            if one.decline is not None:
                low, high = one.decline.interval
                found.append((one.age - self.youngest, max(0.0, one.decline.mean), max(0.0, low), max(0.0, high)))
        return tuple(found)


def measured(rows: Iterable[tuple[str, float, float]], *, relative: bool = False) -> Measured:
    """Rows of (period, age in days, loss); a period's rows of one age are averaged.

    What a period was like for everybody cancels, so a log in which each period has a model of one age alone says
    nothing. Points of per cent are 100 times the difference of losses, or, ``relative``, per cent of the youngest's
    mean loss. Raises ValueError for values that are not finite, and where fewer than three periods have two ages.

    >>> periods = (("a", 1), ("b", 5), ("c", 3))
    >>> found = measured([(p, age, base + 0.01 * age) for p, base in periods for age in (0, 1, 7)])
    >>> [(one.age, round(one.decline.mean, 6)) for one in found.points]
    [(1.0, 1.0), (7.0, 7.0)]
    """
    by_age: dict[float, dict[str, list[float]]] = {}
    for period, age, loss in rows:
        if not (math.isfinite(age) and age >= 0 and math.isfinite(loss)):
            raise ValueError(f"period {period}: ages and losses are finite, and ages not negative")
        by_age.setdefault(float(age), {}).setdefault(period, []).append(loss)
    means = {
        age: {period: math.fsum(losses) / len(losses) for period, losses in found.items()}
        for age, found in sorted(by_age.items())
    }
    if not means:
        raise ValueError("there are no losses")
    (youngest, first), *older = means.items()
    base = math.fsum(first.values()) / len(first)
    if relative and not base > 0:
        raise ValueError(f"the youngest models lose {base:g}: nothing is relative to that")
    scale = 100 / base if relative else 100.0
    points = tuple(_point(age, found, first, scale) for age, found in older)
    if not any(point.decline for point in points):
        raise ValueError(f"fewer than {LEAST} periods have models of {youngest:g} days and of another age")
    return Measured(youngest, base, points)


def _point(age: float, found: dict[str, float], first: dict[str, float], scale: float) -> Point:
    both = [period for period in found if period in first]
    loss = math.fsum(found.values()) / len(found)
    if len(both) < LEAST:
        return Point(age, len(both), loss, None)
    return Point(age, len(both), loss, difference([scale * (found[p] - first[p]) for p in both]))
