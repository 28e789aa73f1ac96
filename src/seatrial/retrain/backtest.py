"""Two intervals compared on what models of every age really lost, period by period."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from scipy.special import stdtrit

LEAST_PERIODS = 3


@dataclass(frozen=True, slots=True)
class Paired:
    """Mean losses at both intervals, and the longer's minus the shorter's with its interval (95%)."""

    periods: int
    losses: tuple[float, float]
    difference: float
    interval: tuple[float, float]

    def document(self) -> dict[str, Any]:
        return {"periods": self.periods, "losses": list(self.losses), "difference": self.difference,
                "interval": list(self.interval)}  # fmt: skip


def paired(rows: Iterable[tuple[str, float, float]], hours: tuple[float, float]) -> Paired:
    """Rows of (period, age of the model in hours, loss). Trained every T hours, a model is between 0 and T old.

    What a period was like for everybody cancels in its own difference; Student's interval over the periods. Raises
    ValueError for values that are not finite, a period without models of both, or fewer than three periods.

    >>> rows = [(p, age, base + 0.1 * age) for p, base in (("mon", 1), ("tue", 5), ("wed", 3)) for age in (0, 1, 2, 3)]
    >>> found = paired(rows, (1, 3))
    >>> round(found.difference, 3), [round(end, 3) for end in found.interval]
    (0.1, [0.1, 0.1])
    """
    ages: dict[str, list[tuple[float, float]]] = {}
    for period, age, loss in rows:
        if not (math.isfinite(age) and age >= 0 and math.isfinite(loss)):
            raise ValueError(f"period {period}: ages and losses are finite, and ages not negative")
        ages.setdefault(period, []).append((age, loss))
    if len(ages) < LEAST_PERIODS:
        raise ValueError(f"{len(ages)} periods are too few to tell how much they differ")
    short, long = ([_mean(period, found, limit) for period, found in ages.items()] for limit in hours)
    differences = [b - a for a, b in zip(short, long, strict=True)]
    n, mean = len(differences), math.fsum(differences) / len(differences)
    error = math.sqrt(math.fsum((d - mean) ** 2 for d in differences) / (n - 1) / n)
    reach = float(stdtrit(n - 1, 0.975)) * error
    return Paired(n, (math.fsum(short) / n, math.fsum(long) / n), mean, (mean - reach, mean + reach))


def _mean(period: str, found: list[tuple[float, float]], limit: float) -> float:
    losses = [loss for age, loss in found if age <= limit]
    if not losses or all(age < limit / 2 for age, _ in found):
        raise ValueError(f"period {period} has no models as old as {limit:g} hours let them become")
    return math.fsum(losses) / len(losses)
