"""Ratio metrics of units at one look: clicks per impression, revenue per session, by the delta method or the jackknife.

The unit (user, account, device) is what was randomised, so it is what the variance counts. Per-request formulas give
an error that is too small as soon as units come back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr, stdtrit

from seatrial.stats.checks import check_alpha

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Ratio:
    """``value`` = sum of numerators / sum of denominators; ``variance`` of it; ``units`` that it rests on.

    The variance is NaN below two units, or where leaving out one leaves no denominator; the value is NaN without any.
    """

    value: float
    variance: float
    units: int


@dataclass(frozen=True, slots=True)
class RatioTest:
    """Canary minus champion, with Welch's t: estimate, its standard error, degrees of freedom, p, interval."""

    difference: float
    error: float
    freedom: float
    p_two_sided: float
    interval: tuple[float, float]


def delta_ratio(num: ArrayLike, den: ArrayLike) -> Ratio:
    """A ratio of two sums over units, with its variance by the delta method.

    ``num``, ``den``: one value a unit, shape (units,). ``variance = s^2(num - R den) / (n mean(den)^2)``, s^2 with
    n - 1. Denominators of 1 give the mean and its usual variance. Raises ValueError for different shapes.
    Source: Deng, Knoblich & Lu (2018, sec. 2-3).

    >>> clicks, shown = [12, 7, 9, 15, 4, 11, 8, 10, 6, 13], [40, 31, 35, 52, 20, 39, 30, 38, 25, 44]
    >>> ratio = delta_ratio(clicks, shown)
    >>> round(ratio.value, 6), round(ratio.variance * ratio.units, 9)
    (0.268362, 0.000772127)
    """
    y, k = _pair(num, den)
    if not k.sum() > 0:
        return Ratio(math.nan, math.nan, y.size)
    value = float(y.sum() / k.sum())
    if y.size < 2:
        return Ratio(value, math.nan, y.size)
    residual = y - value * k  # sums to zero, so nothing large cancels
    return Ratio(value, float((residual**2).sum() / (y.size - 1) / (y.size * k.mean() ** 2)), y.size)


def jackknife_ratio(num: ArrayLike, den: ArrayLike) -> Ratio:
    """The same ratio with the variance that leaving out one row after the other shows, and its bias taken out.

    Rows are units, or buckets that units were hashed into (shape (B,), B of 20 or more), whose sums merge.
    ``variance = (B-1)/B sum (R_(b) - mean)^2``; ``value = B R - (B-1) mean``. Errors as in `delta_ratio`.
    Source: Efron (1982, ch. 2-3).

    >>> ratio = jackknife_ratio([12, 7, 9, 15, 4, 11, 8, 10, 6, 13], [40, 31, 35, 52, 20, 39, 30, 38, 25, 44])
    >>> round(ratio.value, 6), round(math.sqrt(ratio.variance), 6)
    (0.268978, 0.00879)
    """
    y, k = _pair(num, den)
    if y.size < 2 or not k.sum() > 0:
        return Ratio(math.nan, math.nan, y.size)
    without = _leaving_out(y, k)
    value = y.size * float(y.sum() / k.sum()) - (y.size - 1) * float(without.mean())
    return Ratio(value, _jackknife(without), y.size)


def jackknife_difference(num_t: ArrayLike, den_t: ArrayLike, num_c: ArrayLike, den_c: ArrayLike) -> Ratio:
    """The difference of two ratios, canary minus champion, with both arms of a bucket left out together.

    Row b is the same units in both arms, shape (B,), so a unit that moves from one arm to the other while the canary
    grows is one source of noise. The linearised form over strata is `clustered.stratified_effect`. Errors as in
    `delta_ratio`. Source: Efron (1982, ch. 3).

    >>> pairs = jackknife_difference([2, 3, 1, 4], [10, 12, 9, 15], [5, 6, 4, 7], [20, 22, 21, 25])
    >>> round(pairs.value, 4), round(math.sqrt(pairs.variance), 4)
    (-0.0326, 0.0131)
    """
    t, c = _pair(num_t, den_t), _pair(num_c, den_c)
    if t[0].size != c[0].size:
        raise ValueError("both arms must have the same buckets")
    if t[0].size < 2 or not (t[1].sum() > 0 and c[1].sum() > 0):
        return Ratio(math.nan, math.nan, t[0].size)
    difference = float(t[0].sum() / t[1].sum() - c[0].sum() / c[1].sum())
    return Ratio(difference, _jackknife(_leaving_out(*t) - _leaving_out(*c)), t[0].size)


def welch(t: Ratio, c: Ratio, alpha: float = 0.05) -> RatioTest:
    """Two independent ratios compared by Welch's t with Satterthwaite's degrees of freedom.

    All NaN where one has no variance. Raises ValueError for alpha outside (0, 1). Source: Welch (1947).

    >>> test = welch(Ratio(0.26, 0.0009, 10), Ratio(0.27, 0.0001, 10))
    >>> round(test.error, 4), round(test.freedom, 2), round(test.p_two_sided, 4)
    (0.0316, 10.98, 0.7578)
    """
    check_alpha(alpha)
    variance = t.variance + c.variance
    if not 0 < variance < math.inf:
        return RatioTest(math.nan, math.nan, math.nan, math.nan, (math.nan, math.nan))
    difference, error = t.value - c.value, math.sqrt(variance)
    freedom = variance**2 / (t.variance**2 / (t.units - 1) + c.variance**2 / (c.units - 1))
    reach = -float(stdtrit(freedom, alpha / 2)) * error
    p = 2 * float(stdtr(freedom, -abs(difference / error)))
    return RatioTest(difference, error, freedom, p, (difference - reach, difference + reach))


def _pair(num: ArrayLike, den: ArrayLike) -> tuple[Floats, Floats]:
    y, k = (np.atleast_1d(np.asarray(v, dtype=np.float64)) for v in (num, den))
    if y.shape != k.shape or y.ndim != 1:
        raise ValueError("numerators and denominators must have the same shape, one value a unit")
    return y, k


def _leaving_out(y: Floats, k: Floats) -> Floats:
    with np.errstate(all="ignore"):
        without: Floats = (y.sum() - y) / (k.sum() - k)
    return without


def _jackknife(without: Floats) -> float:
    with np.errstate(all="ignore"):
        return float((without.size - 1) / without.size * ((without - without.mean()) ** 2).sum())
