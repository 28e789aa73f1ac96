"""Agreement of two raters on classes, and how many independent raters' subjects there are when they come in groups."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def cohens_kappa(table: ArrayLike) -> float | None:
    """Cohen's kappa of a square table of counts, first rater's class by second rater's: agreement beyond chance.

    1 for equal answers, 0 for what independent raters with these margins reach. None where chance alone explains
    everything: no pairs, or both raters always gave one and the same class. Raises ValueError for a table that is not
    square or has negative or non-finite counts. Source: Cohen (1960).

    >>> cohens_kappa([[20, 5], [10, 15]])
    0.4
    >>> cohens_kappa([[50, 0], [0, 0]]) is None
    True
    """
    counts = _square(table)
    total = float(counts.sum())
    if total <= 0:
        return None
    by_chance = float(counts.sum(axis=1) @ counts.sum(axis=0)) / total**2
    if by_chance >= 1:
        return None
    return round((float(np.trace(counts)) / total - by_chance) / (1 - by_chance), 12)


def kappa_error(table: ArrayLike, n: float) -> float:
    """Standard error of Cohen's kappa of a table whose pairs are worth ``n`` independent ones.

    ``sqrt(p (1 - p) / n) / (1 - p_e)`` with the agreement p, taken half a pair off its ends, so that a few pairs do
    not prove it, and the agreement p_e by chance. Raises ValueError as :func:`cohens_kappa`, for n <= 0 and where
    kappa is None. Source: Cohen (1960, eq. 4).

    >>> round(kappa_error([[20, 5], [10, 15]], 50), 4)
    0.1296
    """
    counts = _square(table)
    total = float(counts.sum())
    if not n > 0 or cohens_kappa(table) is None:
        raise ValueError(f"no standard error of {total:g} pairs worth {n:g}")
    by_chance = float(counts.sum(axis=1) @ counts.sum(axis=0)) / total**2
    half = 0.5 / max(n, 1.0)
    agreed = min(max(float(np.trace(counts)) / total, half), 1 - half)
    return float(np.sqrt(agreed * (1 - agreed) / n)) / (1 - by_chance)


def effective_units(buckets: ArrayLike) -> float:
    """How many independent units the counts are worth, if all counts of a unit say the same: Kish's effective number.

    ``buckets``: counts of shape (B,), every unit hashed into one of them. The sum of squares over units is estimated
    from that over buckets, ``(sum b^2 - N^2 / B) B / (B - 1)``, to about 9% with 256 buckets. Never more than N, and
    a lower bound of what the pairs are worth where a unit's pairs differ. Raises ValueError for fewer than two buckets
    or negative counts. Source: Kish (1965, section 8.2).

    >>> effective_units([0] * 255 + [40])
    1.0
    >>> effective_units([0] * 256)
    0.0
    """
    counts = np.asarray(buckets, dtype=np.float64)
    if counts.ndim != 1 or counts.size < 2 or not np.all(counts >= 0):
        raise ValueError("counts of buckets are one-dimensional, two or more, and not negative")
    total = float(counts.sum())
    if total <= 0:
        return 0.0
    squares = (float(counts @ counts) - total**2 / counts.size) * counts.size / (counts.size - 1)
    return min(total, total**2 / max(squares, total))


def _square(table: ArrayLike) -> NDArray[np.float64]:
    counts = np.asarray(table, dtype=np.float64)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or not np.all((counts >= 0) & np.isfinite(counts)):
        raise ValueError("a table of classes is square with counts that are finite and not negative")
    return counts
