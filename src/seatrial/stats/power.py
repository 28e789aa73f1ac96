"""What a canary of a given traffic can see, said beforehand, when it is judged at every look by the joined boundary.

`samplesize` has the textbook's figures for a single look.
"""

from __future__ import annotations

import math

from seatrial.stats.sequential import planned_information


def proportion_variance(rate: float, *, log: bool = True) -> float:
    """Variance that one exposure of a yes-or-no metric contributes: ``(1-p)/p`` on the log scale, ``p(1-p)`` else.

    Raises ValueError unless 0 < rate < 1.

    >>> round(proportion_variance(0.052), 3), round(proportion_variance(0.052, log=False), 6)
    (18.231, 0.049296)
    """
    if not 0 < rate < 1:
        raise ValueError(f"a rate to plan with must be between 0 and 1, not {rate}")
    return (1 - rate) / rate if log else rate * (1 - rate)


def standard_error(
    variance_t: float, units_t: float, variance_c: float, units_c: float, design_effect: float = 1.0
) -> float:
    """Standard error to expect: ``sqrt(design_effect * (variance_t / units_t + variance_c / units_c))``.

    Variances are per unit of n, on the scale of the estimate (`proportion_variance`); the design effect is that of
    clustered exposures. Infinite when an arm is empty; ValueError for negative arguments.

    >>> v = proportion_variance(0.052)
    >>> round(standard_error(v, 50_000, v, 450_000, design_effect=1.68), 4)
    0.0261
    """
    if not (min(variance_t, units_t, variance_c, units_c) >= 0 and design_effect > 0):
        raise ValueError("variances and numbers of units must not be negative, and the design effect must be positive")
    if units_t == 0 or units_c == 0:
        return math.inf
    return math.sqrt(design_effect * (variance_t / units_t + variance_c / units_c))


def units_needed(
    effect: float,
    variance_t: float,
    variance_c: float,
    share: float,
    *,
    design_effect: float = 1.0,
    alpha: float = 0.05,
    power: float = 0.8,
) -> float:
    """Units (or exposures, as the variances are) of both arms together at which ``effect`` is found with ``power``.

    By the planned end, however often it is looked at before: where `standard_error` gives the information that
    `sequential.planned_information` asks for. ``share`` is the canary's, alpha one-sided. Raises ValueError for an
    effect of zero, a share outside (0, 1), or alpha or power outside (0, 1).

    >>> v = proportion_variance(0.052)
    >>> round(units_needed(math.log(0.97), v, v, 0.1, design_effect=1.68) / 1e6, 2)
    3.19
    """
    if not 0 < share < 1:
        raise ValueError(f"the canary's share must be between 0 and 1, not {share}")
    one_unit = standard_error(variance_t, share, variance_c, 1 - share, design_effect)
    return planned_information(effect, alpha=alpha, power=power) * one_unit * one_unit
