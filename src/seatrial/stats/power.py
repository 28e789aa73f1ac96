"""What a canary of a given traffic can see, said beforehand; and the textbook z-test for comparison."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import ndtr, ndtri

from seatrial.stats.sequential import final_z


@dataclass(frozen=True, slots=True)
class ProportionTest:
    """Two proportions, the first minus the second. Every p-value is NaN when there is nothing to test."""

    z: float
    p_two_sided: float
    p_less: float
    p_greater: float
    difference: float
    relative_difference: float


def two_proportion_z(x1: float, n1: float, x2: float, n2: float) -> ProportionTest:
    """The fixed-sample pooled z-test of x1 of n1 against x2 of n2. For one look at independent exposures, no more.

    Peeking at it, ramping under it, or feeding it several exposures of one unit makes it reject far too often. Without
    trials, or with all or no successes, z and p are NaN. Raises ValueError for x outside [0, n].

    >>> test = two_proportion_z(37, 500, 400, 5000)
    >>> round(test.z, 6), round(test.p_two_sided, 6), round(test.relative_difference, 4)
    (-0.472996, 0.636216, -0.075)
    """
    if not (0 <= x1 <= n1 < math.inf and 0 <= x2 <= n2 < math.inf):
        raise ValueError(f"{x1} of {n1} against {x2} of {n2}: successes must be between 0 and the trials")
    if n1 == 0 or n2 == 0:
        return ProportionTest(*[math.nan] * 6)
    first, second, pooled = x1 / n1, x2 / n2, (x1 + x2) / (n1 + n2)
    difference = first - second
    relative = difference / second if second > 0 else math.nan
    error = math.sqrt(pooled * (1 - pooled) * (1 / n1 + 1 / n2))
    z = difference / error if error > 0 else math.nan
    return ProportionTest(z, 2 * float(ndtr(-abs(z))), float(ndtr(z)), float(ndtr(-z)), difference, relative)


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


def smallest_detectable(se: float, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """The size of effect found with ``power`` by the planned end, on the scale of ``se``: 2.108 + .8416 times it.

    Looking early and often is included; see `sample_inflation` for what it costs. On the log scale a loss is
    ``1 - exp(-this)``.

    >>> round(1 - math.exp(-smallest_detectable(0.0261)), 3)
    0.074
    """
    return _z_sum(alpha, power) * se


def detection_power(effect: float, se: float, *, alpha: float = 0.05) -> float:
    """Probability that an effect is found by the planned end; the inverse of `smallest_detectable`.

    ``effect`` (its size, in the bad direction) and ``se`` are on the same scale.

    >>> round(detection_power(smallest_detectable(0.0261), 0.0261), 3)
    0.8
    """
    return float(ndtr(effect / se - final_z(alpha)))


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
    """Units (or exposures, as the variances are) of both arms together at which ``effect`` is the smallest detectable.

    ``share`` is the canary's. The exact inverse of `smallest_detectable` after `standard_error`. Raises ValueError for
    an effect of zero or a share outside (0, 1).

    >>> v = proportion_variance(0.052)
    >>> round(units_needed(math.log(0.97), v, v, 0.1, design_effect=1.68) / 1e6, 2)
    3.19
    """
    if not math.isfinite(effect) or effect == 0:
        raise ValueError(f"the effect to plan for must be finite and not zero, not {effect}")
    if not 0 < share < 1:
        raise ValueError(f"the canary's share must be between 0 and 1, not {share}")
    return (
        _z_sum(alpha, power) * standard_error(variance_t, share, variance_c, 1 - share, design_effect) / effect
    ) ** 2


def sample_inflation(alpha: float = 0.05, power: float = 0.8) -> float:
    """Sample of the joined boundary relative to one fixed look with the same power.

    >>> round(sample_inflation(), 2)
    1.41
    """
    return (_z_sum(alpha, power) / float(-ndtri(alpha) + ndtri(power))) ** 2


def _z_sum(alpha: float, power: float) -> float:
    if not 0 < power < 1:
        raise ValueError(f"power must be between 0 and 1, not {power}")
    return final_z(alpha) + float(ndtri(power))
