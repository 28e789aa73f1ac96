"""Two intervals compared on what models of every age really lost, period by period."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from seatrial.instants import in_utc
from seatrial.retrain.differences import Difference, difference

MOST_PERIODS = 10_000


@dataclass(frozen=True, slots=True)
class Paired:
    """Mean losses at both intervals, and the longer's minus the shorter's with its interval (95%).

    ``blocks``: runs of periods that share a model at the longer interval; they, not the periods, are independent.
    """

    periods: int
    losses: tuple[float, float]
    found: Difference

    @property
    def difference(self) -> float:
        return self.found.mean

    @property
    def interval(self) -> tuple[float, float]:
        return self.found.interval

    def document(self) -> dict[str, Any]:
        return {"periods": self.periods, "blocks": self.found.n, "losses": list(self.losses),
                "difference": self.difference, "interval": list(self.interval)}  # fmt: skip


def paired(rows: Iterable[tuple[str, float, float]], hours: tuple[float, float]) -> Paired:
    """Rows of (period, age of the model in hours, loss). Trained every T hours, a model is between 0 and T old.

    Student's interval over the periods. Raises ValueError for values that are not finite, a period without models of
    both, or fewer than three periods.

    >>> rows = [(p, age, base + 0.1 * age) for p, base in (("mon", 1), ("tue", 5), ("wed", 3)) for age in (0, 1, 2, 3)]
    >>> found = paired(rows, (1, 3))
    >>> round(found.difference, 3), [round(end, 3) for end in found.interval]
    (0.1, [0.1, 0.1])
    """
    ages: dict[str, list[tuple[float, float]]] = {}
    for period, age, loss in rows:
        if not (math.isfinite(age) and age >= 0 and math.isfinite(loss)):
            raise ValueError(f"period {period}: ages and losses are finite, and ages not negative")
        ages.setdefault(period, []).append((age, loss))
    short, long = ([_mean(period, found, limit) for period, found in ages.items()] for limit in hours)
    found = difference([b - a for a, b in zip(short, long, strict=True)])
    return Paired(found.n, (math.fsum(short) / found.n, math.fsum(long) / found.n), found)


def _mean(period: str, found: list[tuple[float, float]], limit: float) -> float:
    losses = [loss for age, loss in found if age <= limit]
    if not losses or all(age < limit / 2 for age, _ in found):
        raise ValueError(f"period {period} has no models as old as {limit:g} hours let them become")
    return math.fsum(losses) / len(losses)


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """A stretch of history, [start, end) in UTC, that models are scored on."""

    start: datetime
    end: datetime


def periods(since: datetime, until: datetime, every: timedelta) -> tuple[Period, ...]:
    """Whole periods from ``since`` on; a rest before ``until`` is left out.

    Raises ValueError for a period that is not positive, fewer than one of them, or more than 10,000.

    >>> from datetime import UTC
    >>> day = timedelta(days=1)
    >>> [p.start.day for p in periods(datetime(2024, 2, 28, tzinfo=UTC), datetime(2024, 3, 2, 12, tzinfo=UTC), day)]
    [28, 29, 1]
    """
    if not every > timedelta(0):
        raise ValueError("a period is longer than nothing")
    since, until = in_utc(since), in_utc(until)
    count = (until - since) // every
    if not 0 < count <= MOST_PERIODS:
        raise ValueError(f"from {since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} are {max(count, 0):,} periods")
    return tuple(Period(since + every * i, since + every * (i + 1)) for i in range(count))


def trained(over: tuple[Period, ...], every: timedelta) -> Iterator[tuple[datetime, Period]]:
    """For each period, when the model that serves it was trained: at the first period's start, and every ``every``.

    Raises ValueError unless ``every`` is a whole number of periods: a model would be replaced in the middle of one.

    >>> from datetime import UTC
    >>> hours = periods(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 1, 4, tzinfo=UTC), timedelta(hours=1))
    >>> [cutoff.hour for cutoff, _ in trained(hours, timedelta(hours=2))]
    [0, 0, 2, 2]
    """
    length = over[0].end - over[0].start
    if every < length or every % length:
        raise ValueError(f"an interval of {every} is no whole number of periods of {length}")
    for period in over:
        yield period.start - (period.start - over[0].start) % every, period


Losses = Mapping[tuple[datetime, Period], float]
"""What the model trained at a moment lost in a period."""


def compared(over: tuple[Period, ...], losses: Losses, intervals: tuple[timedelta, timedelta]) -> Paired:
    """The longer interval against the shorter one, on the same periods.

    A block is as long as the longer interval: its periods share a model, so their mean difference counts once. Periods
    in which either loss is unknown are left out. Raises ValueError for fewer than three blocks.
    """
    short, long = (dict(_served(over, losses, every)) for every in intervals)
    both = [period for period in over if period in short and period in long]
    blocks: dict[datetime, list[float]] = {}
    for cutoff, period in trained(over, intervals[1]):
        if period in short and period in long:
            blocks.setdefault(cutoff, []).append(long[period] - short[period])
    found = difference([math.fsum(block) / len(block) for block in blocks.values()])
    n = len(both)
    means = (math.fsum(short[p] for p in both) / n, math.fsum(long[p] for p in both) / n)
    return Paired(n, means, found)


def _served(over: tuple[Period, ...], losses: Losses, every: timedelta) -> Iterator[tuple[Period, float]]:
    return ((period, losses[cutoff, period]) for cutoff, period in trained(over, every) if (cutoff, period) in losses)
