"""What one method says of one simulated release, and what thousands of them add up to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

NEVER = math.inf


class Verdict(NamedTuple):
    """When a method would have rolled back, and when promoted: fractions of the run, ``NEVER``, or NaN: not asked."""

    failed: float
    passed: float


class Calls(NamedTuple):
    """Look by look: does the method call the canary worse; does it call it good enough?"""

    worse: NDArray[np.bool_]
    good: NDArray[np.bool_]

    def verdict(self) -> Verdict:
        return Verdict(first(self.worse), first(self.good))


Played = Mapping[tuple[str, str], Verdict]
"""Verdicts of one release by (effect, method)."""


class Cell(Protocol):
    """One kind of release. ``alpha``: what a false rollback may cost; ``null`` and ``margin`` name effects."""

    @property
    def name(self) -> str: ...
    @property
    def what(self) -> str: ...
    @property
    def alpha(self) -> float: ...
    @property
    def nulls(self) -> tuple[str, ...]: ...
    @property
    def margins(self) -> tuple[str, ...]: ...

    def play(self, rng: np.random.Generator, *, audit: bool = False) -> Played:
        """Simulate one release and judge it by every method. ``audit``: without shortcuts, and compare."""
        ...


def first(hits: NDArray[np.bool_]) -> float:
    """Where in the run the first hit is, as a fraction of its looks; ``NEVER`` without one.

    >>> first(np.array([False, True, False, True]))
    0.5
    """
    return (int(hits.argmax()) + 1) / len(hits) if hits.any() else NEVER


def summarise(cell: Cell, played: Sequence[Played]) -> list[dict[str, Any]]:
    """One row for each effect and method: shares of the releases, and the median delay if half were rolled back."""
    rows = []
    for effect, method in played[0]:
        verdicts = np.array([release[effect, method] for release in played])
        failed, passed = verdicts.T
        delay = float(np.median(failed))
        rows.append(
            {
                "cell": cell.name,
                "effect": effect,
                "method": method,
                "releases": len(played),
                "rolled_back": _share(failed),
                "promoted": _share(passed),
                "delay": delay if math.isfinite(delay) else None,
                "rollback_is": "false" if effect in cell.nulls else "right",
                "promotion_is": "false" if effect in cell.margins else "right" if effect in cell.nulls else "wrong",
                "alpha": cell.alpha,
            }
        )
    return rows


def monte_carlo(share: float, releases: int) -> float:
    """Standard error of a share of simulated releases.

    >>> round(monte_carlo(0.05, 2000), 4)
    0.0049
    """
    return math.sqrt(share * (1 - share) / releases)


def _share(when: NDArray[np.float64]) -> float | None:
    return None if np.isnan(when).any() else float(np.isfinite(when).mean())
