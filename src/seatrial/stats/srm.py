"""Sample-ratio mismatch: are the units split as the plan says? Valid at every look, phase by phase."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtrc, gammaln, xlogy

from seatrial.stats.counts import rate_ratio_log_e

ALARM = 1000.0
"""E-value at which a split is called wrong: alpha .001, spent once over all looks."""

_FACTORS = np.geomspace(1.005, 2.0, 12)
ODDS_GRID = np.concatenate([1 / _FACTORS[::-1], _FACTORS])
"""Factors on the planned odds, both directions: what a wrong split may look like."""


def sample_ratio_log_e(x: ArrayLike, m: ArrayLike, share: ArrayLike) -> float:
    """ln of the e-process against "each phase's units split as planned".

    ``x`` canary units among ``m`` units *first seen* in each phase, and the planned canary share of the phase (numbers
    or arrays of shape (phases,)). One factor on the odds is shared by all phases: a leak that persists adds up over a
    ramp, while each phase is held against its own split. Units must be counted once: fed with requests it alarms
    falsely. Raises ValueError for x outside [0, m] or shares outside [0, 1].
    Source: Lindon & Malek (2022), with a shared odds-ratio mixture in place of the Dirichlet.

    >>> round(sample_ratio_log_e([100, 500], [10_000, 10_000], [0.01, 0.05]), 2)
    -2.25
    >>> alarms(sample_ratio_log_e([75, 390], [10_000, 10_000], [0.01, 0.05]))
    True
    """
    return rate_ratio_log_e(x, m, share, theta0=1.0, thetas=ODDS_GRID)


def multinomial_log_e(counts: ArrayLike, shares: ArrayLike, *, concentration: float = 100.0) -> float:
    """ln of the e-process against "the units of these arms split as planned", for one split and any number of arms.

    ``counts`` units *first seen* in each arm and their planned ``shares``, shape (arms,). Dirichlet-multinomial:
    ``ln B(k shares + counts) / B(k shares) - sum counts ln shares`` with k the concentration, large for small leaks.
    The phases of a ramp multiply. Raises ValueError as `chi_square_split`. Source: Lindon & Malek (2022).

    >>> round(math.exp(multinomial_log_e([130, 70], [0.5, 0.5])), 3)
    247.185
    """
    seen, planned = _split(counts, shares)
    if not 0 < concentration < math.inf:
        raise ValueError(f"the concentration must be positive, not {concentration}")
    prior = concentration * planned
    return _log_beta(prior + seen) - _log_beta(prior) - float(xlogy(seen, planned).sum())


class ChiSquare(NamedTuple):
    statistic: float
    freedom: int
    p_value: float


def chi_square_split(counts: ArrayLike, shares: ArrayLike) -> ChiSquare:
    """The textbook test of a split, for one look at a fixed number of units; peeking makes it alarm far too often.

    ``counts`` and planned ``shares``, shape (arms,). No units give p = 1. Raises ValueError for fewer than two arms,
    different shapes, counts that are negative, or shares that are not positive and do not sum to 1: an arm that is
    planned to be empty is left out, or it would pass for a degree of freedom. Source: Pearson (1900).

    >>> test = chi_square_split([507, 493, 1020], [0.25, 0.25, 0.5])
    >>> round(test.statistic, 4), test.freedom, round(test.p_value, 6)
    (0.3921, 2, 0.82198)
    """
    seen, planned = _split(counts, shares)
    expected = float(seen.sum()) * planned
    statistic = float(((seen - expected) ** 2 / np.maximum(expected, np.finfo(np.float64).tiny)).sum())
    return ChiSquare(statistic, seen.size - 1, float(chdtrc(seen.size - 1, statistic)))


def alarms(log_e: float, alpha: float = 1 / ALARM) -> bool:
    """Whether an e-value reaches 1 / alpha; reaching it exactly counts. Source: Ville's inequality.

    >>> alarms(math.log(1000.0)), alarms(math.log(999.0))
    (True, False)
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must be between 0 and 1, not {alpha}")
    return log_e >= -math.log(alpha)


def _split(counts: ArrayLike, shares: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    seen, planned = (np.atleast_1d(np.asarray(v, dtype=np.float64)) for v in (counts, shares))
    if seen.shape != planned.shape or seen.ndim != 1 or seen.size < 2:
        raise ValueError("counts and planned shares must be of the same arms, and at least two")
    if not np.all((seen >= 0) & np.isfinite(seen)):
        raise ValueError("counts of units must not be negative")
    if not (np.all(planned > 0) and math.isclose(float(planned.sum()), 1.0, abs_tol=1e-9)):
        raise ValueError("planned shares must be above 0 and sum to 1")
    return seen, planned


def _log_beta(parameters: NDArray[np.float64]) -> float:
    return float(gammaln(parameters).sum() - gammaln(parameters.sum()))
