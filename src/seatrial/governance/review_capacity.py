"""How much of the reviewers' time reviews take, and how long a release waits for one, with and without triage."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

from seatrial.stats.queues import chance_of_wait, mean_wait

Period = Literal["week", "month", "quarter", "year"]

WORKING_DAYS: Final[dict[Period, float]] = {"week": 5.0, "month": 65 / 3, "quarter": 65.0, "year": 260.0}
MONTHS: Final[dict[Period, float]] = {"week": 3 / 13, "month": 1.0, "quarter": 3.0, "year": 12.0}
FULL: Final = 0.8
"""The share of reviewers' time above which waiting grows steeply; sustainable is what stays below."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What arrives, and who is there. ``reviews`` a period, ``available``: hours that one reviewer has for them in it.

    ``full_share`` of the reviews are full ones of ``hours`` each, the others take ``short_hours``.
    """

    reviews: float
    hours: float
    reviewers: int
    available: float
    period: Period = "quarter"
    full_share: float = 1.0
    short_hours: float = 0.0

    def __post_init__(self) -> None:
        if self.reviews < 0 or self.hours <= 0 or self.reviewers < 1 or self.available <= 0:
            raise ValueError("reviews are not negative, and somebody has time for them")
        if not 0 <= self.full_share <= 1 or self.short_hours < 0:
            raise ValueError("a share of full reviews is 0 to 1, and hours are not negative")


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """``hours`` and ``reviews`` a period, ``per_month`` reviews. ``wait_days``: working days until a review begins, on
    average; ``done_days``: until a full one is done, by one person; None: the queue never ends. ``needed``: reviewers
    that stay at or below ``FULL``; ``most``: the reviews a period that those who are there can do so.
    """

    reviews: float
    per_month: float
    hours: float
    available: float
    used: float
    chance_of_wait: float
    wait_hours: float | None
    wait_days: float | None
    done_days: float | None
    needed: int
    most: float

    @property
    def sustainable(self) -> bool:
        return self.used <= FULL


def capacity(load: Load) -> Capacity:
    """Reviews are taken to arrive at random and to last exponentially around their mean; time is time for reviews.

    >>> found = capacity(Load(reviews=15, hours=4, reviewers=3, available=160))
    >>> found.hours, found.available, found.used
    (60.0, 480.0, 0.125)
    >>> capacity(Load(reviews=30, hours=4, reviewers=3, available=160)).used
    0.25
    """
    short = 1 - load.full_share
    mean = load.full_share * load.hours + short * load.short_hours
    second = 2 * (load.full_share * load.hours**2 + short * load.short_hours**2)
    hours, available = load.reviews * mean, load.reviewers * load.available
    erlangs = hours / load.available
    wait = mean_wait(erlangs, load.reviewers, mean, second)
    hours_a_day = load.available / WORKING_DAYS[load.period]
    return Capacity(
        reviews=load.reviews,
        per_month=load.reviews / MONTHS[load.period],
        hours=hours,
        available=available,
        used=hours / available,
        chance_of_wait=chance_of_wait(erlangs, load.reviewers),
        wait_hours=None if math.isinf(wait) else wait,
        wait_days=None if math.isinf(wait) else wait / hours_a_day,
        done_days=None if math.isinf(wait) else (wait + load.hours) / hours_a_day,
        needed=max(math.ceil(erlangs / FULL - 1e-9), 1),
        most=FULL * available / mean if mean else math.inf,
    )
