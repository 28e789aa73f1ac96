"""The textbook's sample size: one look at the end, a stated effect, power and level. `power` plans for every look."""

from __future__ import annotations

import math

from scipy.special import ndtri

from seatrial.stats.checks import check_alpha
from seatrial.stats.sequences import Sides


def canary_units(
    effect: float,
    variance_t: float,
    variance_c: float,
    *,
    ratio: float = 1.0,
    alpha: float = 0.05,
    power: float = 0.8,
    sides: Sides = 2,
    design_effect: float = 1.0,
) -> float:
    """Units (or exposures, as the variances are) that the canary needs; the champion needs ``ratio`` times as many.

    ``design_effect * (z_alpha + z_power)^2 * (variance_t + variance_c / ratio) / effect^2``, z_alpha at alpha / 2 on
    two sides. ``effect`` and the variances of one unit are on the same scale (`power.proportion_variance`); for
    non-inferiority the effect is the margin and sides is 1. Not rounded. Raises ValueError for an effect of zero,
    negative variances, a ratio or design effect that is not positive, or alpha or power outside (0, 1).
    Source: Chow, Shao & Wang (2008, sec. 4.2).

    >>> change = 0.052 * 0.995, 0.052
    >>> v_t, v_c = (p * (1 - p) for p in change)
    >>> equal, real = (canary_units(change[0] - change[1], v_t, v_c, ratio=r) for r in (1, 9))
    >>> [round(units / 2e6, 2) for units in (equal, real)]
    [5.71, 3.17]
    """
    if not math.isfinite(effect) or effect == 0:
        raise ValueError(f"the effect to plan for must be finite and not zero, not {effect}")
    if not (min(variance_t, variance_c) >= 0 and 0 < ratio < math.inf and 0 < design_effect < math.inf):
        raise ValueError("variances must not be negative, and the ratio of the arms and the design effect positive")
    check_alpha(alpha)
    if not 0 < power < 1:
        raise ValueError(f"power must be between 0 and 1, not {power}")
    z = -float(ndtri(alpha / sides)) + float(ndtri(power))
    return design_effect * z * z * (variance_t + variance_c / ratio) / (effect * effect)


def kish_design_effect(per_unit: float, icc: float, cv: float = 0.0) -> float:
    """How many times more exposures are needed because they come ``per_unit`` to a unit: Kish's design effect.

    ``1 + (per_unit (1 + cv^2) - 1) icc``: mean and coefficient of variation of the exposures of a unit, and their
    intra-class correlation. From a log the factor comes without these: `clustered.design_effect`. Raises ValueError for
    per_unit below 1, icc outside [0, 1] or a negative cv. Source: Kish (1987); Eldridge, Ashby & Kerry (2006).

    >>> round(kish_design_effect(10, 0.05), 2), round(kish_design_effect(10, 0.05, cv=0.575), 2)
    (1.45, 1.62)
    """
    if not (1 <= per_unit < math.inf and 0 <= icc <= 1 and 0 <= cv < math.inf):
        raise ValueError("a unit has at least one exposure, a correlation between 0 and 1 and a spread not below 0")
    return 1 + (per_unit * (1 + cv * cv) - 1) * icc


def effective_size(n: float, design_effect: float) -> float:
    """How many independent exposures n exposures of returning units are worth: ``n / design_effect``.

    An effective sample of 40% is a design effect of 2.5, and takes 2.5 times as long. Raises ValueError for a negative
    n or a design effect that is not positive. Source: Kish (1965, sec. 8.2).

    >>> effective_size(2_000_000, 2.5)
    800000.0
    """
    if not (n >= 0 and design_effect > 0):
        raise ValueError("a sample must not be negative and its design effect must be positive")
    return n / design_effect
