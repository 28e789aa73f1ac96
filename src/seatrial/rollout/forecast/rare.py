"""Errors and slow answers beforehand: the units until an exact test passes, and the increase it would find."""

from __future__ import annotations

import math

from scipy.special import ndtri

from seatrial.rollout.exact import share_bounds
from seatrial.stats.counts import harm_grid, rate_ratio_log_e, relief_grid
from seatrial.values import Margin

MOST_UNITS = 1e12
"""Beyond this many units a test is never going to pass."""


def units_to_pass(
    margin: Margin, rate: float, share: float, *, alpha: float, power: float, paired: bool = False
) -> float:
    """Canary units after which a candidate as good as the champion passes; infinite if it never does.

    ``rate``: share of units that meet the event. Absolute margins are judged by bounds of each arm at alpha/2, relative
    ones by the e-process on first events (rollout.exact). ``paired``: shadow, where both models see the same units.
    """
    ratio = 1.0 if paired else (1 - share) / share
    passes = _Passing(margin, rate, ratio, alpha, float(ndtri(power)))
    low, high = 0.0, 10.0
    while not passes.by(high):
        low, high = high, 2 * high
        if high > MOST_UNITS:
            return math.inf
    while high - low > max(1.0, 1e-3 * high):
        middle = (low + high) / 2
        low, high = (low, middle) if passes.by(middle) else (middle, high)
    return math.ceil(high)


def smallest_increase(units: float, rate: float, share: float, *, alpha: float, power: float) -> float | None:
    """The smallest increase of the rate that is found within ``units`` canary units; None if none is.

    ``alpha``: the guardrail's share of the rollback budget. A rate of zero has no ratio to any other.
    """
    z = float(ndtri(power))

    def found(ratio: float) -> bool:
        mine, theirs = units * rate * ratio, units * rate * (1 - share) / share
        m = mine + theirs
        q = mine / m
        x = max(m * q - z * math.sqrt(m * q * (1 - q)), 0.0)
        return rate_ratio_log_e(x, m, share, theta0=1.0, thetas=harm_grid()) >= -math.log(alpha)

    if not (rate > 0 and units > 0 and found(most := 1 / rate)):
        return None
    low, high = 1.0, most
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if found(middle) else (middle, high)
    return rate * (high - 1)


class _Passing:
    """Whether a healthy candidate has passed after n canary units, with an unlucky number of events in it."""

    def __init__(self, margin: Margin, rate: float, ratio: float, alpha: float, z: float) -> None:
        self.margin, self.rate, self.ratio, self.alpha, self.z = margin, rate, ratio, alpha, z

    def by(self, n: float) -> bool:
        unlucky = n * self.rate + self.z * math.sqrt(n * self.rate * (1 - self.rate))
        theirs = n * self.ratio
        if self.margin.scale == "absolute":
            return self._upper(min(math.ceil(unlucky), n), n) - self._lower(theirs) < self.margin.value
        m = unlucky + theirs * self.rate
        null = 1 + self.margin.value
        share = 1 / (1 + self.ratio)
        return rate_ratio_log_e(unlucky, m, share, theta0=null, thetas=relief_grid(null)) >= -math.log(self.alpha)

    def _upper(self, x: float, n: float) -> float:
        return share_bounds(x, n, alpha=self.alpha / 2)[1]

    def _lower(self, n: float) -> float:
        return share_bounds(math.floor(n * self.rate), n, alpha=self.alpha / 2)[0]
