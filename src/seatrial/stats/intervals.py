"""Two-sided intervals at one look: of a proportion, and of the difference of two."""

from __future__ import annotations

import math
from collections.abc import Callable

from scipy.special import betaincinv, ndtri

from seatrial.stats.checks import check_alpha, check_counts
from seatrial.stats.score import difference_z

Interval = tuple[float, float]

_HALVINGS = 60


def wilson_interval(x: float, n: float, alpha: float = 0.05) -> Interval:
    """Wilson's score interval of a proportion: all p with ``|x/n - p| <= z sqrt(p (1-p) / n)``.

    Never empty, never outside [0, 1], and close to its level from a handful of trials on. No trials give (0, 1). Raises
    ValueError for x outside [0, n] or alpha outside (0, 1). Source: Wilson (1927); Brown, Cai & DasGupta (2001, eq. 4).

    >>> [round(end, 6) for end in wilson_interval(37, 500)], [round(end, 6) for end in wilson_interval(0, 50)]
    ([0.054161, 0.100335], [0.0, 0.071348])
    """
    check_counts(x, n)
    check_alpha(alpha)
    if n == 0:
        return (0.0, 1.0)
    z2 = float(ndtri(alpha / 2)) ** 2
    centre, reach = x + z2 / 2, math.sqrt(z2 * (x * (n - x) / n + z2 / 4))
    low = 0.0 if x == 0 else (centre - reach) / (n + z2)
    high = 1.0 if x == n else (centre + reach) / (n + z2)
    return (low, high)


def clopper_pearson_interval(x: float, n: float, alpha: float = 0.05) -> Interval:
    """The exact interval of a proportion: each end is wrong with probability at most alpha / 2, whatever p is.

    Wider than Wilson's. No trials give (0, 1). Errors as in `wilson_interval`. Source: Clopper & Pearson (1934).

    >>> [round(end, 6) for end in clopper_pearson_interval(0, 200)]
    [0.0, 0.018275]
    """
    check_counts(x, n)
    check_alpha(alpha)
    low = 0.0 if x == 0 else float(betaincinv(x, n - x + 1, alpha / 2))
    high = 1.0 if x == n else float(betaincinv(x + 1, n - x, 1 - alpha / 2))
    return (low, high)


def newcombe_interval(x_t: float, n_t: float, x_c: float, n_c: float, alpha: float = 0.05) -> Interval:
    """Newcombe's hybrid interval of p_t - p_c, from Wilson's intervals (l, u) of the arms.

    ``[d - sqrt((p_t - l_t)^2 + (u_c - p_c)^2), d + sqrt((u_t - p_t)^2 + (p_c - l_c)^2)]``, in shares. An arm without
    trials gives (-1, 1). Errors as in `wilson_interval`. Source: Newcombe (1998, method 10).

    >>> [round(end, 6) for end in newcombe_interval(37, 500, 400, 5000)]
    [-0.027334, 0.021302]
    """
    (low_t, high_t), (low_c, high_c) = wilson_interval(x_t, n_t, alpha), wilson_interval(x_c, n_c, alpha)
    if n_t == 0 or n_c == 0:
        return (-1.0, 1.0)
    p_t, p_c = x_t / n_t, x_c / n_c
    below, above = math.hypot(p_t - low_t, high_c - p_c), math.hypot(high_t - p_t, p_c - low_c)
    return (p_t - p_c - below, p_t - p_c + above)


def score_interval(x_t: float, n_t: float, x_c: float, n_c: float, alpha: float = 0.05) -> Interval:
    """The Miettinen-Nurminen interval of p_t - p_c: all differences that their score test does not reject.

    In shares; it agrees with `noninferiority` of method ``mn``: a margin m is excluded at alpha / 2 exactly where the
    lower end is above -m. An arm without trials gives (-1, 1). Errors as in `wilson_interval`.
    Sources: Mee (1984); Miettinen & Nurminen (1985, eq. 8, 9).

    >>> [round(end, 6) for end in score_interval(37, 500, 400, 5000)]
    [-0.027439, 0.021239]
    """
    check_counts(x_t, n_t)
    check_counts(x_c, n_c)
    check_alpha(alpha)
    if n_t == 0 or n_c == 0:
        return (-1.0, 1.0)
    estimate, critical = x_t / n_t - x_c / n_c, -float(ndtri(alpha / 2))

    def rejected(difference: float) -> bool:
        return abs(difference_z(x_t, n_t, x_c, n_c, difference, correction=True)) > critical

    return (_end(estimate, -1.0, rejected), _end(estimate, 1.0, rejected))


def _end(inside: float, outside: float, rejected: Callable[[float], bool]) -> float:
    """Where rejection begins between the estimate, which is never rejected, and the end of what is possible."""
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        if not -1 < middle < 1:
            break
        inside, outside = (inside, middle) if rejected(middle) else (middle, outside)
    return outside
