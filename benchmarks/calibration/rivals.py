"""Other ways to judge a canary, from their published formulas, on the same releases as seatrial.

Each is a function of a metric's `Series` and its relative margin. "Bucket" variances allow for clustering, "request"
ones take every exposure for independent, as tools that count requests do. One-sided alpha is .05 throughout; GrowthBook
is two-sided .05, its default. A rival is asked "worse?" against no difference and "good?" against the margin.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from benchmarks.calibration.gate import widths
from benchmarks.calibration.series import Series
from benchmarks.calibration.verdict import Calls
from seatrial.stats.sequential import planned_information

Floats = NDArray[np.float64]
ALPHA = 0.05
Z = 1.6448536269514722
"""Upper 5% point of the normal distribution."""

Rival = Callable[[Series, float], Calls]


def z_once(series: Series, margin: float) -> Calls:
    """One z-test at the end: stratified, bucket variance. What is right when nobody looks before."""
    return _last_only(z_peeking(series, margin))


def z_peeking(series: Series, margin: float) -> Calls:
    """The same z-test at every look. Armitage, McPherson & Rowe (1969): repeated significance tests."""
    e = series.stratified
    return _z(e.log_ratio, np.sqrt(e.variance), margin)


def naive_once(series: Series, margin: float) -> Calls:
    """The pooled two-proportion z-test on requests, once at the end."""
    return _last_only(naive_peeking(series, margin))


def naive_peeking(series: Series, margin: float) -> Calls:
    """The same at every look: a dashboard with a p-value."""
    log_ratio, error = _requests(series)
    return _z(log_ratio, error, margin)


def pooled_boundary(series: Series, margin: float) -> Calls:
    """seatrial's own boundary with bucket variances, but all strata thrown together."""
    e = series.pooled
    error = np.sqrt(e.variance)
    with np.errstate(invalid="ignore"):
        reach = widths(e.variance, planned_information(math.log1p(-margin)), ALPHA) * error
        started = e.rate_c * e.count_t >= 50 if series.yes_no else e.variance > 0
        return Calls(started & (e.log_ratio + reach < 0), started & (e.log_ratio - reach > math.log1p(-margin)))


def growthbook(series: Series, margin: float) -> Calls:
    """GrowthBook's sequential interval of the relative lift: asymptotic confidence sequence tuned at N* = 5,000 units.

    ``s sqrt(2 (n r^2 + 1) / (n r)^2 ln(sqrt(n r^2 + 1) / a))`` with ``s^2 = n SE^2`` and
    ``r^2 = (-2 ln a + ln(-2 ln a + 1)) / N*``; the units of all phases pooled, clustered variance (delta method).
    Sources: Waudby-Smith et al. (2024, eq. 24); gbstats, frequentist/tests.py.
    """
    e = series.pooled
    log_term = -2 * math.log(ALPHA)
    r2 = (log_term + math.log1p(log_term)) / 5000
    n = series.units
    with np.errstate(invalid="ignore"):
        lift = np.expm1(e.log_ratio)
        variance = n * e.variance * (1 + lift) ** 2
        reach = np.sqrt(variance * 2 * (n * r2 + 1) / (n * n * r2) * np.log(np.sqrt(n * r2 + 1) / ALPHA))
        return Calls(lift + reach < 0, lift - reach > -margin)


def msprt(series: Series, margin: float) -> Calls:
    """Mixture SPRT, normal prior of 1% on the lift; stratified, bucket variance. Johari et al. (2022, eq. 9)."""
    e = series.stratified
    return _msprt(e.log_ratio, e.variance, margin, tau=0.01)


def msprt_requests(series: Series, margin: float) -> Calls:
    """Mixture SPRT with a prior of 3%, pooled requests taken for independent, as in a plain A/B tool."""
    log_ratio, error = _requests(series)
    return _msprt(log_ratio, error**2, margin, tau=0.03)


