"""Paired differences: what a period was like for everybody cancels in its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scipy.special import stdtrit

LEAST = 3
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Difference:
    """A mean of ``n`` paired differences, with Student's interval."""

    n: int
    mean: float
    interval: tuple[float, float]

    def document(self) -> dict[str, Any]:
        return {"n": self.n, "mean": self.mean, "interval": list(self.interval)}


def difference(values: Sequence[float], level: float = LEVEL) -> Difference:
    """Of one difference a period (or block of periods that share a model). Raises ValueError for fewer than three.

    >>> found = difference([0.1, 0.2, 0.3])
    >>> found.n, round(found.mean, 3), [round(end, 3) for end in found.interval]
    (3, 0.2, [-0.048, 0.448])
    """
    n = len(values)
    if n < LEAST:
        raise ValueError(f"{n} periods are too few to tell how much they differ")
    mean = math.fsum(values) / n
    error = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1) / n)
    reach = float(stdtrit(n - 1, (1 + level) / 2)) * error
    return Difference(n, mean, (mean - reach, mean + reach))
