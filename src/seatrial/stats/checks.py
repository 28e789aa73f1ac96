"""What every function refuses in the same words."""

from __future__ import annotations

import math


def check_counts(x: float, n: float) -> None:
    """Raises ValueError unless 0 <= x <= n, both finite: ``x`` successes of ``n`` trials.

    >>> check_counts(3, 2)
    Traceback (most recent call last):
    ValueError: 3 successes of 2 trials: successes must be between 0 and the trials
    """
    if not 0 <= x <= n < math.inf:
        raise ValueError(f"{x} successes of {n} trials: successes must be between 0 and the trials")


def check_alpha(alpha: float) -> None:
    """Raises ValueError unless 0 < alpha < 1.

    >>> check_alpha(5)
    Traceback (most recent call last):
    ValueError: alpha must be between 0 and 1, not 5
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must be between 0 and 1, not {alpha}")
