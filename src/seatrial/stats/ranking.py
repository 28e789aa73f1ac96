"""Agreement of two rankings, of paired scores or of their mergeable two-dimensional histogram.

Agreement is not quality: a better model may well rank differently.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri


def spearman(first: ArrayLike, second: ArrayLike) -> float | None:
    """Spearman's rank correlation of paired scores, shape (n,) each: Pearson's on mid-ranks.

    Identical orders give exactly 1.0. None where there is no correlation to speak of: fewer than two pairs, or all
    scores of one side equal. Raises ValueError for different lengths or scores that are not finite.

    >>> spearman([0.1, 0.2, 0.9], [1, 2, 3]), spearman([1, 2, 3], [3, 2, 1]), spearman([1, 1], [1, 2]) is None
    (1.0, -1.0, True)
    """
    x, y = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape or not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("scores come in pairs and are finite")
    a, b = _ranks(x), _ranks(y)
    spread = float(a @ a) * float(b @ b)
    if x.size < 2 or spread <= 0:
        return None
    return 1.0 if np.array_equal(a, b) else max(-1.0, min(1.0, float(a @ b) / math.sqrt(spread)))


def spearman_from_grid(grid: ArrayLike) -> float | None:
    """Spearman's rank correlation of the pairs counted in ``grid``, shape (K, K): Pearson's on mid-ranks.

    Row i, column j counts the pairs whose first score is in bin i and whose second is in bin j, both ascending. Exact
    for scores that are equal within a bin; 128 quantile bins of continuous scores are right to about .0005. None when
    there is no correlation to speak of: fewer than two pairs, or all of one side in a single bin.
    Raises ValueError for a grid that is not two-dimensional or has negative or non-finite counts.
    Source: Spearman (1904), ties by mid-ranks (Kendall 1945).

    >>> spearman_from_grid([[2, 0], [0, 2]])
    1.0
    >>> spearman_from_grid([[1, 1], [1, 1]])
    0.0
    >>> spearman_from_grid([[5, 5], [0, 0]]) is None
    True
    """
    pairs = _counts(grid)
    first, second = _centred_midranks(pairs.sum(axis=1)), _centred_midranks(pairs.sum(axis=0))
    spread = float(pairs.sum(axis=1) @ first**2) * float(pairs.sum(axis=0) @ second**2)
    if pairs.sum() < 2 or spread <= 0:
        return None
    return max(-1.0, min(1.0, float(first @ pairs @ second) / math.sqrt(spread)))


def agreement_from_grid(grid: ArrayLike) -> float | None:
    """Share of pairs in the same bin on both sides; None without pairs. For a grid of decisions: one minus the flips.

    >>> agreement_from_grid([[80, 5], [10, 5]])
    0.85
    """
    pairs = _counts(grid)
    total = float(pairs.sum())
    return float(np.trace(pairs)) / total if total > 0 else None


def top_share_overlap(grid: ArrayLike, share: float) -> float | None:
    """Share of the first side's top ``share`` that is in the second side's top ``share`` too; None without pairs.

    ``share`` itself is what independent rankings give. The bin that the cut falls into counts in proportion.
    Raises ValueError unless 0 < share < 1.

    >>> top_share_overlap([[90, 0], [0, 10]], 0.1), round(top_share_overlap([[81, 9], [9, 1]], 0.1), 6)
    (1.0, 0.1)
    """
    if not 0 < share < 1:
        raise ValueError(f"the top share must be between 0 and 1, not {share}")
    pairs = _counts(grid)
    wanted = share * float(pairs.sum())
    if wanted <= 0:
        return None
    first, second = _in_top(pairs.sum(axis=1), wanted), _in_top(pairs.sum(axis=0), wanted)
    return float(first @ pairs @ second) / wanted


def fisher_interval(rho: float, n: float, alpha: float = 0.05) -> tuple[float, float]:
    """Two-sided interval of a rank correlation of ``n`` independent pairs, on Fisher's z scale.

    The variance is ``(1 + rho^2 / 2) / (n - 3)``, Fisher's with the correction for ranks. Pairs of one unit are not
    independent: n is then the number of units. A perfect correlation is taken half a step off, so that a few pairs do
    not prove it. With n <= 3 nothing is known: (-1, 1). Raises ValueError for rho outside [-1, 1] or alpha
    outside (0, 1). Source: Bonett & Wright (2000, eq. 3).

    >>> [round(end, 3) for end in fisher_interval(0.92, 100)]
    [0.874, 0.949]
    >>> fisher_interval(0.5, 3)
    (-1.0, 1.0)
    """
    return fisher_bounds(rho, n, _normal(alpha))


def fisher_bounds(rho: float, n: float, width: float) -> tuple[float, float]:
    """Both ends ``width`` standard errors from a rank correlation of ``n`` pairs: as :func:`fisher_interval`.

    An infinite width knows nothing. Raises ValueError for rho outside [-1, 1].

    >>> [round(end, 3) for end in fisher_bounds(0.92, 100, 3.3)]
    [0.83, 0.963]
    """
    if not n > 3 or math.isinf(width):
        return _checked(rho, (-1.0, 1.0))
    return _on_z(rho, 1 - 6 / (n * (n * n - 1)), width * math.sqrt((1 + rho * rho / 2) / (n - 3)))


def kendall_interval(tau: float, n: float, alpha: float = 0.05) -> tuple[float, float]:
    """Two-sided interval of Kendall's tau of ``n`` independent pairs, on Fisher's z scale with variance .437 / (n - 4).

    A perfect tau is taken half a step off. With n <= 4 nothing is known: (-1, 1). Errors as of
    :func:`fisher_interval`. Sources: Fieller, Hartley & Pearson (1957); Bonett & Wright (2000, eq. 4).

    >>> [round(end, 3) for end in kendall_interval(0.7, 100)]
    [0.626, 0.761]
    """
    width = _normal(alpha)
    if not n > 4:
        return _checked(tau, (-1.0, 1.0))
    return _on_z(tau, 1 - 2 / (n * (n - 1)), width * math.sqrt(0.437 / (n - 4)))


def _normal(alpha: float) -> float:
    """Width of a two-sided normal interval in standard errors."""
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must be between 0 and 1, not {alpha}")
    return float(-ndtri(alpha / 2))


def _checked(correlation: float, ends: tuple[float, float]) -> tuple[float, float]:
    if not -1 <= correlation <= 1:
        raise ValueError(f"a correlation must be between -1 and 1, not {correlation}")
    return ends


def _on_z(correlation: float, most: float, reach: float) -> tuple[float, float]:
    """Ends ``reach`` away on Fisher's z scale, from at most ``most``."""
    _checked(correlation, (most, reach))
    # Beyond some 1e5 pairs ``most`` rounds to 1, and so does the answer.
    perfect = min(abs(correlation), most) == 1.0
    centre = math.copysign(math.inf, correlation) if perfect else math.atanh(max(-most, min(most, correlation)))
    return (math.tanh(centre - reach), math.tanh(centre + reach))


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mid-rank of each value minus the mean rank."""
    _, place, times = np.unique(values, return_inverse=True, return_counts=True)
    return _centred_midranks(times.astype(np.float64))[place]


def _counts(grid: ArrayLike) -> NDArray[np.float64]:
    pairs = np.asarray(grid, dtype=np.float64)
    if pairs.ndim != 2 or not np.all((pairs >= 0) & np.isfinite(pairs)):
        raise ValueError("a grid of pairs is two-dimensional with counts that are finite and not negative")
    return pairs


def _centred_midranks(margin: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mid-rank of each bin minus the mean rank."""
    ranks: NDArray[np.float64] = np.cumsum(margin) - margin + (margin - margin.sum()) / 2
    return ranks


def _in_top(margin: NDArray[np.float64], wanted: float) -> NDArray[np.float64]:
    """How much of each bin, 0 to 1, lies in the top ``wanted`` counts."""
    above = margin[::-1].cumsum()[::-1] - margin
    within: NDArray[np.float64] = np.clip((wanted - above) / np.where(margin > 0, margin, 1), 0, 1)
    return within
