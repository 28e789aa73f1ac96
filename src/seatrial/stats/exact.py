"""Exact tests of two proportions at one look, for tables too thin for a normal approximation."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, gammaln, xlog1py, xlogy

from seatrial.stats.checks import check_counts

Alternative = Literal["two-sided", "less", "greater"]
Floats = NDArray[np.float64]

THIN = 5.0
"""Expected counts below this are too few for a normal approximation."""

_BARNARD_TRIALS = 2_000
"""Above this many trials of the smaller arm Fisher's test is used: Barnard's has little to add and much to compute."""

_NEVER = 1e-15
"""Counts that are less likely than this add nothing to a p-value."""

_TIE = 1e-9
"""Tables whose statistics differ by less are equally extreme; the difference is rounding."""


class ExactTest(NamedTuple):
    p_value: float
    method: Literal["barnard", "fisher"]


def smallest_expected(x_t: float, n_t: float, x_c: float, n_c: float) -> float:
    """The smallest of the four counts that equal arms would be expected to have.

    What decides between a normal approximation and an exact test. The number of trials does not: 3 errors of 20,000
    requests are as thin as 3 of 40. 0 without trials. Raises ValueError for x outside [0, n]. Source: Cochran (1954).

    >>> round(smallest_expected(3, 200, 0, 20_000), 3), smallest_expected(37, 500, 400, 5000) > THIN
    (0.03, True)
    """
    check_counts(x_t, n_t)
    check_counts(x_c, n_c)
    if n_t == 0 or n_c == 0:
        return 0.0
    pooled = (x_t + x_c) / (n_t + n_c)
    return min(n_t, n_c) * min(pooled, 1 - pooled)


def exact_test(x_t: int, n_t: int, x_c: int, n_c: int, alternative: Alternative = "two-sided") -> ExactTest:
    """Barnard's test, or Fisher's where both arms have more than 2,000 trials.

    ``less``: the canary's share is smaller. Errors as in `smallest_expected`.

    >>> test = exact_test(3, 40, 3, 200, "greater")
    >>> test.method, round(test.p_value, 3)
    ('barnard', 0.074)
    """
    if min(n_t, n_c) <= _BARNARD_TRIALS:
        return ExactTest(barnard_p(x_t, n_t, x_c, n_c, alternative), "barnard")
    return ExactTest(fisher_p(x_t, n_t, x_c, n_c, alternative), "fisher")


def fisher_p(x_t: int, n_t: int, x_c: int, n_c: int, alternative: Alternative = "two-sided") -> float:
    """Fisher's exact p-value, given the number of successes of both arms together.

    Two-sided: all tables that are no more likely than this one. Conservative. 1 where nothing can be told. Raises
    ValueError for x outside [0, n]. Source: Fisher (1934, sec. 21.02).

    >>> round(fisher_p(7, 15, 12, 15, "less"), 6)
    0.064068
    """
    check_counts(x_t, n_t)
    check_counts(x_c, n_c)
    successes = x_t + x_c
    first = max(0, successes - n_c)
    x = np.arange(first, min(n_t, successes) + 1, dtype=np.float64)
    # From each table to the next, because factorials of millions lose the digits that matter.
    k = x[:-1]
    step = np.log((n_t - k) * (successes - k)) - np.log((k + 1) * (n_c - successes + k + 1))
    log_p = np.concatenate([[0.0], step.cumsum()])
    p = np.exp(log_p - log_p.max())
    p /= p.sum()
    seen = x_t - first
    if alternative == "two-sided":
        return min(1.0, float(p[p <= p[seen] * (1 + 1e-7)].sum()))
    return min(1.0, float(p[: seen + 1].sum() if alternative == "less" else p[seen:].sum()))


def barnard_p(x_t: int, n_t: int, x_c: int, n_c: int, alternative: Alternative = "two-sided") -> float:
    """Barnard's exact p-value: of all tables at least as extreme by the pooled z, at the common share that is worst.

    Unconditional, so more powerful than Fisher's for small arms. The supremum over the common share is searched on a
    grid, which is narrowed around its highest point: right to about 1e-4. Time grows with the smaller arm. 1 where
    nothing can be told. Raises ValueError for x outside [0, n]. Source: Barnard (1947); Suissa & Shuster (1985).

    >>> round(barnard_p(7, 15, 12, 15, "less"), 4)
    0.0341
    """
    check_counts(x_t, n_t)
    check_counts(x_c, n_c)
    if n_t > n_c:  # seen from the other arm, and by failures, it is the same table and the same direction
        return barnard_p(n_c - x_c, n_c, n_t - x_t, n_t, alternative)
    if alternative == "less":
        return barnard_p(n_t - x_t, n_t, n_c - x_c, n_c, "greater")
    if n_t == 0 or x_t + x_c in (0, n_t + n_c):
        return 1.0
    z = float(_pooled_z(np.array([float(x_t)]), n_t, np.array([float(x_c)]), n_c)[0])
    if alternative == "two-sided":
        z = abs(z)
    most = _most_of_champion(z, n_t, n_c)

    def tail(share: Floats) -> Floats:
        above = _probability(most, n_t, n_c, share)
        return above + _probability(most, n_t, n_c, 1 - share) if alternative == "two-sided" else above

    return min(1.0, _supremum(tail))


def _pooled_z(x_t: Floats, n_t: int, x_c: Floats, n_c: int) -> Floats:
    """The pooled z of each table; 0 where there is no variation."""
    pooled = (x_t + x_c) / (n_t + n_c)
    error = np.sqrt(pooled * (1 - pooled) * (1 / n_t + 1 / n_c))
    return np.divide(x_t / n_t - x_c / n_c, error, out=np.zeros_like(error), where=error > 0)


def _most_of_champion(z: float, n_t: int, n_c: int) -> Floats:
    """For each count of the canary, the largest of the champion that is still as extreme as z; -1 if there is none.

    For a given count of the canary z falls as the champion's count rises, so halving finds the last one.
    """
    x_t = np.arange(n_t + 1, dtype=np.float64)
    low, high = np.full(n_t + 1, -1.0), np.full(n_t + 1, float(n_c))
    while np.any(low < high):
        middle = np.ceil((low + high) / 2)
        extreme = _pooled_z(x_t, n_t, np.maximum(middle, 0), n_c) >= z - _TIE
        low, high = np.where(extreme, middle, low), np.where(extreme, high, middle - 1)
    return low


def _probability(most: Floats, n_t: int, n_c: int, share: Floats) -> Floats:
    """Probability of a table as extreme, for each common share."""
    x_t = np.arange(n_t + 1)[most >= 0]
    p = share[:, None]
    likely = np.exp(_log_choose(n_t, x_t) + xlogy(x_t, p) + xlog1py(n_t - x_t, -p))
    matters = likely > _NEVER
    below = bdtr(
        np.broadcast_to(most[most >= 0], likely.shape)[matters], n_c, np.broadcast_to(p, likely.shape)[matters]
    )
    likely[matters] *= below
    probability: Floats = np.where(matters, likely, 0.0).sum(axis=1)
    return probability


def _supremum(tail: Callable[[Floats], Floats]) -> float:
    """The largest value over shares: a grid that is denser towards 0 and 1, narrowed twice around its best point."""
    angle = np.linspace(0, math.pi / 2, 601)
    best = 0.0
    for _ in range(3):
        values = tail(np.sin(angle) ** 2)
        top = int(values.argmax())
        best = max(best, float(values[top]))
        angle = np.linspace(angle[max(0, top - 1)], angle[min(angle.size - 1, top + 1)], 41)
    return best


def _log_choose(n: int, x: NDArray[np.int64]) -> Floats:
    log: Floats = gammaln(n + 1) - gammaln(x + 1) - gammaln(n - x + 1)
    return log
