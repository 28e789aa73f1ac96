"""Power of the boundary that gates use, and its two inverses: the smallest effect found, and the sample for one."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import ndtr, ndtri

from seatrial.stats.sequential import joined_width

POWER = 0.8
_CLOSE = 1e-9


@dataclass(frozen=True, slots=True)
class Clock:
    """One test on one information clock: ``planned`` information (1 / variance) and one-sided ``alpha``.

    An effect counts as found at a look when it beats the width of the joined boundary there. Up to the planned
    information that is the latest look; beyond it, the final planned look or the confidence sequence, whichever sees
    more. Earlier looks add a little, which is not counted: the answers err on the side of too much data.

    >>> from seatrial.stats.sequential import planned_information
    >>> clock = Clock(planned_information(math.log(0.97)), 0.05)
    >>> round(clock.power(math.log(0.97), 9380), 3), round(-math.expm1(-clock.detectable(9380)), 4)
    (0.8, 0.03)
    >>> round(clock.needed(math.log(0.97)))
    9380
    """

    planned: float
    alpha: float

    def power(self, effect: float, information: float) -> float:
        """Probability that an effect of this size (sign ignored) is found by the look with this information."""
        return max((float(ndtr(abs(effect) * math.sqrt(i) - w)) for i, w in self._looks(information)), default=0.0)

    def detectable(self, information: float, power: float = POWER) -> float:
        """The size of effect that is found with ``power`` by then, on the scale of the estimate; infinite at zero."""
        z = float(ndtri(power))
        return min(((w + z) / math.sqrt(i) for i, w in self._looks(information)), default=math.inf)

    def needed(self, effect: float, power: float = POWER) -> float:
        """Information at which ``effect`` is found with ``power``; infinite for an effect of zero.

        The inverse of `power` where that is at least .05: below, the confidence sequence first has to warm up.
        """
        if effect == 0:
            return math.inf
        z = float(ndtri(power))
        over = abs(effect) * math.sqrt(self.planned) - self._width(self.planned, over=False) < z - _CLOSE
        low, high = (1.0, 1e12) if over else (1e-9, 1.0)
        for _ in range(200):
            middle = math.sqrt(low * high)
            i = middle * self.planned
            found = abs(effect) * math.sqrt(i) - self._width(i, over=over) >= z - _CLOSE
            low, high = (low, middle) if found else (middle, high)
        return high * self.planned

    def _looks(self, information: float) -> list[tuple[float, float]]:
        """Information and width of the looks that can find something."""
        if not information > 0:
            return []
        latest = min(information, self.planned)
        looks = [(latest, self._width(latest, over=False))]
        if information > self.planned:
            looks.append((information, self._width(information, over=True)))
        return looks

    def _width(self, information: float, *, over: bool) -> float:
        return joined_width(information, self.planned, alpha=self.alpha, planned_looks_over=over)
