"""Sample-ratio mismatch: are the units split as the plan says? Valid at every look, phase by phase."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

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


def alarms(log_e: float, alpha: float = 1 / ALARM) -> bool:
    """Whether an e-value reaches 1 / alpha; reaching it exactly counts. Source: Ville's inequality.

    >>> alarms(math.log(1000.0)), alarms(math.log(999.0))
    (True, False)
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must be between 0 and 1, not {alpha}")
    return log_e >= -math.log(alpha)
