"""How often to train: each run costs money, and so does every day that a model grows older.

Trained every T days, a model costs C(T) = (K + L D(T)) / T a day, with K the cost of a run, L what a point of decline
costs a day, and D(T) the point-days lost by age T. This is the renewal-reward argument of age replacement (Barlow &
Proschan 1965); with a straight decline of r points a day T* = sqrt(2 K / (L r)) and C(T*) = sqrt(2 K L r), the
square-root law of Harris (1913).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from seatrial.retrain.curve import Curve

Binding = Literal["min_interval", "max_interval", "label_delay", "grid", "curve_end"]

MOST_STEPS = 100_000


@dataclass(frozen=True, slots=True)
class Costs:
    """``run``: of training and deploying once. ``point_day``: what one point of decline costs a day.

    Raises ValueError unless both are positive.
    """

    run: float
    point_day: float

    def __post_init__(self) -> None:
        if not all(math.isfinite(v) and v > 0 for v in (self.run, self.point_day)):
            raise ValueError("a run and a point of decline cost more than nothing")

    def per_day(self, curve: Curve, interval: float) -> float:
        """C(T). Raises ValueError for an interval that is not positive or beyond the curve's end.

        >>> from seatrial.retrain.curve import straight
        >>> Costs(200, 1000).per_day(straight(0.5), 1), round(Costs(200, 1000).per_day(straight(0.5), 7), 2)
        (450.0, 1778.57)
        """
        if not interval > 0:
            raise ValueError("an interval is longer than nothing")
        return (self.run + self.point_day * curve.lost(interval)) / interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What an interval must respect, in days. ``grid``: it is a multiple of this (whole days; maintenance windows).

    ``label_delay``: until a model's outcomes are known nobody can tell whether the next one is better.
    """

    least: float = 0.0
    most: float = math.inf
    label_delay: float = 0.0
    grid: float | None = None


@dataclass(frozen=True, slots=True)
class Optimum:
    """``interval`` in days, ``cost`` a day; ``binding``: what keeps it from being another."""

    interval: float
    cost: float
    binding: tuple[Binding, ...] = ()


def optimum(costs: Costs, curve: Curve) -> Optimum:
    """The cheapest interval, whatever is allowed: exact for a curve of straight parts.

    Within a part of slope b, C is least where T^2 = 2 (K / L + D0 - p0 t0 + b t0^2 / 2) / b with p0, D0 the decline and
    the point-days at its first age t0; between parts and at the end it is tried. Binding is the curve's end where
    quality does not decline fast enough before it.

    >>> from seatrial.retrain.curve import straight
    >>> best = optimum(Costs(200, 1000), straight(0.5))
    >>> round(best.interval, 4), round(best.cost, 2)
    (0.8944, 447.21)
    """
    best = min(_candidates(costs, curve), key=lambda interval: (costs.per_day(curve, interval), interval))
    return Optimum(best, costs.per_day(curve, best), ("curve_end",) if best == curve.end else ())


def _candidates(costs: Costs, curve: Curve) -> Iterator[float]:
    for start, end, slope, at, before in curve.segments:
        if slope > 0:
            squared = 2 / slope * (costs.run / costs.point_day + before - at * start + slope * start**2 / 2)
            if squared > 0 and start < math.sqrt(squared) <= end:
                yield math.sqrt(squared)
        if math.isfinite(end):
            yield end
        elif slope <= 0:
            raise ValueError("a curve that does not decline at its open end has no best interval")