def kayenta(series: Series, margin: float) -> Calls:
    """Mann-Whitney as in Kayenta's NetflixACAJudge, at every twentieth of the run; promoted if never failed.

    The points are the rates of the time slices. "Low" is an upper 98% confidence limit of the shift below -25% of its
    estimate: with the normal limit, ``est + 2.33 se < -.25 |est|``, that is z < -2.326 / .75. An emulation: no tie
    correction, and the canary is held against the whole champion, not a baseline of its own size.
    Source: spinnaker/kayenta, MannWhitneyClassifier (tolerance .25, confidence .98).
    """
    num_t, den_t, num_c, den_c = series.by_slice
    with np.errstate(all="ignore"):
        t, c = num_t / den_t, num_c / den_c
        order = (t[:, None] > c).astype(float) + 0.5 * (t[:, None] == c)
        checks = _twentieths(len(t))
        u = np.array([order[:k, :k].sum() for k in checks])
        n, m = (np.array([np.isfinite(a[:k]).sum() for k in checks], dtype=float) for a in (t, c))
        z = (u - n * m / 2) / np.sqrt(n * m * (n + m + 1) / 12)
    worse = np.zeros(len(t), bool)
    worse[checks - 1] = z < -2.3263478740408408 / 0.75
    return _unless_failed(worse)


def threshold(series: Series, margin: float) -> Calls:
    """A constant, as in an Argo AnalysisTemplate or a Flagger check: fail once the canary's mean is 5% lower.

    Pooled means since the start, at every twentieth of the run; promoted at the end if it never failed.
    """
    num_t, den_t, num_c, den_c = series.totals
    worse = np.zeros(len(num_t), bool)
    checks = _twentieths(len(num_t))
    with np.errstate(all="ignore"):
        worse[checks - 1] = (num_t / den_t < 0.95 * num_c / den_c)[checks - 1]
    return _unless_failed(worse)


RIVALS: dict[str, Rival] = {
    "z once, buckets": z_once,
    "z peeking, buckets": z_peeking,
    "z once, requests": naive_once,
    "z peeking, requests": naive_peeking,
    "seatrial's boundary, pooled": pooled_boundary,
    "GrowthBook sequential": growthbook,
    "mSPRT 1%, buckets": msprt,
    "mSPRT 3%, requests": msprt_requests,
    "Kayenta Mann-Whitney": kayenta,
    "threshold 5%": threshold,
}

NEED_YES_OR_NO = {"z once, requests", "z peeking, requests", "mSPRT 3%, requests"}
"""Their variance of a request is that of a proportion."""


def _z(log_ratio: Floats, error: Floats, margin: float) -> Calls:
    with np.errstate(invalid="ignore"):
        return Calls(log_ratio < -Z * error, log_ratio - math.log1p(-margin) > Z * error)


def _requests(series: Series) -> tuple[Floats, Floats]:
    """ln of the ratio of pooled rates, and its standard error if every exposure were independent."""
    num_t, den_t, num_c, den_c = series.totals
    with np.errstate(all="ignore"):
        log_ratio = np.log(num_t / den_t) - np.log(num_c / den_c)
        error = np.sqrt(1 / num_t - 1 / den_t + 1 / num_c - 1 / den_c)
    return np.where(num_t > 0, log_ratio, np.nan), error


def _msprt(log_ratio: Floats, variance: Floats, margin: float, *, tau: float) -> Calls:
    """Likelihood ratio against zero and against the margin; each direction is called when the estimate lies there."""

    def reached(distance: Floats) -> NDArray[np.bool_]:
        both = variance + tau**2
        log_e = 0.5 * np.log(variance / both) + tau**2 * distance**2 / (2 * variance * both)
        return log_e >= -math.log(ALPHA)

    above = log_ratio - math.log1p(-margin)
    with np.errstate(all="ignore"):
        return Calls(reached(log_ratio) & (log_ratio < 0), reached(above) & (above > 0))


def _twentieths(looks: int) -> NDArray[np.int64]:
    """Numbers of the looks, from 1, at which a tool that checks twenty times does so."""
    return np.arange(1, 21) * looks // 20


def _last_only(calls: Calls) -> Calls:
    worse, good = (np.zeros(len(call), bool) for call in calls)
    worse[-1], good[-1] = calls.worse[-1], calls.good[-1]
    return Calls(worse, good)


def _unless_failed(worse: NDArray[np.bool_]) -> Calls:
    good = np.zeros(len(worse), bool)
    good[-1] = not worse.any()
    return Calls(worse, good)


def combine(parts: list[Calls]) -> Calls:
    """Several guardrails, each judged on its own: one that is worse fails the release, all good promote it."""
    return Calls(np.any([p.worse for p in parts], axis=0), np.all([p.good for p in parts], axis=0))
