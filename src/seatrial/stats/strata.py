"""Two proportions compared within strata, for independent exposures at one look (Mantel and Haenszel)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtrc

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class StratifiedTest:
    """Canary against champion over strata; NaN where there is nothing to compare.

    ``difference`` in shares with its standard error; ``ratio`` of the shares with the standard error of its logarithm;
    ``chi_square`` with one degree of freedom tests "no difference in any stratum".
    """

    difference: float
    difference_error: float
    ratio: float
    log_ratio_error: float
    chi_square: float
    p_value: float


def mantel_haenszel(x_t: ArrayLike, n_t: ArrayLike, x_c: ArrayLike, n_c: ArrayLike) -> StratifiedTest:
    """The Mantel-Haenszel difference and ratio of shares, and the Cochran-Mantel-Haenszel test.

    Arrays of shape (strata,): successes and trials of canary and champion in each. Strata weigh
    ``n_t n_c / (n_t + n_c)``, so one that an arm is missing from weighs nothing, and a share that changes while the
    canary grows does not pose as an effect. The variance of the difference is that of the shares within each stratum;
    the chi-square has no continuity correction. For exposures of returning units use `clustered.stratified_effect`,
    which weighs the same way. Raises ValueError for different shapes or x outside [0, n].
    Sources: Mantel & Haenszel (1959); Greenland & Robins (1985).

    >>> ramp = mantel_haenszel([12, 275], [100, 5000], [990, 250], [9900, 5000])
    >>> round(ramp.difference, 6), round(ramp.difference_error, 6), round(ramp.chi_square, 4)
    (0.005571, 0.004467, 1.5729)
    """
    a, n1, b, n0 = (np.atleast_1d(np.asarray(v, dtype=np.float64)) for v in (x_t, n_t, x_c, n_c))
    if len({v.shape for v in (a, n1, b, n0)}) != 1 or a.ndim != 1:
        raise ValueError("successes and trials of both arms must have the same shape (strata,)")
    if not np.all((a >= 0) & (a <= n1) & (b >= 0) & (b <= n0) & np.isfinite(n1) & np.isfinite(n0)):
        raise ValueError("successes must be between 0 and the trials in every stratum")
    both = (n1 > 0) & (n0 > 0)
    a, n1, b, n0 = a[both], n1[both], b[both], n0[both]
    n, events = n1 + n0, a + b
    weight = n1 * n0 / n
    total = float(weight.sum())
    if total == 0:
        return StratifiedTest(*[math.nan] * 6)
    p_t, p_c = a / n1, b / n0
    variance = float((weight**2 * (p_t * (1 - p_t) / n1 + p_c * (1 - p_c) / n0)).sum())
    top, bottom = float((a * n0 / n).sum()), float((b * n1 / n).sum())
    spread = float(((n1 * n0 * events - a * b * n) / n**2).sum())
    known = top > 0 and bottom > 0
    chi_square = _chi_square(float((a - n1 * events / n).sum()), float(_hypergeometric(n1, n0, events).sum()))
    return StratifiedTest(
        difference=float((weight * (p_t - p_c)).sum()) / total,
        difference_error=math.sqrt(variance) / total,
        ratio=top / bottom if known else math.nan,
        log_ratio_error=math.sqrt(spread / (top * bottom)) if known else math.nan,
        chi_square=chi_square,
        p_value=float(chdtrc(1, chi_square)),
    )


def _hypergeometric(n1: Floats, n0: Floats, events: Floats) -> Floats:
    """Variance of the canary's events in each stratum, given those of both arms."""
    n = n1 + n0
    variance: Floats = n1 * n0 * events * (n - events) / (n**2 * np.maximum(n - 1, 1))
    return variance


def _chi_square(excess: float, variance: float) -> float:
    return excess * excess / variance if variance > 0 else math.nan
