"""The difference between two arms from bucketed sums: stratified, clustered, mergeable."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Scale = Literal["log", "linear"]
Floats = NDArray[np.float64]

_ROUND_OFF = 1e-12
"""A standard error below this share of the sums it is made of is rounding, not information."""


@dataclass(frozen=True, slots=True)
class Effect:
    """Canary (t) against champion (c) on one scale.

    ``estimate`` is ln(rate_t / rate_c) on the log scale and rate_t - rate_c on the linear one; ``variance`` is its
    variance with clustering. Rates are weighted over strata; counts are the exposures of the strata that carry weight.
    ``largest_bucket`` is the largest share one unit bucket has in the sum of either arm (1/256 when spread evenly);
    ``skewness`` that of the estimate as the champion's values let expect it, beyond what chance alone would show.

    >>> Effect(-0.02, 0.0001, 0.049, 0.05, 1000, 9000, 0.01).information
    10000.0
    """

    estimate: float
    variance: float
    rate_t: float
    rate_c: float
    count_t: float
    count_c: float
    largest_bucket: float
    skewness: float = 0.0

    @property
    def degenerate(self) -> bool:
        """True when there is no estimate with a spread: no common stratum, a zero rate on the log scale, no variation.

        A degenerate effect says nothing at all; in particular it does not say that the arms agree.
        """
        return not (math.isfinite(self.estimate) and math.isfinite(self.variance) and self.variance > 0)

    @property
    def information(self) -> float:
        """1 / variance, the clock of the sequential boundary; 0 when degenerate."""
        return 0.0 if self.degenerate else 1.0 / self.variance

    @property
    def standard_error(self) -> float:
        """Square root of the variance, in units of the estimate; NaN when degenerate."""
        return math.nan if self.degenerate else math.sqrt(self.variance)


@dataclass(frozen=True, slots=True)
class _Arm:
    """One arm over the strata that both arms have; shapes (strata, buckets) and (strata,)."""

    num: Floats
    den: Floats
    totals: Floats
    rates: Floats
    count: float


@dataclass(frozen=True, slots=True)
class _Pair:
    t: _Arm
    c: _Arm
    weights: Floats


def stratified_effect(
    count_t: ArrayLike,
    num_t: ArrayLike,
    den_t: ArrayLike,
    count_c: ArrayLike,
    num_c: ArrayLike,
    den_c: ArrayLike,
    *,
    scale: Scale,
) -> Effect:
    """The stratified effect of the canary with its clustered variance.

    All arrays have shape (strata, buckets): exposures, numerator and denominator sums of each unit bucket, in natural
    units; the same column is the same units in both arms. Strata h are weighted by Mantel and Haenszel,
    ``W_h = D_th D_ch / (D_th + D_ch)`` with D the denominators, so that a stratum with an empty arm weighs nothing and
    neither a ramp nor a drifting base rate can pose as an effect. With ``R = num / den``:

    - log: ``ln(sum W R_t / sum W R_c)``; linear: ``sum W (R_t - R_c) / sum W``;
    - ``V = B / (B - 1) * sum_b psi_b^2``, where psi_b is the influence of bucket b in *both* arms and all strata: the
      linearised delete-a-bucket jackknife. Units that return, or move from one arm to the other, stay in their bucket.
    - skewness: of the champion's psi, less two standard errors ``sqrt(6) / B`` that normal values have, and scaled by
      the denominators to what both arms together come to, if their values are alike. Equal arms cancel. The canary's
      own large values have no say, so that whether an estimate is trusted does not depend on its luck.

    What cannot be estimated comes back as a degenerate `Effect`, never as an error and never as "no difference".
    Raises ValueError only for arrays of different shapes.

    Sources: Mantel & Haenszel (1959); Greenland & Robins (1985) for the weights; Deng, Knoblich & Lu (2018, sec. 2-3)
    for ratios of clustered sums; Efron (1982, ch. 3) for the jackknife.

    >>> den = np.full((1, 4), 100.0)
    >>> effect = stratified_effect(den, [[5, 6, 4, 5]], den, den, [[6, 5, 5, 4]], den, scale="linear")
    >>> effect.estimate, round(effect.variance * 1e6, 4)
    (0.0, 33.3333)
    >>> stratified_effect(den, [[0, 0, 0, 0]], den, den, [[6, 5, 5, 4]], den, scale="log").degenerate
    True
    """
    with np.errstate(all="ignore"):
        pair = _pair(count_t, num_t, den_t, count_c, num_c, den_c)
        total = float(pair.weights.sum())
        sum_t, sum_c = _dot(pair.weights, pair.t.rates), _dot(pair.weights, pair.c.rates)
        rate_t, rate_c = (sum_t / total, sum_c / total) if total > 0 else (math.nan, math.nan)
        estimate = _estimate(rate_t, rate_c, scale)
        variance, skewness = math.nan, 0.0
        if math.isfinite(estimate):
            by = (sum_t, sum_c) if scale == "log" else (total, total)
            variance, skewness = _variance(pair, *by), _skewness(pair, *by)
        largest = max(_largest_share(pair.t.num), _largest_share(pair.c.num))
    return Effect(estimate, variance, rate_t, rate_c, pair.t.count, pair.c.count, largest, skewness)


def distinct_units(count: ArrayLike) -> float:
    """Number of distinct units behind exposures that were hashed into buckets; inf when every bucket is taken.

    ``count``: exposures per unit bucket, shape (B,), or (H, B), which is summed over strata. Linear counting: with K of
    B buckets taken, the estimate is -B ln(1 - K/B); for B = 256 its standard error is 5% at 200 units. Source: Whang,
    Vander-Zanden, Taylor (1990), "A linear-time probabilistic counting algorithm", eq. 1.

    >>> round(distinct_units(np.r_[np.ones(139), np.zeros(117)]))
    200
    """
    buckets = np.atleast_2d(np.asarray(count, dtype=np.float64)).sum(axis=0)
    taken = float((buckets > 0).mean()) if buckets.size else 0.0
    return math.inf if taken >= 1 else -buckets.size * math.log1p(-taken)


def design_effect(
    count_t: ArrayLike,
    num_t: ArrayLike,
    den_t: ArrayLike,
    count_c: ArrayLike,
    num_c: ArrayLike,
    den_c: ArrayLike,
    *,
    scale: Scale = "log",
) -> float:
    """How many times larger the clustered variance is than that of independent exposures; for yes-or-no metrics.

    Arguments as in `stratified_effect`. The comparison is the binomial ``R (1 - R) / D`` of each arm and stratum. The
    effective sample is the number of exposures divided by this. NaN where the question has no answer: a degenerate
    effect, rates outside [0, 1], whose naive variance the sums do not tell, or numbers beyond what a float holds.
    Source: Kish (1965, sec. 8.2).

    Four buckets that are all or nothing: every 100 exposures are worth a single one.

    >>> den = np.full((1, 256), 100.0)
    >>> num = np.tile([100.0, 0.0, 0.0, 0.0], 64)[None]
    >>> round(design_effect(den, num, den, den, np.roll(num, 1), den), 1)
    133.9
    """
    effect = stratified_effect(count_t, num_t, den_t, count_c, num_c, den_c, scale=scale)
    if effect.degenerate:
        return math.nan
    with np.errstate(all="ignore"):
        pair = _pair(count_t, num_t, den_t, count_c, num_c, den_c)
        shares = pair.weights / pair.weights.sum()
        naive = 0.0
        for arm, rate in ((pair.t, effect.rate_t), (pair.c, effect.rate_c)):
            share = shares / (rate if scale == "log" else 1.0)
            naive += float(np.sum(share**2 * arm.rates * (1 - arm.rates) / arm.totals))
    proportions = all(bool(np.all((arm.rates >= 0) & (arm.rates <= 1))) for arm in (pair.t, pair.c))
    if not proportions or not 0 < naive < math.inf:
        return math.nan
    return effect.variance / naive or math.nan


def _pair(*arrays: ArrayLike) -> _Pair:
    count_t, num_t, den_t, count_c, num_c, den_c = (np.atleast_2d(np.asarray(a, dtype=np.float64)) for a in arrays)
    if len({a.shape for a in (count_t, num_t, den_t, count_c, num_c, den_c)}) != 1:
        raise ValueError("counts, numerators and denominators of both arms must have the same shape (strata, buckets)")
    total_t, total_c = den_t.sum(axis=1), den_c.sum(axis=1)
    # "not <= 0" keeps a stratum with NaN: it must spoil the estimate visibly, not drop out of it.
    used = ~((total_t <= 0) | (total_c <= 0))
    t = _arm(count_t[used], num_t[used], den_t[used])
    c = _arm(count_c[used], num_c[used], den_c[used])
    # D_t D_c / (D_t + D_c), written so that it neither overflows nor loses the smaller arm.
    weights = np.minimum(t.totals, c.totals) / (1 + np.minimum(t.totals, c.totals) / np.maximum(t.totals, c.totals))
    return _Pair(t, c, weights)


def _arm(count: Floats, num: Floats, den: Floats) -> _Arm:
    totals = den.sum(axis=1)
    return _Arm(num, den, totals, num.sum(axis=1) / totals, float(count.sum()))


def _estimate(rate_t: float, rate_c: float, scale: Scale) -> float:
    if scale == "linear":
        return rate_t - rate_c
    return math.log(rate_t) - math.log(rate_c) if 0 < rate_t < math.inf and 0 < rate_c < math.inf else math.nan


def _variance(pair: _Pair, by_t: float, by_c: float) -> float:
    """V of `stratified_effect`; ``by`` is what each arm's weighted sum is divided by. Zero when it is only rounding."""
    buckets = pair.t.num.shape[1]
    if buckets < 2:
        return math.nan
    share_t, share_c = (pair.weights / arm.totals / by for arm, by in ((pair.t, by_t), (pair.c, by_c)))
    psi = _influence(pair.t, share_t) - _influence(pair.c, share_c)
    variance = buckets / (buckets - 1) * _dot(psi, psi)
    gross = _dot(share_t, np.abs(pair.t.num).sum(axis=1)) + _dot(share_c, np.abs(pair.c.num).sum(axis=1))
    noise = _ROUND_OFF * gross
    return 0.0 if variance <= noise * noise else variance


