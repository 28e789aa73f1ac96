"""Which of two rankers users prefer, from one value a user: clicks on interleaved lists, or gains of both lists.

The user is what varies independently, however often they search, so a user counts once: with the mean of what their
impressions say, between -1 (the champion) and +1 (the candidate).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtr, stdtrit

from seatrial.stats.counts import bernoulli_bounds, conditional_binomial_p
from seatrial.stats.intervals import clopper_pearson_interval
from seatrial.stats.sequences import mixture_width

MIN_TELLING = 50
"""Users with a preference before the central limit theorem is relied on, as for events of a proportion."""

Interval = tuple[float, float]
Status = Literal["ok", "not_enough", "degenerate", "no_data"]


@dataclass(frozen=True, slots=True)
class Preference:
    """The mean of users' values, in [-1, 1]; 0 is no preference.

    ``users`` of which ``wins`` lean to the candidate and ``losses`` to the champion. ``interval`` and ``p_value``
    (Student's t, two-sided) are for one look, ``every_look`` holds at all of them. ``sign_p_value`` is the exact sign
    test of wins against losses, for one look, at any size. Status ``degenerate``: nobody leans either way;
    ``not_enough``: fewer than 50 users do. The intervals then only say how few they are, and always hold 0.
    """

    status: Status
    users: int = 0
    wins: int = 0
    losses: int = 0
    mean: float | None = None
    interval: Interval | None = None
    every_look: Interval | None = None
    p_value: float | None = None
    sign_p_value: float = 1.0

    @property
    def delta(self) -> float | None:
        return preference_delta(self.wins, self.losses, self.users - self.wins - self.losses)


def preference(values: ArrayLike, *, alpha: float = 0.05, planned: float = 500) -> Preference:
    """The preference of users from ``values``, shape (users,), each between -1 and +1.

    ``planned``: users at which ``every_look`` is about tightest; choose it before the data. Raises ValueError for
    values outside [-1, 1] or not finite, alpha outside (0, 0.5) or planned not positive.
    Sources: Chapelle, Joachims, Radlinski & Yue (2012); Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas (2024).

    >>> leaning = preference([1.0] * 90 + [-1.0] * 60 + [0.0] * 150)
    >>> leaning.mean, [round(end, 4) for end in leaning.interval], round(leaning.p_value, 4)
    (0.1, [0.0203, 0.1797], 0.0141)
    >>> [round(end, 4) for end in leaning.every_look], round(leaning.sign_p_value, 4)
    ([-0.0239, 0.2239], 0.0176)
    >>> preference([0.0] * 1_000).status, preference([]).status
    ('degenerate', 'no_data')
    """
    if not 0 < alpha < 0.5:
        raise ValueError(f"alpha must be between 0 and 0.5, not {alpha}")
    leaning = np.asarray(values, dtype=np.float64)
    if leaning.ndim != 1 or not np.all(np.abs(leaning) <= 1):
        raise ValueError("a preference is one value a user, between -1 and 1")
    users, wins, losses = leaning.size, int((leaning > 0).sum()), int((leaning < 0).sum())
    if not users:
        return Preference("no_data")
    mean, error = float(leaning.mean()), float(leaning.std(ddof=min(1, users - 1))) / math.sqrt(users)
    told: dict[str, Any] = {"users": users, "wins": wins, "losses": losses, "mean": mean}
    sign = conditional_binomial_p(wins, wins + losses, 0.5)
    if wins + losses < MIN_TELLING or not error > 0:
        return _thin(told, sign, alpha, planned)
    reach = -float(stdtrit(users - 1, alpha / 2)) * error
    wide = mixture_width(users, planned, alpha) * error
    return Preference(
        "ok",
        **told,
        interval=_within(mean - reach, mean + reach),
        every_look=_within(mean - wide, mean + wide),
        p_value=2 * float(stdtr(users - 1, -abs(mean / error))),
        sign_p_value=sign,
    )


def preference_delta(wins: float, losses: float, ties: float) -> float | None:
    """Wins and half of the ties as a share of all, minus one half; None without any. Raises ValueError below 0.

    Source: Chapelle, Joachims, Radlinski & Yue (2012, eq. 1).

    >>> round(preference_delta(260, 310, 430), 6)
    -0.025
    """
    if not min(wins, losses, ties) >= 0:
        raise ValueError("wins, losses and ties are counts")
    every = wins + losses + ties
    return (wins + ties / 2) / every - 0.5 if every else None


def _thin(told: dict[str, Any], sign: float, alpha: float, planned: float) -> Preference:
    """Without a usable variance: all values lie at ``centre`` but those of a few users, who may be anywhere."""
    telling = told["wins"] + told["losses"]
    enough = telling >= MIN_TELLING
    centre, others = (told["mean"], 0) if enough else (0.0, telling)
    once = clopper_pearson_interval(others, told["users"], 2 * alpha)[1]  # of a share its upper end alone counts
    always = bernoulli_bounds(others, told["users"], alpha=alpha, planned_n=planned)[1]
    intervals = [_within(centre - share * (1 + centre), centre + share * (1 - centre)) for share in (once, always)]
    status: Status = "ok" if enough else "not_enough" if telling else "degenerate"
    return Preference(
        status, **told, interval=intervals[0], every_look=intervals[1], p_value=sign if enough else None,
        sign_p_value=sign,
    )  # fmt: skip


def _within(low: float, high: float) -> Interval:
    return (max(-1.0, low), min(1.0, high))
