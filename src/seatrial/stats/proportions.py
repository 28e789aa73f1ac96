"""Two proportions: the pooled z-test of the textbook, for one look at independent exposures."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import ndtr

from seatrial.stats.checks import check_counts


@dataclass(frozen=True, slots=True)
class ProportionTest:
    """Canary minus champion. Every p-value is NaN when there is nothing to test.

    ``difference`` is in shares (0.01: one point), ``relative_difference`` is that divided by the champion's share.
    """

    z: float
    p_two_sided: float
    p_less: float
    p_greater: float
    difference: float
    relative_difference: float


def two_proportion_z(x_t: float, n_t: float, x_c: float, n_c: float) -> ProportionTest:
    """The fixed-sample pooled z-test of x_t of n_t (canary) against x_c of n_c (champion).

    ``z = (p_t - p_c) / sqrt(p (1-p) (1/n_t + 1/n_c))`` with p of both arms together. For one look at independent
    exposures, no more: peeking at it, ramping under it, or feeding it several exposures of one unit makes it reject far
    too often. Without trials, or with all or no successes, z and p are NaN; without successes of the champion, the
    relative difference is. Tails are computed as tails, so small p-values do not round to zero. Raises ValueError for
    x outside [0, n]. Source: Fleiss, Levin & Paik (2003, ch. 3).

    >>> test = two_proportion_z(37, 500, 400, 5000)
    >>> round(test.z, 6), round(test.p_two_sided, 6), round(test.relative_difference, 4)
    (-0.472996, 0.636216, -0.075)
    """
    check_counts(x_t, n_t)
    check_counts(x_c, n_c)
    if n_t == 0 or n_c == 0:
        return ProportionTest(*[math.nan] * 6)
    p_t, p_c, pooled = x_t / n_t, x_c / n_c, (x_t + x_c) / (n_t + n_c)
    difference = p_t - p_c
    relative = difference / p_c if p_c > 0 else math.nan
    error = math.sqrt(pooled * (1 - pooled) * (1 / n_t + 1 / n_c))
    z = difference / error if error > 0 else math.nan
    return ProportionTest(z, 2 * float(ndtr(-abs(z))), float(ndtr(z)), float(ndtr(-z)), difference, relative)
