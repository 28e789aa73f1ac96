"""Exact tests of counts: rare errors in two arms, and a single proportion. Valid at every look, but for one of them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtr, bdtrc, betaln, gammaln, xlog1py, xlogy

from seatrial.stats.checks import check_alpha, check_counts
from seatrial.stats.exact import Alternative

GRID_POINTS = 24


def rate_ratio_log_e(x: ArrayLike, m: ArrayLike, share: ArrayLike, *, theta0: float, thetas: ArrayLike) -> float:
    """ln of the e-process against "the canary's rate is ``theta0`` times the champion's", or farther from ``thetas``.

    ``x`` canary events among ``m`` events of both arms, and the canary's planned share of units, per stratum (numbers
    or arrays of shape (strata,)). Given m, x is binomial with ``q(theta) = share theta / (share theta + 1 - share)``,
    whatever the base rate does, so strata multiply; the alternatives ``thetas`` share one mixture. Reject when
    E >= 1 / alpha, at any look. A grid above theta0 shows harm, one below it shows its absence. Events must be
    independent: count the first event of each unit. A stratum with share 0 or 1 says nothing and is skipped.

    Raises ValueError for x outside [0, m], shares outside [0, 1] or ratios that are not positive.
    Source: Lindon & Malek (2022, sec. 4), one-sided mixture over the conditional binomial.

    >>> e = rate_ratio_log_e([3, 12, 40], [98, 152, 100], [0.01, 0.05, 0.25], theta0=1.0, thetas=[1.5, 2, 3, 5, 10, 20])
    >>> round(math.exp(e), 4)
    371.7095
    >>> rate_ratio_log_e(0, 0, 0.1, theta0=1.0, thetas=harm_grid())
    0.0
    """
    canary, both, part = np.broadcast_arrays(*(np.atleast_1d(np.asarray(a, dtype=np.float64)) for a in (x, m, share)))
    grid = np.atleast_1d(np.asarray(thetas, dtype=np.float64))
    if not (np.all((canary >= 0) & (canary <= both)) and np.all(np.isfinite(both))):
        raise ValueError("canary events must be between 0 and the events of both arms in every stratum")
    if not np.all((part >= 0) & (part <= 1)):
        raise ValueError("the canary's share must be between 0 and 1 in every stratum")
    if not (0 < theta0 < math.inf and grid.size and np.all((grid > 0) & np.isfinite(grid))):
        raise ValueError("rate ratios must be positive and finite")
    used = (part > 0) & (part < 1)
    # ln q/q0 = ln(theta/theta0) - d and ln (1-q)/(1-q0) = -d, with d as below: no 0 * ln 0 anywhere.
    d = np.log1p(np.outer(grid - 1, part[used])) - np.log1p(part[used] * (theta0 - 1))
    log_ratios = canary[used].sum() * np.log(grid / theta0) - d @ both[used]
    top = float(log_ratios.max())
    return top + math.log(float(np.exp(log_ratios - top).mean()))


def conditional_binomial_p(x: int, m: int, share: float, alternative: Alternative = "two-sided") -> float:
    """Exact p-value of x canary events among m of both arms, at one look, if the canary's part is ``share``.

    The fixed-sample companion of `rate_ratio_log_e`, for one split of traffic: no base rate is needed. Two-sided: all
    counts that are no more likely than x. 1 without events. Raises ValueError for x outside [0, m] or a share outside
    (0, 1). Source: Przyborowski & Wilenski (1940).

    >>> round(conditional_binomial_p(9, 40, 0.1, "greater"), 6), round(conditional_binomial_p(37, 1000, 0.05), 6)
    (0.015495, 0.059093)
    """
    check_counts(x, m)
    if not 0 < share < 1:
        raise ValueError(f"the canary's share must be between 0 and 1, not {share}")
    if alternative == "greater":
        return float(bdtrc(x - 1, m, share)) if x > 0 else 1.0
    if alternative == "less":
        return float(bdtr(x, m, share))
    return min(1.0, _no_more_likely(x, m, share))


def harm_grid(theta0: float = 1.0) -> NDArray[np.float64]:
    """24 log-spaced rate ratios from 1.1 to 20 times theta0: what "worse" may look like. ValueError unless positive.

    >>> [round(float(theta), 3) for theta in harm_grid()[[0, 1, -1]]]
    [1.1, 1.248, 20.0]
    """
    return _grid(theta0, 1.1, 20.0)


def relief_grid(theta0: float = 1.5) -> NDArray[np.float64]:
    """24 log-spaced rate ratios from .2 to .95 times theta0: what "surely below theta0" may look like.

    >>> [round(float(theta), 3) for theta in relief_grid()[[0, -1]]]
    [0.3, 1.425]
    """
    return _grid(theta0, 0.2, 0.95)


def bernoulli_bounds(x: float, n: float, *, alpha: float, planned_n: float) -> tuple[float, float]:
    """Two-sided confidence sequence for a probability after ``x`` successes in ``n`` trials; exact, at every n.

    All p whose beta-binomial mixture ``B(k(1-p) + n-x, kp + x) / B(k(1-p), kp) / (p^x (1-p)^(n-x))`` stays below
    1/alpha, where k makes the sequence tightest near ``planned_n`` trials. No data gives (0, 1). Raises ValueError for
    x outside [0, n], alpha outside (0, 1) or planned_n not positive.
    Source: Howard, Ramdas, McAuliffe & Sekhon (2021, prop. 7).

    >>> [round(p, 6) for p in bernoulli_bounds(3, 200, alpha=0.05, planned_n=200)]
    [0.000491, 0.055217]
    >>> bernoulli_bounds(0, 0, alpha=0.05, planned_n=200)
    (0.0, 1.0)
    """
    check_counts(x, n)
    if not (0 < alpha < 1 and 0 < planned_n < math.inf):
        raise ValueError(f"alpha must be in (0, 1) and the planned number positive, not {alpha} and {planned_n}")
    weight = max(planned_n / _tuning(alpha) - 1, 1e-3)
    upper = _edge(x, n, weight, alpha)
    return (1 - _edge(n - x, n, weight, alpha), upper)


def event_bounds(events: float, *, alpha: float, planned_events: float) -> tuple[float, float]:
    """Two-sided confidence sequence for the number of events that was to be expected, after so many; at every look.

    What is bounded is the sum of the chances that every trial had, given all before it. Nothing is assumed about these
    chances: not that they are equal, nor that trials are independent. So it holds while units keep coming and those
    that are here go on meeting events for the first time. All A whose mixture ``E[g^x exp(-(g - 1) A)]`` over ratios g
    with the gamma law of mean 1 and shape k stays below 1/alpha; k makes the sequence tightest near ``planned_events``.
    (Each trial with chance p multiplies the mean of g^x by 1 + (g - 1) p, which is at most exp((g - 1) p), above and
    below g = 1.) Compared with `bernoulli_bounds` it is wider by the factor 1 / sqrt(1 - p), which is none for rare
    events. Raises ValueError for a negative number, alpha outside (0, 1) or planned_events not positive.
    Source: Robbins (1970) for mixtures; Howard, Ramdas, McAuliffe & Sekhon (2021, sec. 3) for sub-Poisson processes.

    >>> [round(a, 3) for a in event_bounds(3, alpha=0.05, planned_events=4)]
    [0.0, 11.37]
    >>> [round(a, 3) for a in event_bounds(0, alpha=0.05, planned_events=4)]
    [0.0, 4.112]
    """
    check_alpha(alpha)
    if not (0 <= events < math.inf and 0 < planned_events < math.inf):
        raise ValueError(f"events must not be negative and the planned number positive: {events} and {planned_events}")
    shape = planned_events / _tuning(alpha)
    prior = float(gammaln(shape + events) - gammaln(shape)) + shape * math.log(shape)

    def excluded(expected: float) -> bool:
        return expected + prior - (shape + events) * math.log(shape + expected) >= -math.log(alpha)

    top = 2 * events + 1
    while not excluded(top):
        top *= 2
    low = _turn(excluded, float(events), 0.0) if events and excluded(0.0) else 0.0
    return low, _turn(excluded, float(events), top)


def _grid(theta0: float, low: float, high: float) -> NDArray[np.float64]:
    if not 0 < theta0 < math.inf:
        raise ValueError(f"a rate ratio must be positive and finite, not {theta0}")
    return theta0 * np.geomspace(low, high, GRID_POINTS)


def _no_more_likely(x: int, m: int, share: float) -> float:
    """Probability of the counts that are no more likely than x: its own tail, and the other one from the count as rare.

    The probabilities fall on both sides of the most likely count, so halving finds where the other tail begins.
    """
    mode = math.floor((m + 1) * share)
    if x == mode:
        return 1.0

    def rarer(k: int) -> bool:
        return _log_binomial(k, m, share) <= _log_binomial(x, m, share) + 1e-7

    low, high = (mode, m + 1) if x < mode else (-1, mode)
    while high - low > 1:
        middle = (low + high) // 2
        if rarer(middle) == (x < mode):
            high = middle
        else:
            low = middle
    if x < mode:
        return float(bdtr(x, m, share)) + (float(bdtrc(high - 1, m, share)) if high <= m else 0.0)
    return float(bdtrc(x - 1, m, share)) + (float(bdtr(low, m, share)) if low >= 0 else 0.0)


def _log_binomial(k: int, m: int, share: float) -> float:
    choices = gammaln(m + 1) - gammaln(k + 1) - gammaln(m - k + 1)
    return float(choices + xlogy(k, share) + xlog1py(m - k, -share))


def _tuning(alpha: float) -> float:
    log_term = -2 * math.log(alpha)
    return log_term + math.log1p(log_term)


def _turn(excluded: Callable[[float], bool], inside: float, outside: float) -> float:
    """The first excluded number on the way from inside to outside: bisection, rounded outward."""
    while (middle := (inside + outside) / 2) not in (inside, outside):
        inside, outside = (inside, middle) if excluded(middle) else (middle, outside)
    return outside


def _edge(x: float, n: float, weight: float, alpha: float) -> float:
    """The smallest excluded p above x / n (which never is), or 1: bisection, rounded outward."""
    low, high = (x / n, 1.0) if n else (1.0, 1.0)
    while low < (middle := (low + high) / 2) < high:
        low, high = (low, middle) if _log_mixture(middle, x, n, weight) >= -math.log(alpha) else (middle, high)
    return high


def _log_mixture(p: float, x: float, n: float, weight: float) -> float:
    yes, no = weight * p, weight * (1 - p)
    prior_to_posterior = betaln(no + n - x, yes + x) - betaln(no, yes)
    return float(prior_to_posterior - xlogy(x, p) - xlog1py(n - x, -p))