def allowed(costs: Costs, curve: Curve, limits: Limits) -> Optimum:
    """The cheapest interval within the limits. Binding is each limit without which it would be another.

    Raises ValueError where the limits leave none.

    >>> from seatrial.retrain.curve import straight
    >>> allowed(Costs(200, 1000), straight(0.5), Limits(grid=1))
    Optimum(interval=1.0, cost=450.0, binding=('grid',))
    """
    best = _best(costs, curve, limits)
    if best is None:
        least, most = max(limits.least, limits.label_delay), min(limits.most, curve.end)
        raise ValueError(f"no interval from {least:g} to {most:g} days is allowed")
    given: tuple[tuple[Binding, Limits], ...] = (
        ("min_interval", replace(limits, least=0.0)),
        ("max_interval", replace(limits, most=math.inf)),
        ("label_delay", replace(limits, label_delay=0.0)),
        ("grid", replace(limits, grid=None)),
    )
    binding = [name for name, without in given if without != limits and _best(costs, curve, without) != best]
    if best == curve.end:
        binding.append("curve_end")
    return Optimum(best, costs.per_day(curve, best), tuple(binding))


def _best(costs: Costs, curve: Curve, limits: Limits) -> float | None:
    least, most = max(limits.least, limits.label_delay), min(limits.most, curve.end)
    if limits.grid is not None:
        options = _multiples(limits.grid, least, most, optimum(costs, curve).interval)
    else:
        inside = [v for v in _candidates(costs, curve) if least <= v <= most]
        options = [*inside, *(v for v in (least, most) if 0 < v < math.inf and least <= most)]
    return min(options, key=lambda interval: (costs.per_day(curve, interval), interval), default=None)


def _multiples(grid: float, least: float, most: float, around: float) -> list[float]:
    first = max(1, math.ceil(least / grid - 1e-9))
    last = math.floor((most if math.isfinite(most) else max(around, least) + grid) / grid + 1e-9)
    if last - first > MOST_STEPS:
        raise ValueError(f"a grid of {grid:g} days has too many steps up to {last * grid:g} days")
    return [k * float(grid) for k in range(first, last + 1)]


@dataclass(frozen=True, slots=True)
class Uncertain:
    """The optimum's ends where inputs are known within limits, and what the recommendation may cost too much a day."""

    lower: float
    upper: float
    regret: float


def uncertain(runs: Sequence[float], point_days: Sequence[float], curves: Sequence[Curve], chosen: float) -> Uncertain:
    """T* over the low and high ends of every input: it rises with the run's cost, falls with the loss and the decline.

    ``regret``: the most that ``chosen`` days cost above the best, over all these ends. Raises ValueError for no ends.

    >>> from seatrial.retrain.curve import straight
    >>> found = uncertain([200], [1000], [straight(0.25), straight(1.0)], 0.8944)
    >>> round(found.lower, 3), round(found.upper, 3), round(found.regret, 2)
    (0.632, 1.265, 38.36)
    """
    ends = [(Costs(run, loss), curve) for run in runs for loss in point_days for curve in curves]
    if not ends:
        raise ValueError("every input has an end")
    best = [optimum(costs, curve) for costs, curve in ends]
    extra = [costs.per_day(curve, min(chosen, curve.end)) - found.cost
             for (costs, curve), found in zip(ends, best, strict=True)]  # fmt: skip
    return Uncertain(min(b.interval for b in best), max(b.interval for b in best), max(extra))


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two intervals in hours: runs a month of 30 days at each, what the longer saves, and when that is no saving.

    ``break_even``: money an hour for each hour of a model's age, above which the shorter interval is the cheaper one.
    """

    runs: tuple[float, float]
    saved: float
    extra_age: float
    break_even: float


def compare(run: float, hours: tuple[float, float]) -> Comparison:
    """What training every ``hours[1]`` instead of every ``hours[0]`` saves, and for which staleness it does.

    A model trained every T hours is T / 2 old on average. Raises ValueError unless 0 < hours[0] < hours[1].

    >>> compare(15, (1, 4))
    Comparison(runs=(720.0, 180.0), saved=8100.0, extra_age=1.5, break_even=7.5)
    """
    often, seldom = hours
    if not 0 < often < seldom:
        raise ValueError("the shorter interval comes first")
    runs = (720 / often, 720 / seldom)
    saved, extra = run * (runs[0] - runs[1]), (seldom - often) / 2
    return Comparison(runs, saved, extra, saved / 720 / extra)
