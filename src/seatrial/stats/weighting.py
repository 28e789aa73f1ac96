"""Samples in which some were more likely to be taken than others: each counts as many as it stands for.

Weights are inverse inclusion probabilities (Horvitz & Thompson 1952). What that costs in precision is Kish's effective
number, less where those that stand for many also vary more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seatrial.stats.agreement import effective_units

Floats = NDArray[np.float64]


def weighted_units(buckets: Mapping[float, ArrayLike]) -> float:
    """How many independent units of equal weight a weighted sample is worth: Kish's ``(sum w)^2 / sum w^2`` over units.

    ``buckets``: by weight, counts of shape (B,) of the rows with this weight, every unit hashed into one of the B
    buckets. With one weight it is :func:`effective_units`. Raises ValueError for weights that are not positive, and as
    that. Source: Kish (1965, sections 8.2 and 11.7).

    >>> one_row_each = np.ones(256)
    >>> round(weighted_units({1.0: one_row_each, 10.0: one_row_each}), 1)
    306.7
    """
    if not all(weight > 0 for weight in buckets):
        raise ValueError("weights are positive")
    counts = {weight: np.asarray(rows, dtype=np.float64) for weight, rows in buckets.items()}
    total = sum(weight * float(rows.sum()) for weight, rows in counts.items())
    squares = sum(weight**2 * float(rows.sum()) for weight, rows in counts.items())
    if squares <= 0:
        return 0.0
    # On this scale the total is what the rows would be worth if each were a unit: the most there can be.
    return effective_units(sum(total / squares * weight * rows for weight, rows in counts.items()))


def evenness(parts: Mapping[float, tuple[float, float]]) -> float:
    """How much of Kish's effective number is left where rows of large weight vary more: 0 to 1, 1 if they do not.

    ``parts``: by weight, the number of rows and the sum of squares of their influence on the estimate. Kish's number
    takes the variation to be the same at every weight; the variance of a weighted mean (Taylor linearisation) is
    ``sum w^2 g^2 / (sum w)^2``. The factor is the ratio of the two, and 1 where it would be more: an estimate is never
    said to be better than Kish's. Source: Särndal, Swensson & Wretman (1992, section 5.5).

    >>> evenness({1.0: (100, 5.0), 10.0: (100, 5.0)}), round(evenness({1.0: (1000, 1.0), 10.0: (100, 9.0)}), 2)
    (1.0, 0.56)
    """
    rows = {weight: np.array(part, dtype=np.float64) for weight, part in parts.items()}
    once = sum((weight * part for weight, part in rows.items()), np.zeros(2))
    twice = sum((weight**2 * part for weight, part in rows.items()), np.zeros(2))
    if not (twice > 0).all() or not once[0] > 0:
        return 1.0
    return min(1.0, float((once[1] / once[0]) / (twice[1] / twice[0])))


def rank_influence(grid: ArrayLike) -> Floats:
    """Influence of a pair in each cell of ``grid`` (shape (K, K), weighted counts) on Spearman's rank correlation.

    Up to a factor: the pair's own product of ranks, and what it adds to the ranks of all others. The weighted mean is
    zero. Raises ValueError for a grid that is not two-dimensional or empty. Source: Croux & Dehon (2010, prop. 1).

    >>> influence = rank_influence([[1, 0], [0, 1]])
    >>> bool(abs(influence[0, 0] - influence[1, 1]) < 1e-12)
    True
    """
    pairs = np.asarray(grid, dtype=np.float64)
    if pairs.ndim != 2 or not pairs.sum() > 0:
        raise ValueError("a grid of pairs is two-dimensional and not empty")
    pairs = pairs / pairs.sum()
    first, second = (_midranks(pairs.sum(axis=axis)) for axis in (1, 0))
    influence = np.outer(first, second)
    influence += _lifted(pairs @ second)[:, None] + _lifted(pairs.T @ first)[None, :]
    return np.asarray(influence - float((pairs * influence).sum()), dtype=np.float64)


def weighted_spearman(first: ArrayLike, second: ArrayLike, weights: ArrayLike) -> float | None:
    """Spearman's rank correlation where pair i stands for ``weights[i]`` pairs: Pearson's on weighted mid-ranks.

    As :func:`seatrial.stats.ranking.spearman` of a sample with each pair repeated so often. None where there is none.

    >>> weighted_spearman([1, 2, 3], [1, 3, 2], [1, 1, 1]), weighted_spearman([1, 2, 3], [1, 3, 2], [8, 1, 1])
    (0.5, 0.975308641975)
    """
    w = np.asarray(weights, dtype=np.float64)
    a, b = (_weighted_ranks(np.asarray(side, dtype=np.float64), w) for side in (first, second))
    spread = float(w @ a**2) * float(w @ b**2)
    if a.size < 2 or spread <= 0:
        return None
    return max(-1.0, min(1.0, round(float((w * a) @ b) / math.sqrt(spread), 12)))


def weighted_kendall(first: ArrayLike, second: ArrayLike, weights: ArrayLike) -> float | None:
    """Kendall's tau-b where pair i stands for ``weights[i]`` pairs. Time and room grow with the square of the pairs.

    >>> weighted_kendall([1, 2, 3], [1, 3, 2], [1, 1, 1]), weighted_kendall([1, 1], [1, 2], [1, 1]) is None
    (0.333333333333, True)
    """
    w = np.asarray(weights, dtype=np.float64)
    over = [np.sign(np.subtract.outer(side, side)) for side in (np.asarray(first), np.asarray(second))]
    balance, *untied = (float(w @ m @ w) for m in (over[0] * over[1], over[0] ** 2, over[1] ** 2))
    if not all(untied):
        return None
    return max(-1.0, min(1.0, round(balance / math.sqrt(untied[0] * untied[1]), 12)))


def weighted_distance(first: ArrayLike, second: ArrayLike, weights: ArrayLike) -> float:
    """Largest difference of the distribution functions of paired scores, where pair i stands for ``weights[i]``.

    >>> weighted_distance([1, 2], [1, 3], [1, 3])
    0.75
    """
    sides = [np.asarray(side, dtype=np.float64) for side in (first, second)]
    w = np.asarray(weights, dtype=np.float64)
    values, place = np.unique(np.concatenate(sides), return_inverse=True)
    steps = np.bincount(place, weights=np.concatenate([w, -w]), minlength=len(values)) / w.sum()
    return float(np.abs(np.cumsum(steps)).max())


def weighted_quantile(values: ArrayLike, weights: ArrayLike, q: float) -> float:
    """The least value at or below which a share ``q`` of the weight lies. Raises ValueError for no values.

    >>> weighted_quantile([1.0, 2.0, 3.0], [1, 1, 8], 0.5)
    3.0
    """
    x, w = np.asarray(values, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    if not x.size:
        raise ValueError("no values have no quantile")
    order = np.argsort(x, kind="stable")
    reached = np.cumsum(w[order])
    return float(x[order][min(int(np.searchsorted(reached, q * reached[-1])), x.size - 1)])


def _weighted_ranks(values: Floats, weights: Floats) -> Floats:
    _, place = np.unique(values, return_inverse=True)
    return _midranks(np.bincount(place, weights=weights) / weights.sum())[place]


def _midranks(margin: Floats) -> Floats:
    """Mid-rank of each bin as a share, minus one half."""
    return np.asarray(np.cumsum(margin) - margin / 2 - margin.sum() / 2, dtype=np.float64)


def _lifted(gains: Floats) -> Floats:
    """What a row in each bin adds up by lifting the ranks of all above it, and half of those beside it."""
    return np.asarray(gains[::-1].cumsum()[::-1] - gains / 2, dtype=np.float64)
