"""Non-inferiority of two proportions at one look: is a loss as large as the margin excluded?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from scipy.special import ndtr

from seatrial.stats.checks import check_counts
from seatrial.stats.score import difference_z, ratio_z

Method = Literal["wald", "score", "mn"]
Better = Literal["increase", "decrease"]
MarginScale = Literal["absolute", "relative"]


@dataclass(frozen=True, slots=True)
class NonInferiority:
    """z and the one-sided p-value; small p: the loss is smaller than the margin. NaN when there is nothing to test."""

    z: float
    p_value: float

    def shown(self, alpha: float = 0.05) -> bool:
        """Whether non-inferiority is shown at this one-sided level; never without a p-value.

        >>> NonInferiority(1.7, 0.045).shown(), NonInferiority(math.nan, math.nan).shown()
        (True, False)
        """
        return self.p_value < alpha


def noninferiority(
    x_t: float,
    n_t: float,
    x_c: float,
    n_c: float,
    margin: float,
    *,
    scale: MarginScale,
    better: Better = "increase",
    method: Method = "wald",
) -> NonInferiority:
    """Test "the canary is worse by the margin or more" against "by less", one-sided, at one look.

    ``margin`` is the size of the tolerable loss, without a sign: shares on the absolute scale (0.001: 0.1 points), a
    part of the champion's share on the relative one (0.01: 1%). With ``better="decrease"`` a loss is a rise.

    ============ ============================================= ==================================================
    method       absolute: H0 ``p_t - p_c <= -m``              relative: H0 ``p_t <= (1-m) p_c``
    ============ ============================================= ==================================================
    ``wald``     ``(p_t - p_c + m) / sqrt(v_t + v_c)``         ``(p_t - (1-m) p_c) / sqrt(v_t + (1-m)^2 v_c)``
    ``score``    `score.difference_z` at -m                    `score.ratio_z` at 1-m
    ``mn``       the same with N / (N - 1)                     the same with N / (N - 1)
    ============ ============================================= ==================================================

    with ``v = p (1-p) / n``. The champion's share is estimated too, so its variance is scaled with the margin. Wald has
    no variance where an arm has no successes; score has. z is NaN when there is nothing to test. Raises ValueError for
    x outside [0, n], a margin that is not positive, an absolute one of 1 or more, or a relative one that tolerates
    everything (1 or more, where more is better).
    Sources: Blackwelder (1982) for Wald; Farrington & Manning (1990); Miettinen & Nurminen (1985).

    >>> round(noninferiority(37, 500, 400, 5000, 0.02, scale="absolute").z, 6)
    1.136418
    >>> round(noninferiority(37, 500, 400, 5000, 0.1, scale="relative").z, 6)
    0.163862
    >>> worse = noninferiority(463, 500, 4600, 5000, 0.02, scale="absolute", better="decrease", method="score")
    >>> round(worse.z, 6)
    1.225001
    """
    check_counts(x_t, n_t)
    check_counts(x_c, n_c)
    if not 0 < margin < math.inf or (margin >= 1 and (scale == "absolute" or better == "increase")):
        raise ValueError(f"a margin is the size of a tolerable loss, above 0 and below 1, not {margin}")
    sign = 1.0 if better == "increase" else -1.0
    if method == "wald":
        z = _wald(x_t, n_t, x_c, n_c, -sign * margin, scale)
    elif scale == "absolute":
        z = difference_z(x_t, n_t, x_c, n_c, -sign * margin, correction=method == "mn")
    else:
        z = ratio_z(x_t, n_t, x_c, n_c, 1 - sign * margin, correction=method == "mn")
    return NonInferiority(sign * z, float(ndtr(-sign * z)))


def _wald(x_t: float, n_t: float, x_c: float, n_c: float, change: float, scale: MarginScale) -> float:
    if n_t == 0 or n_c == 0:
        return math.nan
    p_t, p_c = x_t / n_t, x_c / n_c
    factor, shift = (1.0, change) if scale == "absolute" else (1 + change, 0.0)
    variance = p_t * (1 - p_t) / n_t + factor * factor * p_c * (1 - p_c) / n_c
    return (p_t - factor * p_c - shift) / math.sqrt(variance) if variance > 0 else math.nan
