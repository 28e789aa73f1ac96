"""Two samples, or two tables of counts: distances, and how likely they are where nothing has changed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtrc, kolmogorov

from seatrial.stats.distance import kolmogorov_smirnov

Floats = NDArray[np.float64]

EXACT = 10_000
"""Values on the larger side up to which `ks_test` counts the p-value and approximates nothing, within a second."""

EXACT_PAIRS = 250_000
"""Pairs of values up to which `ks_p` does, which many features ask: a few milliseconds each."""


@dataclass(frozen=True, slots=True)
class KolmogorovSmirnov:
    """``distance`` 0 to 1; ``p_value`` two-sided, None where a side is empty."""

    distance: float | None
    p_value: float | None


def ks_test(reference: ArrayLike, current: ArrayLike) -> KolmogorovSmirnov:
    """Kolmogorov and Smirnov's test of two samples. Raises ValueError for values that are not finite.

    A p-value says how sure a shift is, not how large: in 200,000 values a fiftieth of a standard deviation is certain.
    Judge the distance as well. Source: Smirnov (1939); Hodges (1958).

    >>> found = ks_test([1, 2, 3, 4, 5], [6, 7, 8, 9, 10])
    >>> found.distance, round(found.p_value, 6)
    (1.0, 0.007937)
    """
    n, m = np.size(reference), np.size(current)
    distance = kolmogorov_smirnov(reference, current)
    pairs = EXACT**2 if max(n, m) <= EXACT else 0
    return KolmogorovSmirnov(distance, None if distance is None else ks_p(distance, n, m, exact=pairs))


def ks_p(distance: float, n: float, m: float, *, exact: int = EXACT_PAIRS) -> float:
    """The two-sided p-value of a distance of ``n`` and ``m`` values: counted up to ``exact`` pairs, else the limit.

    With ties it is too large, never too small. The limit is too large as well, the more the fewer values the smaller
    side has: by a tenth at 500 against 501 values and p = 0.01. Effective sizes need not be whole.

    >>> round(ks_p(0.25, 40, 60), 6), round(ks_p(0.02, 10_000, 10_000), 6)
    (0.088331, 0.036631)
    """
    if n * m <= exact and float(n).is_integer() and float(m).is_integer():
        return _ks_exact(round(distance * n * m), int(n), int(m))
    return float(kolmogorov(distance * math.sqrt(n * m / (n + m))))


def _ks_exact(height: int, n: int, m: int) -> float:
    """The share of lattice paths from (0, 0) to (n, m) that leave the band |i m - j n| < height.

    Those are the orders of both samples in which they are at least as far apart. Goes from one diagonal i + j = k to
    the next: ``left[j + 1]`` is the share of the paths to (k - j, j) that have left, 1 outside of the band. Shares
    are only added, so small ones keep their digits. O((n + m) width of the band).
    """
    if height == 0:
        return 1.0
    left = np.ones(m + 2)
    left[1] = 0.0
    low = 0
    for k in range(1, n + m + 1):
        first = max((k * m - height) // (n + m) + 1, k - n, 0)
        last = min(-(-(k * m + height) // (n + m)) - 1, k, m)
        j = np.arange(first, last + 1)
        ahead = ((k - j) * left[first + 1 : last + 2] + j * left[first : last + 1]) / k
        left[low + 1 : first + 1] = 1.0
        left[first + 1 : last + 2] = ahead
        low = first
    return float(min(1.0, left[m + 1]))


def wasserstein(
    first: ArrayLike,
    second: ArrayLike,
    first_weights: ArrayLike | None = None,
    second_weights: ArrayLike | None = None,
) -> float | None:
    """The area between two distribution functions: how far mass has to be moved, in the unit of the values.

    Weights as counts of each value; None if a side is empty. Raises ValueError for values that are not finite, or
    weights that are negative or of another shape. Source: Vallender (1974).

    >>> wasserstein([0, 1, 3], [5, 6, 8]), wasserstein([0, 1, 3], [5, 6, 8], [3, 1, 0], [1, 1, 2])
    (5.0, 6.5)
    """
    (x, u), (y, v) = _weighted(first, first_weights), _weighted(second, second_weights)
    if not (u.sum() and v.sum()):
        return None
    both = np.sort(np.concatenate([x, y]))
    below = [np.concatenate([[0.0], np.cumsum(w)])[np.searchsorted(s, both[:-1], side="right")] / w.sum()
             for s, w in ((x, u), (y, v))]  # fmt: skip
    return float(np.sum(np.abs(below[0] - below[1]) * np.diff(both)))


def _weighted(values: ArrayLike, weights: ArrayLike | None) -> tuple[Floats, Floats]:
    x = np.asarray(values, dtype=np.float64)
    w = np.ones_like(x) if weights is None else np.asarray(weights, dtype=np.float64)
    if x.shape != w.shape or not np.isfinite(x).all() or not np.all((w >= 0) & np.isfinite(w)):
        raise ValueError("samples are finite, and weights of the same shape and not negative")
    order = np.argsort(x, kind="stable")
    return x[order], w[order]


def mmd(first: ArrayLike, second: ArrayLike, bandwidth: float) -> float | None:
    """Squared maximum mean discrepancy, unbiased, of samples of shape (n,) or (n, d) under a Gaussian kernel.

    0 on average where the distributions are equal, so it may be negative; None below two values on a side.
    ``bandwidth`` is the kernel's standard deviation in the unit of the values. It takes n m comparisons: for thousands.
    Raises ValueError for a bandwidth that is not positive. Source: Gretton et al. (2012), equation 3.

    >>> round(mmd([0, 1, 2], [0, 1, 2.5], 1.0), 4), round(mmd([0, 1, 2], [10, 11, 12], 1.0), 4)
    (-0.3824, 0.8989)
    """
    if not bandwidth > 0:
        raise ValueError("the bandwidth of a kernel is positive")
    x, y = (np.asarray(side, dtype=np.float64).reshape(np.size(side, 0), -1) for side in (first, second))
    n, m = len(x), len(y)
    if n < 2 or m < 2:
        return None
    within = sum((gaussian(s, s, bandwidth).sum() - len(s)) / (len(s) * (len(s) - 1)) for s in (x, y))
    return float(within - 2 * gaussian(x, y, bandwidth).mean())


def gaussian(x: Floats, y: Floats, bandwidth: float) -> Floats:
    """The Gaussian kernel of every row of ``x`` with every row of ``y``, shape (n, m).

    >>> gaussian(np.zeros((1, 1)), np.ones((1, 1)), 1.0).round(4).tolist()
    [[0.6065]]
    """
    squared = (x**2).sum(axis=1)[:, None] + (y**2).sum(axis=1)[None, :] - 2 * x @ y.T
    return np.asarray(np.exp(-np.maximum(squared, 0.0) / (2 * bandwidth**2)))


@dataclass(frozen=True, slots=True)
class ChiSquare:
    """Pearson's test of homogeneity; ``cramers_v`` is its size, 0 to 1, whatever the number of values."""

    statistic: float
    freedom: int
    p_value: float
    cramers_v: float


def chi_square(reference: ArrayLike, current: ArrayLike) -> ChiSquare | None:
    """Pearson's chi-square of two rows of counts, shape (K,), without continuity correction; None without variation.

    Bins that are empty on both sides are left out. Raises ValueError for different shapes or negative counts.
    Source: Pearson (1900); Cramer (1946).

    >>> found = chi_square([30, 50, 20], [45, 40, 15])
    >>> round(found.statistic, 6), found.freedom, round(found.p_value, 6), round(found.cramers_v, 6)
    (4.825397, 2, 0.089573, 0.155329)
    """
    table = np.asarray([reference, current], dtype=np.float64)
    if table.ndim != 2 or not np.all((table >= 0) & np.isfinite(table)):
        raise ValueError("counts are two rows of the same length, finite and not negative")
    table = table[:, table.sum(axis=0) > 0]
    rows = table.sum(axis=1)
    freedom = table.shape[1] - 1
    if freedom < 1 or not rows.all():
        return None
    total = rows.sum()
    expected = np.outer(rows, table.sum(axis=0)) / total
    statistic = float(((table - expected) ** 2 / expected).sum())
    return ChiSquare(statistic, freedom, float(chdtrc(freedom, statistic)), math.sqrt(statistic / total))
