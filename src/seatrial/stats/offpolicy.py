"""What another policy would have earned, from the log of one that left its choices partly to chance.

A decision's weight is the candidate's probability of the logged action over the logged probability of it. Without
logged probabilities there is nothing to estimate from; where the two policies differ too much, hardly more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from seatrial.stats.checks import check_alpha
from seatrial.stats.ratios import delta_ratio

MIN_EFFECTIVE = 100.0
"""Effective units below which no estimate is given. So none has more than a tenth of all weight."""

BALANCE = 4.0
"""Standard errors that the mean weight may be from 1."""

Status = Literal["ok", "not_enough", "invalid", "no_data"]


class Value(NamedTuple):
    """An estimate of reward a decision, its standard error by unit, and its interval for one look."""

    value: float
    error: float
    interval: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Counterfactual:
    """The estimates, and what they rest on.

    ``logged``: mean reward of the policy that was in force. ``ips`` and ``snips``: of the candidate; ``difference``:
    snips minus logged, on the same decisions. ``effective``: effective number of units. ``mean_weight`` is 1 but for
    noise where probabilities are right and the candidate does nothing that was never tried. ``largest``: the share of
    all weight that one unit has. Estimates of the candidate are None unless the status is ``ok``.
    """

    status: Status
    reason: str
    decisions: int
    units: int
    effective: float
    largest: float
    mean_weight: Value | None
    logged: Value | None
    ips: Value | None = None
    snips: Value | None = None
    difference: Value | None = None


def effective_size(weights: ArrayLike) -> float:
    """Kish's effective number of equally weighted rows, ``(sum w)^2 / sum w^2``; 0 without weight.

    >>> effective_size([1, 1, 1, 1]), effective_size([4, 0, 0, 0]), effective_size([])
    (4.0, 1.0, 0.0)
    """
    w = _weights(weights)
    squares = float(w @ w)
    return float(w.sum()) ** 2 / squares if squares > 0 else 0.0


def ips(weights: ArrayLike, rewards: ArrayLike, units: ArrayLike | None = None, *, alpha: float = 0.05) -> Value:
    """Inverse propensity scoring: the mean of weight times reward. Unbiased, and noisy where weights vary.

    ``units``: whole numbers that say whose decision it was, each decision its own unit unless given. The error is by
    unit. Arrays have shape (decisions,). NaN without decisions. Raises ValueError for weights that are negative or not
    finite, different shapes, or alpha outside (0, 1). Source: Horvitz & Thompson (1952); Dudík, Langford & Li (2011).

    >>> estimate = ips([0.5, 2, 0.5, 2], [1, 0, 0, 1])
    >>> estimate.value, round(estimate.error, 4)
    (0.625, 0.4732)
    """
    w, r = _pair(weights, rewards)
    return _ratio(w * r, np.ones_like(w), units, alpha)


def snips(weights: ArrayLike, rewards: ArrayLike, units: ArrayLike | None = None, *, alpha: float = 0.05) -> Value:
    """Self-normalised: weighted rewards over the sum of weights. Never outside the rewards, and far less noisy.

    The error is the delta method's, by unit, with the weights' sum as random as it is. Arguments and errors as in
    :func:`ips`. Source: Swaminathan & Joachims (2015); Owen (2013, eq. 9.9).

    >>> estimate = snips([0.5, 2, 0.5, 2], [1, 0, 0, 1])
    >>> estimate.value, round(estimate.error, 4)
    (0.5, 0.3367)
    """
    w, r = _pair(weights, rewards)
    return _ratio(w * r, w, units, alpha)


def counterfactual(
    weights: ArrayLike, rewards: ArrayLike, units: ArrayLike | None = None, *, alpha: float = 0.05
) -> Counterfactual:
    """What the candidate would have earned, or why that cannot be said. Arguments and errors as in :func:`ips`.

    Refused (``not_enough``) below 100 effective units; ``invalid`` where the mean weight is more than 4 standard errors
    from 1: probabilities that were not those of the log, or a candidate that does what was never tried.

    >>> counterfactual([3.0, 0.0] * 20, [1.0, 0.0] * 20).status
    'not_enough'
    >>> found = counterfactual([0.5, 1.5] * 100, [0, 0, 0, 1] * 50)
    >>> found.status, found.effective, found.logged.value, found.snips.value, found.difference.value
    ('ok', 160.0, 0.25, 0.375, 0.125)
    """
    w, r = _pair(weights, rewards)
    whose = _whose(units, w.size)
    if not w.size:
        return Counterfactual("no_data", "there are no decisions", 0, 0, 0.0, 0.0, None, None)
    sums = np.bincount(whose, weights=w)
    largest = float(sums.max() / sums.sum()) if sums.sum() > 0 else 0.0
    effective = effective_size(sums)
    balance = _ratio(w, np.ones_like(w), whose, alpha)
    logged = _ratio(r, np.ones_like(w), whose, alpha)
    status, reason = _support(effective, balance)
    if status != "ok":
        return Counterfactual(status, reason, w.size, sums.size, effective, largest, balance, logged)
    candidate = snips(w, r, whose, alpha=alpha)
    # What a unit adds to the difference: to the candidate's estimate less to the logged policy's, on the same rewards.
    influence = w * (r - candidate.value) / balance.value - (r - logged.value)
    error = _ratio(influence, np.ones_like(w), whose, alpha).error
    return Counterfactual(
        status, reason, w.size, sums.size, effective, largest, balance, logged,
        ips=ips(w, r, whose, alpha=alpha),
        snips=candidate,
        difference=_valued(candidate.value - logged.value, error, alpha),
    )  # fmt: skip


def _support(effective: float, balance: Value) -> tuple[Status, str]:
    if abs(balance.value - 1) > BALANCE * balance.error:
        return "invalid", f"the weights' mean is {balance.value:.3g}, and would be 1"
    if effective < MIN_EFFECTIVE:
        return "not_enough", f"the log is worth {effective:.3g} units of the candidate's own, below {MIN_EFFECTIVE:g}"
    return "ok", ""


def _ratio(num: NDArray[np.float64], den: NDArray[np.float64], units: ArrayLike | None, alpha: float) -> Value:
    whose = _whose(units, num.size)
    ratio = delta_ratio(np.bincount(whose, weights=num), np.bincount(whose, weights=den))
    return _valued(ratio.value, math.sqrt(ratio.variance), alpha)


def _valued(value: float, error: float, alpha: float) -> Value:
    check_alpha(alpha)
    reach = -float(ndtri(alpha / 2)) * error
    return Value(value, error, (value - reach, value + reach))


def _pair(weights: ArrayLike, rewards: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    w, r = _weights(weights), np.asarray(rewards, dtype=np.float64)
    if w.shape != r.shape:
        raise ValueError("every decision has one weight and one reward")
    return w, r


def _weights(weights: ArrayLike) -> NDArray[np.float64]:
    w = np.asarray(weights, dtype=np.float64)
    if w.ndim != 1 or not np.all((w >= 0) & np.isfinite(w)):
        raise ValueError("weights are one a decision, finite and not negative")
    return w


def _whose(units: ArrayLike | None, decisions: int) -> NDArray[np.int64]:
    """A number from 0 for the unit of each decision."""
    if units is None:
        return np.arange(decisions)
    given = np.asarray(units)
    if given.shape != (decisions,):
        raise ValueError("every decision has one unit")
    return np.unique(given, return_inverse=True)[1]
