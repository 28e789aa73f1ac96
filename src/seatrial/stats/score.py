"""Score statistics of two proportions: how far the data are from a stated difference or ratio.

The variance is that of the most likely pair of proportions with exactly this difference or ratio, so it never vanishes
where a Wald variance does (no successes in an arm), and the test keeps its level for small counts.
"""

from __future__ import annotations

import math

from seatrial.stats.checks import check_counts

_HALVINGS = 90
"""Of an interval of length 1 at most: what is left is far below the rounding of any proportion."""


def difference_z(
    x_t: float, n_t: float, x_c: float, n_c: float, difference: float = 0.0, *, correction: bool = False
) -> float:
    """Standard errors between the data and ``p_t - p_c = difference``.

    Positive where the canary's share is larger than stated. The variance is ``p_t (1-p_t) / n_t + p_c (1-p_c) / n_c``
    at the maximum-likelihood pair that has this difference; ``correction`` multiplies it by N / (N - 1). At difference
    0 without correction it is the pooled z. NaN without trials, and at difference 0 without variation. Raises
    ValueError for x outside [0, n] or a difference outside (-1, 1).
    Sources: Farrington & Manning (1990, method 3); with correction Miettinen & Nurminen (1985, eq. 8, 9).

    >>> round(difference_z(37, 500, 400, 5000, -0.02), 6), round(difference_z(0, 50, 0, 50, -0.05), 6)
    (1.225001, 1.622214)
    >>> round(difference_z(37, 500, 400, 5000, -0.02, correction=True), 6)
    1.22489
    """
    check_counts(x_t, n_t)
    check_counts(x_c, n_c)
    if not -1 < difference < 1:
        raise ValueError(f"a difference of two shares must be between -1 and 1, not {difference}")
    if n_t == 0 or n_c == 0:
        return math.nan
    p_c = _most_likely_champion(x_t, n_t, x_c, n_c, difference)
    p_t = min(1.0, max(0.0, p_c + difference))
    return _z(x_t / n_t - x_c / n_c - difference, p_t, n_t, p_c, n_c, 1.0, correction)


def ratio_z(x_t: float, n_t: float, x_c: float, n_c: float, ratio: float = 1.0, *, correction: bool = False) -> float:
    """Standard errors between the data and ``p_t = ratio * p_c``.

    ``(p_t - ratio p_c) / sqrt(q_t / n_t + ratio^2 q_c / n_c)`` with q = p (1-p) at the maximum-likelihood pair that has
    this ratio, the root of a quadratic. ``correction`` as in `difference_z`. NaN without trials or without any success.
    Raises ValueError for x outside [0, n] or a ratio that is not positive.
    Sources: Miettinen & Nurminen (1985, eq. 10, 11); Farrington & Manning (1990).

    >>> round(ratio_z(37, 500, 400, 5000, 0.9), 6)
    0.1656
    """
    check_counts(x_t, n_t)
    check_counts(x_c, n_c)
    if not 0 < ratio < math.inf:
        raise ValueError(f"a ratio of two shares must be positive, not {ratio}")
    if n_t == 0 or n_c == 0:
        return math.nan
    minus_b = n_t * ratio + x_t + n_c + x_c * ratio
    root = math.sqrt(max(0.0, minus_b * minus_b - 4 * (n_t + n_c) * ratio * (x_t + x_c)))
    p_c = 2 * (x_t + x_c) / (minus_b + root)  # the smaller root, written without cancellation
    p_c = min(1.0, 1 / ratio, p_c)
    return _z(x_t / n_t - ratio * x_c / n_c, ratio * p_c, n_t, p_c, n_c, ratio, correction)


def _most_likely_champion(x_t: float, n_t: float, x_c: float, n_c: float, difference: float) -> float:
    """p_c of the most likely pair with this difference: where the derivative of the log-likelihood changes sign.

    The log-likelihood is concave, so halving finds it for every table; the closed form of the cubic loses digits when
    counts are large and the difference is small.
    """
    if difference == 0:
        return (x_t + x_c) / (n_t + n_c)
    low, high = max(0.0, -difference), min(1.0, 1.0 - difference)
    for _ in range(_HALVINGS):
        p = (low + high) / 2
        t = p + difference
        rising = _slope(x_t, n_t, t) + _slope(x_c, n_c, p) > 0
        low, high = (p, high) if rising else (low, p)
    return (low + high) / 2


def _slope(x: float, n: float, p: float) -> float:
    """Derivative of ``x ln p + (n - x) ln (1 - p)``, with infinite ends where an impossible p is approached."""
    up = 0.0 if x == 0 else x / p if p > 0 else math.inf
    down = 0.0 if x == n else (n - x) / (1 - p) if p < 1 else math.inf
    return up - down


def _z(distance: float, p_t: float, n_t: float, p_c: float, n_c: float, ratio: float, correction: bool) -> float:
    variance = p_t * (1 - p_t) / n_t + ratio * ratio * p_c * (1 - p_c) / n_c
    if correction and n_t + n_c > 1:
        variance *= (n_t + n_c) / (n_t + n_c - 1)
    return distance / math.sqrt(variance) if variance > 0 else math.nan