def _skewness(pair: _Pair, by_t: float, by_c: float) -> float:
    """Skewness of `stratified_effect`; 0 where the champion's values show none, or do not vary.

    An exposure with variance v and third moment s adds ``share^2 v`` and ``share^3 s`` to those of the estimate, so the
    champion's buckets tell s / v^1.5, and the denominators everything else.
    """
    share_t, share_c = (pair.weights / arm.totals / by for arm, by in ((pair.t, by_t), (pair.c, by_c)))
    psi = _influence(pair.c, share_c)
    square = _dot(psi, psi)
    if not 0 < square < math.inf:
        return 0.0
    seen = float(np.sum((psi / math.sqrt(square)) ** 3))
    certain = math.copysign(max(abs(seen) - 2 * math.sqrt(6) / len(psi), 0.0), seen)
    sides = (share_t, pair.t), (share_c, pair.c)
    squares, cubes = (np.array([np.sum(share**k * arm.totals) for share, arm in sides]) for k in (2, 3))
    skewness = float(certain * squares[1] ** 1.5 / cubes[1] * (cubes[0] - cubes[1]) / squares.sum() ** 1.5)
    return skewness if math.isfinite(skewness) else 0.0


def _influence(arm: _Arm, share: Floats) -> Floats:
    """sum_h share_h (num_hb - rate_h den_hb), shape (buckets,)."""
    influence: Floats = np.einsum("h,hb->b", share, arm.num) - np.einsum("h,hb->b", share * arm.rates, arm.den)
    return influence


def _dot(a: Floats, b: Floats) -> float:
    """Inner product without BLAS (as is einsum above), whose last bits depend on the machine: a replay must agree."""
    return float(np.sum(a * b))


def _largest_share(num: Floats) -> float:
    by_bucket = np.abs(num).sum(axis=0)
    total = float(by_bucket.sum())
    return float(by_bucket.max()) / total if math.isfinite(total) and total > 0 else 0.0
