"""How often something happens: a count over a span of time against what was expected, exactly."""

from __future__ import annotations

import math

from scipy.special import gammaincinv, pdtrc

from seatrial.stats.checks import check_alpha


def poisson_tail(count: int, expected: float) -> float:
    """The chance of ``count`` events or more where ``expected`` (a mean, in events) are expected.

    Exact for events that come independently at a constant rate. One-sided: fewer than expected is no alarm. Raises
    ValueError for a negative count or an expectation that is not a finite number >= 0. Source: Poisson (1837).

    >>> round(poisson_tail(3, 0.5), 4)
    0.0144
    >>> poisson_tail(0, 0.5), poisson_tail(1, 0.0)
    (1.0, 0.0)
    """
    if count < 0 or not 0 <= expected < math.inf:
        raise ValueError("counts and expectations are finite numbers that are not negative")
    return 1.0 if count == 0 else float(pdtrc(count - 1, expected))


def poisson_interval(count: int, alpha: float = 0.05) -> tuple[float, float]:
    """Exact two-sided interval, in events, of the mean behind one count. Raises ValueError.

    Divided by the span of time it is the interval of the rate; the span divided by it, of the mean time between events.
    Source: Garwood (1936).

    >>> [round(bound, 3) for bound in poisson_interval(3)]
    [0.619, 8.767]
    >>> [round(bound, 3) for bound in poisson_interval(0)]
    [0.0, 3.689]
    """
    check_alpha(alpha)
    if count < 0:
        raise ValueError("counts are not negative")
    lower = float(gammaincinv(count, alpha / 2)) if count else 0.0
    return lower, float(gammaincinv(count + 1, 1 - alpha / 2))
