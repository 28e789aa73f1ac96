"""A latency quantile with its interval, from mergeable histograms of unit buckets. For display.

A gate does not compare quantiles: it compares how many answers are slower than a fixed threshold (`clustered`), which
has a variance that units explain and far more power.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from seatrial.stats.checks import check_alpha

Floats = NDArray[np.float64]


class QuantileInterval(NamedTuple):
    """In the unit of the edges; an end that the data do not reach is infinite, and everything NaN without data."""

    estimate: float
    lower: float
    upper: float


def woodruff_interval(edges: ArrayLike, counts: ArrayLike, q: float, alpha: float = 0.05) -> QuantileInterval:
    """The q-quantile with Woodruff's two-sided interval.

    ``edges``: shape (bins + 1,), ascending; ``counts``: answers in each bin, shape (B, bins), a row a bucket of units.
    With F the share of answers below an edge, the interval is ``[F^-1(q - z se), F^-1(q + z se)]``, where se is the
    clustered error of F at the estimate (delete-a-bucket jackknife, linearised). Ends are rounded outward to edges, so
    bins must be narrow: 32 an octave are 2%. The estimate is interpolated within its bin. Raises ValueError for shapes
    that do not fit, edges that do not rise, negative counts, or q or alpha outside (0, 1).
    Source: Woodruff (1952); Francisco & Fuller (1991) for clusters.

    >>> edges = np.arange(0.0, 210.0, 10.0)
    >>> counts = np.tile(np.r_[np.full(10, 9.0), np.full(10, 1.0)], (50, 1))
    >>> counts[::2, 9] += 5
    >>> p90 = woodruff_interval(edges, counts, 0.9)
    >>> round(p90.estimate, 1), p90.lower, p90.upper
    (99.8, 90.0, 100.0)
    """
    check_alpha(alpha)
    if not 0 < q < 1:
        raise ValueError(f"a quantile must be between 0 and 1, not {q}")
    at, cells = _histogram(edges, counts)
    total = float(cells.sum())
    if total == 0 or cells.shape[0] < 2:
        return QuantileInterval(math.nan, math.nan, math.nan)
    below = np.concatenate([[0.0], cells.sum(axis=0).cumsum() / total])
    place = min(int(np.searchsorted(below, q, side="left")), at.size - 1)
    within = (q - below[place - 1]) / (below[place] - below[place - 1])
    estimate = float(at[place - 1] + within * (at[place] - at[place - 1]))
    reach = -float(ndtri(alpha / 2)) * _error(cells, place, within, q, total)
    low, high = q - reach, q + reach
    lower = float(at[np.searchsorted(below, low, side="right") - 1]) if low > 0 else -math.inf
    upper = float(at[np.searchsorted(below, high, side="left")]) if high < 1 else math.inf
    return QuantileInterval(estimate, lower, upper)


def _error(cells: Floats, place: int, within: float, q: float, total: float) -> float:
    """Clustered standard error of the share of answers below the estimate."""
    buckets = cells.shape[0]
    under = cells[:, : place - 1].sum(axis=1) + within * cells[:, place - 1]
    influence = (under - q * cells.sum(axis=1)) / total
    return math.sqrt(buckets / (buckets - 1) * float(np.sum(influence**2)))


def _histogram(edges: ArrayLike, counts: ArrayLike) -> tuple[Floats, Floats]:
    at, cells = np.asarray(edges, dtype=np.float64), np.atleast_2d(np.asarray(counts, dtype=np.float64))
    if at.ndim != 1 or cells.ndim != 2 or cells.shape[1] != at.size - 1 or not np.all(np.diff(at) > 0):
        raise ValueError("edges must rise, and every row of counts must have one bin between two of them")
    if not np.all((cells >= 0) & np.isfinite(cells)):
        raise ValueError("counts must be finite and not negative")
    return at, cells
