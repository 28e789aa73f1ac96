"""Confidence sequences by normal mixtures: intervals that hold at every look together, on any estimate's scale.

Widths are in standard errors: the interval is ``estimate -/+ width * standard_error``. Information is 1 / variance, or
anything proportional to it, such as the number of units; only its ratio to the point that the sequence is tuned for
counts. The boundary of a release (`sequential`) joins such a sequence with a plan.
"""

from __future__ import annotations

import math
from typing import Literal

from scipy.special import log_ndtr

from seatrial.stats.checks import check_alpha

Sides = Literal[1, 2]


def mixture_scale(tuned_at: float, alpha: float, *, sides: Sides = 2) -> float:
    """r of the mixture for which the sequence is about tightest at information ``tuned_at``.

    ``tuned_at / (2 ln(1/a) + ln(1 + 2 ln(1/a)))`` with a = alpha, or 2 alpha on one side; the prior of the effect has
    variance 1 / r. Raises ValueError for alpha outside (0, 1), or (0, 0.5) on one side, or tuned_at not positive.
    Source: Howard, Ramdas, McAuliffe & Sekhon (2021, sec. 3.5).

    >>> round(mixture_scale(5000, 0.05) ** -0.5, 6)
    0.03984
    """
    check_alpha(alpha if sides == 2 else 2 * alpha)
    if not 0 < tuned_at < math.inf:
        raise ValueError(f"the information that a sequence is tuned for must be positive, not {tuned_at}")
    log_term = -2 * math.log(alpha if sides == 2 else 2 * alpha)
    return tuned_at / (log_term + math.log1p(log_term))


def mixture_width(information: float, tuned_at: float, alpha: float, *, sides: Sides = 2) -> float:
    """Width of the sequence at this information; infinite without information.

    Two-sided: ``sqrt((1 + r/v) (ln(1 + v/r) + 2 ln(1/alpha)))`` with v the information. One-sided: the smallest width
    at which the mixture over effects of one sign reaches 1 / alpha. With an estimated variance it is asymptotic. Choose
    ``tuned_at`` before the data, and rather too small than too large: four times too large costs 7% of width, four
    times too small 3%. Errors as in `mixture_scale`.
    Sources: Howard, Ramdas, McAuliffe & Sekhon (2021, prop. 5, 6); Waudby-Smith, Arbour, Sinha, Kennedy &
    Ramdas (2024, eq. 9).

    >>> round(mixture_width(100, 100, 0.05) * 10, 4), round(mixture_width(100, 100, 0.05, sides=1) * 10, 4)
    (30.3521, 27.6607)
    """
    scale = mixture_scale(tuned_at, alpha, sides=sides)
    if not 0 < information < math.inf:
        return math.inf
    if sides == 2:
        return math.sqrt((1 + scale / information) * (math.log1p(information / scale) - 2 * math.log(alpha)))
    return _one_sided(information, scale, alpha)


def _one_sided(information: float, scale: float, alpha: float) -> float:
    """Where ``ln 2 + ln(r/(v+r)) / 2 + s^2 / (2 (v+r)) + ln Phi(s / sqrt(v+r))``, s = width sqrt(v), is ln(1/alpha)."""
    total = information + scale
    constant = math.log(2) + math.log(scale / total) / 2 + math.log(alpha)

    def excluded(width: float) -> bool:
        s = width * math.sqrt(information / total)
        return constant + s * s / 2 + float(log_ndtr(s)) >= 0

    low, high = 0.0, 1.0
    while not excluded(high):
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if excluded(middle) else (middle, high)
    return high
