"""Agreement of two rankings from a mergeable two-dimensional histogram of their scores.

Agreement is not quality: a better model may well rank differently.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri


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
    if not -1 <= rho <= 1:
        raise ValueError(f"a correlation must be between -1 and 1, not {rho}")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must be between 0 and 1, not {alpha}")
    if not n > 3:
        return (-1.0, 1.0)
    most = 1 - 6 / (n * (n * n - 1))
    reach = float(-ndtri(alpha / 2)) * math.sqrt((1 + rho * rho / 2) / (n - 3))
    # Beyond some 1e5 pairs ``most`` rounds to 1, and so does the answer.
    centre = math.copysign(math.inf, rho) if min(abs(rho), most) == 1.0 else math.atanh(max(-most, min(most, rho)))
    return (math.tanh(centre - reach), math.tanh(centre + reach))


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
