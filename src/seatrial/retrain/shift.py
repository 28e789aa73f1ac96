"""Features that have moved by Kolmogorov and Smirnov's test: surely, over all of them together, and far enough."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from seatrial.stats.multiplicity import benjamini_hochberg


@dataclass(frozen=True, slots=True, kw_only=True)
class Distance:
    """Of one feature: the largest difference of the distribution functions (0 to 1), its two-sided p-value for this
    feature alone, and on how many values of the reference and of the window."""

    value: float
    p_value: float
    n_ref: int
    n_cur: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A feature that did. ``adjusted``: its p-value among all features that were tested with it.

    ``start``, ``end``: the window that was held against the reference; ``start`` None: nobody said.
    """

    feature: str
    distance: Distance
    adjusted: float
    start: datetime | None
    end: datetime

    @property
    def text(self) -> str:
        """
        >>> one = Distance(value=0.19741, p_value=0.0, n_ref=200_000, n_cur=50_000)
        >>> Moved(feature="fare", distance=one, adjusted=0.0, start=None, end=datetime(2026, 3, 2)).text
        'KS of fare is 0.197, p < 1e-15, 50,000 values against 200,000'
        """
        p, one = "< 1e-15" if self.adjusted < 1e-15 else f"{self.adjusted:.2g}", self.distance
        return f"KS of {self.feature} is {one.value:.3g}, p {p}, {one.n_cur:,} values against {one.n_ref:,}"

    def document(self) -> dict[str, Any]:
        """As JSON."""
        one = self.distance
        return {
            "feature": self.feature, "measure": "ks", "distance": one.value, "pValue": one.p_value,
            "pAdjusted": self.adjusted, "nRef": one.n_ref, "nCur": one.n_cur,
            "window": {"start": None if self.start is None else self.start.isoformat(), "end": self.end.isoformat()},
        }  # fmt: skip


def moved(
    distances: Mapping[str, Distance], least: float, alpha: float, *, start: datetime | None, end: datetime
) -> tuple[Moved, ...]:
    """The features that moved surely *and* far, the furthest first; equal ones by name.

    Surely: a p-value below ``alpha``, adjusted over all of ``distances`` (Benjamini-Hochberg), so that ``alpha`` is the
    chance of any finding where nothing has moved. Far: a distance of at least ``least``. In 200,000 values a fiftieth
    of a standard deviation is certain, and in twenty half of one is chance.

    >>> fare = Distance(value=0.2, p_value=1e-9, n_ref=900, n_cur=900)
    >>> age = Distance(value=0.00798, p_value=5.9e-6, n_ref=200_000, n_cur=200_000)
    >>> [one.feature for one in moved({"age": age, "fare": fare}, 0.1, 0.01, start=None, end=datetime(2026, 3, 2))]
    ['fare']
    """
    if not distances:
        return ()
    tested = benjamini_hochberg([one.p_value for one in distances.values()]).tolist()
    found = [
        Moved(feature=name, distance=one, adjusted=p, start=start, end=end)
        for (name, one), p in zip(distances.items(), tested, strict=True)
        if p < alpha and one.value >= least
    ]
    return tuple(sorted(found, key=lambda m: (-m.distance.value, m.feature)))


def further(one: Distance | None, other: Distance | None) -> Distance:
    """Of two of one feature, whatever their order. Raises ValueError for none at all."""
    known = [distance for distance in (one, other) if distance is not None]
    return max(known, key=lambda d: (d.value, -d.p_value, d.n_ref, d.n_cur))
