"""How far two distributions lie apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def jensen_shannon(first: ArrayLike, second: ArrayLike) -> float | None:
    """Jensen-Shannon distance of two distributions given as counts of the same bins, shape (K,), base 2.

    0 for equal shares, 1 for distributions without a common bin; the square root of the divergence. None if either is
    empty. Raises ValueError for different shapes or negative counts. Source: Endres & Schindelin (2003).

    >>> jensen_shannon([50, 50], [1, 1]), jensen_shannon([1, 0], [0, 1])
    (0.0, 1.0)
    """
    p, q = _shares(first), _shares(second)
    if p.shape != q.shape:
        raise ValueError(f"distributions share their bins, not {p.shape} and {q.shape}")
    if not (p.any() and q.any()):
        return None
    middle = (p + q) / 2
    divergence = (_relative(p, middle) + _relative(q, middle)) / 2
    return float(np.sqrt(min(max(divergence, 0.0), 1.0)))


def kolmogorov_smirnov(first: ArrayLike, second: ArrayLike) -> float | None:
    """Largest difference of the two samples' distribution functions, 0 to 1; None if either sample is empty.

    Raises ValueError for values that are not finite. Source: Smirnov (1939).

    >>> kolmogorov_smirnov([1, 2, 3, 4], [3, 4, 5, 6])
    0.5
    """
    x, y = (np.sort(np.asarray(side, dtype=np.float64)) for side in (first, second))
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("samples are finite")
    if not (x.size and y.size):
        return None
    both = np.concatenate([x, y])
    below = [np.searchsorted(side, both, side="right") / side.size for side in (x, y)]
    return float(np.abs(below[0] - below[1]).max())


def _shares(counts: ArrayLike) -> NDArray[np.float64]:
    found = np.asarray(counts, dtype=np.float64)
    if found.ndim != 1 or not np.all((found >= 0) & np.isfinite(found)):
        raise ValueError("counts of bins are one-dimensional, finite and not negative")
    return found / found.sum() if found.any() else found


def _relative(p: NDArray[np.float64], q: NDArray[np.float64]) -> float:
    """Relative entropy in bits."""
    there = p > 0
    return float(p[there] @ np.log2(p[there] / q[there]))
