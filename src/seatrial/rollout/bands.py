"""Numbers cut into named bands: an account's age in days becomes ``new``, ``medium`` or ``power``."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bands:
    """``labels``, one more than ``bounds``, which rise.

    Below the first bound is the first label. Every further label reaches up to its bound, and the bound belongs to it;
    beyond the last bound is the last label. A bound and a value are the same number when their decimals are: ``0.1`` as
    text, as JSON and in a plan meet exactly.

    >>> age = Bands((7, 90), ("new", "medium", "power"))
    >>> [age.label_of(days) for days in (6.99, 7.0, "90.0", 90.01)]
    ['new', 'medium', 'medium', 'power']
    """

    bounds: tuple[float, ...]
    labels: tuple[str, ...]

    def label_of(self, value: object) -> str | None:
        """The label of a number, or of a text that is one; None for what is missing, not a number or not finite."""
        number = _number(value)
        if number is None:
            return None
        if number < self.bounds[0]:
            return self.labels[0]
        return self.labels[bisect_left(self.bounds, number, lo=1)]


def _number(value: object) -> float | None:
    """As nearest double; true and false are no numbers, and neither is what Python alone would read (``1_000``)."""
    if isinstance(value, bool) or not isinstance(value, int | float | str) or "_" in str(value):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
