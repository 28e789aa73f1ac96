"""Many tests at once: family-wise error (Holm), false discoveries (Benjamini-Hochberg), and the same for e-values.

Guardrails that must all pass need none of this for promotion. Use it to read many segments, metrics or models.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seatrial.stats.checks import check_alpha

Floats = NDArray[np.float64]


def holm(p: ArrayLike) -> Floats:
    """Adjusted p-values: reject where they are at most alpha, and *any* false rejection has probability alpha at most.

    ``p``: shape (m,), in any order and with any dependence; the result has the same order. Raises ValueError for values
    outside [0, 1]. Source: Holm (1979).

    >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    values = _checked(p)
    order = np.argsort(values, kind="stable")
    factor = values.size - np.arange(values.size)
    return _back(np.minimum(1, np.maximum.accumulate(factor * values[order])), order)


def benjamini_hochberg(p: ArrayLike) -> Floats:
    """Adjusted p-values: reject where they are at most alpha, and alpha at most of the rejections are expected false.

    For independent (or positively dependent) tests. Arguments and errors as in `holm`.
    Source: Benjamini & Hochberg (1995).

    >>> benjamini_hochberg([0.01, 0.04, 0.03, 0.5]).round(4).tolist()
    [0.04, 0.0533, 0.0533, 0.5]
    """
    values = _checked(p)
    order = np.argsort(values, kind="stable")
    factor = values.size / np.arange(1, values.size + 1)
    from_above = np.minimum.accumulate((factor * values[order])[::-1])[::-1]
    return _back(np.minimum(1, from_above), order)


def e_benjamini_hochberg(e: ArrayLike, alpha: float = 0.05) -> tuple[int, ...]:
    """Places of the e-values that are rejected, ascending: the k largest, k as large as e_(k) >= m / (alpha k) allows.

    The share of false rejections is alpha at most in expectation, whatever the dependence; e-processes may be stopped
    at any look. ``e``: shape (m,). Raises ValueError for negative or missing e-values, or alpha outside (0, 1).
    Source: Wang & Ramdas (2022).

    >>> e_benjamini_hochberg([100, 30, 12, 8, 1, 0.5, 0.2, 50], alpha=0.2)
    (0, 1, 2, 3, 7)
    """
    check_alpha(alpha)
    values = np.atleast_1d(np.asarray(e, dtype=np.float64))
    if not np.all(values >= 0):
        raise ValueError("e-values must not be negative or missing")
    order = np.argsort(-values, kind="stable")
    enough = values[order] * np.arange(1, values.size + 1) * alpha >= values.size
    rejected = int(np.flatnonzero(enough)[-1]) + 1 if enough.any() else 0
    return tuple(sorted(int(place) for place in order[:rejected]))


def _checked(p: ArrayLike) -> Floats:
    values = np.atleast_1d(np.asarray(p, dtype=np.float64))
    if not np.all((values >= 0) & (values <= 1)):
        raise ValueError("p-values must be between 0 and 1")
    return values


def _back(adjusted: Floats, order: NDArray[np.intp]) -> Floats:
    """Adjusted values in the order in which the p-values came."""
    result = np.empty_like(adjusted)
    result[order] = adjusted
    return result
