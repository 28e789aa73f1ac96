"""The mean agreement of many pairs of ranked lists, by units: what intervals of RBO, overlap and tau rest on."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike


def mean_by_units(
    count: ArrayLike, total: ArrayLike, units: float, *, least: float = 0.0
) -> tuple[float, float] | None:
    """Mean of a number between ``least`` and 1, and its standard error; None without pairs.

    ``count``, ``total``: pairs and the sum of their numbers in each bucket of units, shape (B,) each. ``units``: what
    the pairs are worth (:func:`stats.agreement.effective_units`). The error is that of the mean of buckets, linearised:
    users who come back are one source of noise. It is never below what half of one unit's pairs could have moved, so
    that a few identical lists do not prove that all are; with one bucket it is infinite.
    Raises ValueError for shapes that differ. Source: Cochran (1977, sec. 6.3), the ratio of two sums.

    >>> mean, error = mean_by_units([10, 10, 10, 10], [10, 10, 10, 10], 40)
    >>> mean, round(error, 4)
    (1.0, 0.0177)
    >>> mean_by_units([0, 0], [0, 0], 0) is None
    True
    """
    n, sums = np.asarray(count, dtype=np.float64), np.asarray(total, dtype=np.float64)
    if n.shape != sums.shape or n.ndim != 1:
        raise ValueError(f"counts and sums are of the same buckets, not of {n.shape} and {sums.shape}")
    every, filled = float(n.sum()), int((n > 0).sum())
    if every <= 0:
        return None
    mean = float(sums.sum()) / every
    if filled < 2:
        return mean, math.inf
    left = sums - mean * n
    error = math.sqrt(float(left @ left) * filled / (filled - 1)) / every
    return mean, max(error, (1 - least) / math.sqrt(2) / max(units, 1.0))
