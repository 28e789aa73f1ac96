"""How often models are taken out of traffic, against how often that was expected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Final, Literal

from seatrial.stats.counts import conditional_binomial_p
from seatrial.stats.rates import poisson_interval, poisson_tail

MONTH_DAYS: Final = 365.25 / 12
DAY_S: Final = 86_400.0
UNUSUAL: Final = 0.05

BaselineSource = Literal["given", "history", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """How many there were in a span of time, and how likely so many are if nothing has changed.

    ``baseline`` and ``per_month`` are a month of 30.44 days, ``days`` the span, ``expected`` a number of events.
    ``between_days`` is the mean time between two, over the span, with its 95% interval; an upper end of None is
    unbounded. ``gaps_days`` are the times between those that were seen.
    """

    count: int
    days: float
    source: BaselineSource
    baseline: float | None
    expected: float | None
    p_value: float | None
    per_month: float
    between_days: float | None
    between_interval: tuple[float, float | None]
    gaps_days: tuple[float, ...]

    @property
    def unusual(self) -> bool:
        return self.p_value is not None and self.p_value < UNUSUAL


def rate(
    times: Sequence[datetime], start: datetime, end: datetime, *, baseline: float | None, history: tuple[int, float]
) -> Rate:
    """Judge the times within [start, end). ``baseline``: events a month that are normal, if somebody says so.

    ``history``: events and days before ``start``. Without a baseline both spans are compared with each other, exactly
    and given their sum (Przyborowski & Wilenski 1940), so that a short history proves little. Raises ValueError for an
    empty span.
    """
    days = (end - start).total_seconds() / DAY_S
    if days <= 0:
        raise ValueError("the span of time is empty")
    count, (before, before_days) = len(times), history
    lower, upper = poisson_interval(count)
    source: BaselineSource = "given"
    p_value: float | None = None
    if baseline is not None:
        p_value = poisson_tail(count, baseline * days / MONTH_DAYS)
    elif before_days > 0 and before + count:
        source, baseline = "history", before / before_days * MONTH_DAYS
        p_value = conditional_binomial_p(count, before + count, days / (days + before_days), "greater")
    else:
        source = "none"
    ordered = sorted(times)
    return Rate(
        count=count,
        days=days,
        source=source,
        baseline=baseline,
        expected=None if baseline is None else baseline * days / MONTH_DAYS,
        p_value=p_value,
        per_month=count / days * MONTH_DAYS,
        between_days=days / count if count else None,
        between_interval=(days / upper, days / lower if lower else None),
        gaps_days=tuple((b - a).total_seconds() / DAY_S for a, b in pairwise(ordered)),
    )
