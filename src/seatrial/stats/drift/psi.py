"""The population stability index, and what it is worth: how large it gets where nothing has changed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtrc, chdtri

from seatrial.stats.checks import check_alpha

Floats = NDArray[np.float64]

SMOOTHING = 0.5
"""Pseudo-counts a bin (Jeffreys): an empty bin is rare, not impossible."""


def psi(reference: ArrayLike, current: ArrayLike, smoothing: float = 0.0) -> float:
    """PSI = sum (p - q) ln(p / q) in nats, of two distributions as shares or counts of the same bins, shape (K,).

    Symmetric: KL(p||q) + KL(q||p). ``smoothing`` is added to each count (Dirichlet), for counts only; without it a bin
    that is empty on one side alone makes the index infinite. Bins that are empty on both sides count nothing.
    Raises ValueError for different shapes, negative values or an empty side. Source: Jeffreys (1946).

    >>> round(psi([0.30, 0.25, 0.25, 0.20], [0.22, 0.28, 0.30, 0.20]), 7)
    0.0373283
    >>> round(psi([50, 30, 20, 0], [30, 45, 0, 25], smoothing=1), 6)
    1.521341
    """
    return float(np.sum(parts(reference, current, smoothing)))


def parts(reference: ArrayLike, current: ArrayLike, smoothing: float = 0.0) -> Floats:
    """What each bin contributes to `psi`, shape (K,); arguments and errors as there.

    >>> parts([0.5, 0.5], [0.4, 0.6]).round(4).tolist()
    [0.0223, 0.0182]
    """
    p, q = shares(reference, smoothing), shares(current, smoothing)
    if p.shape != q.shape:
        raise ValueError(f"distributions share their bins, not {p.shape} and {q.shape}")
    there = (p > 0) | (q > 0)
    found = np.zeros_like(p)
    with np.errstate(divide="ignore"):
        found[there] = (p[there] - q[there]) * (np.log(p[there]) - np.log(q[there]))
    return found


def shares(counts: ArrayLike, smoothing: float = 0.0) -> Floats:
    """Counts, or shares, as shares that sum to 1. Raises ValueError as `psi`.

    >>> shares([3, 1]).tolist(), shares([1, 0], smoothing=0.5).tolist()
    ([0.75, 0.25], [0.75, 0.25])
    """
    found = np.asarray(counts, dtype=np.float64)
    if found.ndim != 1 or not np.all((found >= 0) & np.isfinite(found)) or not found.any():
        raise ValueError("counts of bins are one-dimensional, finite, not negative, and not all zero")
    smoothed = found + smoothing
    return np.asarray(smoothed / smoothed.sum())


def no_drift_quantile(n: float, m: float, bins: int, alpha: float = 0.05) -> float:
    """The index that samples of ``n`` and ``m`` values exceed with probability alpha though nothing has changed.

    About (1/n + 1/m) times a chi-square of ``bins`` - 1 degrees of freedom: the second-order expansion of `psi`. Raises
    ValueError for samples below 1, fewer than 2 bins, or alpha outside (0, 1). Source: Yurdakul & Naranjo (2020).

    >>> round(no_drift_quantile(100_000, 1_000, 20), 4)
    0.0304
    """
    check_alpha(alpha)
    return float(chdtri(_freedom(n, m, bins), alpha)) * (1 / n + 1 / m)


def no_drift_p(index: float, n: float, m: float, bins: int) -> float:
    """How likely an index of at least this size is where nothing has changed; as `no_drift_quantile`.

    >>> round(no_drift_p(0.0304, 100_000, 1_000, 20), 3)
    0.051
    """
    return float(chdtrc(_freedom(n, m, bins), max(index, 0.0) / (1 / n + 1 / m)))


def quantile_bins(counts: ArrayLike, bins: int) -> tuple[int, ...]:
    """Where to cut cells in ascending order so that each bin holds about the same share of these counts.

    The first cell of every bin but the first: bins are open at both ends. A cell that holds more than a bin's share is
    alone in its own, so ties and constant columns are bins like others. Raises ValueError for fewer than 2 bins.

    >>> quantile_bins([1, 1, 1, 1, 1, 1], 3), quantile_bins([0, 9, 0, 1], 2)
    ((2, 4), (1, 2))
    """
    if bins < 2:
        raise ValueError("a distribution is cut into at least two bins")
    found = np.asarray(counts)
    above = np.cumsum(found)
    targets = above[-1] * np.arange(1, bins) / bins
    heavy = np.flatnonzero(found > above[-1] / bins)
    cuts = {*(np.searchsorted(above, targets) + 1).tolist(), *heavy.tolist(), *(heavy + 1).tolist()}
    return tuple(sorted(cut for cut in cuts if 0 < cut < found.size))


def merged(counts: ArrayLike, cuts: Sequence[int]) -> Floats:
    """Counts of cells summed up to bins, shape (len(cuts) + 1,).

    >>> merged([1, 2, 3, 4], (1, 3)).tolist()
    [1.0, 5.0, 4.0]
    """
    return np.add.reduceat(np.asarray(counts), [0, *cuts]).astype(np.float64)


def _freedom(n: float, m: float, bins: int) -> int:
    if not (n >= 1 and m >= 1 and bins >= 2):
        raise ValueError("it takes a value on both sides and at least two bins")
    return bins - 1
