"""Group-sequential bounds: a few planned looks that spend alpha by a function of the information.

For a release that is judged at a fixed number of looks. seatrial's own looks are many and their number is not fixed, so
its boundary (`sequential`) takes the limit of continuous looks and adds a sequence that outlives the plan.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from seatrial.stats.checks import check_alpha
from seatrial.stats.sequences import Sides

Floats = NDArray[np.float64]

_FAR = 9.0
"""Standard errors beyond which a path is not followed: less than 1e-18 of them get there."""

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(10)
"""Quadrature of one panel, two standard deviations of a step wide."""


def power_spending(fraction: float, alpha: float, rho: float = 2.0) -> float:
    """Alpha spent when this fraction of the planned information has come: ``alpha * min(1, t)^rho``.

    Raises ValueError unless fraction >= 0, 0 < alpha < 1, rho > 0. Source: Kim & DeMets (1987).

    >>> [power_spending(t, 0.05) for t in (0.25, 0.5, 1.0, 1.3)]
    [0.003125, 0.0125, 0.05, 0.05]
    """
    _check(fraction, alpha)
    if not rho > 0:
        raise ValueError(f"rho must be positive, not {rho}")
    return float(alpha * min(1.0, fraction) ** rho)


def obrien_fleming_spending(fraction: float, alpha: float) -> float:
    """Alpha of one side spent as by O'Brien and Fleming, most at the end: ``2 - 2 Phi(z(alpha/2) / sqrt(t))``.

    On two sides each has its half: spend ``2 * obrien_fleming_spending(t, alpha / 2)``. Errors as in `power_spending`.
    Source: Lan & DeMets (1983, eq. 4).

    >>> [round(obrien_fleming_spending(t, 0.05), 6) for t in (0.25, 0.5, 1.0)]
    [8.9e-05, 0.005575, 0.05]
    """
    _check(fraction, alpha)
    return 2 * float(ndtr(ndtri(alpha / 2) / math.sqrt(min(1.0, fraction)))) if fraction > 0 else 0.0


def spending_bounds(fractions: Sequence[float], spent: Sequence[float], *, sides: Sides = 2) -> list[float]:
    """Critical values, in standard errors, of looks at these information fractions that spend exactly this alpha.

    ``fractions`` rise; ``spent`` is the alpha spent up to each look (both tails together where ``sides`` is 2) and does
    not fall. A look that spends nothing gets an infinite bound, one that spends 1e-12 a finite one. The fraction is
    that of information (1 / variance), not of units. Recursive integration over the paths that have not crossed.
    Raises ValueError for lists of different length, fractions that do not rise from above 0, or alpha that falls or
    leaves [0, 1). Sources: Armitage, McPherson & Rowe (1969); Lan & DeMets (1983); Jennison & Turnbull (2000, ch. 19).

    >>> looks = (0.25, 0.5, 0.75, 1.0)
    >>> [round(z, 3) for z in spending_bounds(looks, [power_spending(t, 0.05) for t in looks])]
    [2.955, 2.559, 2.301, 2.092]
    """
    _check_looks(fractions, spent)
    bounds: list[float] = []
    before, used = 0.0, 0.0
    score, density = np.zeros(1), np.ones(1)  # quadrature nodes of the score, and weight times density there
    for fraction, total in zip(fractions, spent, strict=True):
        step = math.sqrt(fraction - before)
        edge = _edge(score, density, step, (total - used) / sides, _FAR * math.sqrt(fraction))
        bounds.append(edge / math.sqrt(fraction))
        reach = min(edge, _FAR * math.sqrt(fraction))
        score, density = _go_on(score, density, step, -reach if sides == 2 else -_FAR * math.sqrt(fraction), reach)
        before, used = fraction, total
    return bounds


def _edge(score: Floats, density: Floats, step: float, alpha: float, far: float) -> float:
    """The score above which a share ``alpha`` of all paths is found; infinite for none."""
    if alpha <= 0:
        return math.inf
    low, high = -far, far
    for _ in range(80):
        middle = (low + high) / 2
        above = float((density * ndtr((score - middle) / step)).sum())
        low, high = (middle, high) if above > alpha else (low, middle)
    return high


def _go_on(score: Floats, density: Floats, step: float, low: float, high: float) -> tuple[Floats, Floats]:
    """The paths that are still between the bounds after one more step."""
    panels = math.ceil((high - low) / (2 * step))
    half = (high - low) / panels / 2
    middles = low + half * (2 * np.arange(panels) + 1)
    at = (middles[:, None] + half * _NODES).ravel()
    kernel = np.exp(-(((at[:, None] - score) / step) ** 2) / 2) / (step * math.sqrt(2 * math.pi))
    return at, np.tile(half * _WEIGHTS, panels) * (kernel @ density)


def _check(fraction: float, alpha: float) -> None:
    check_alpha(alpha)
    if not fraction >= 0:
        raise ValueError(f"a fraction of the planned information must not be negative, not {fraction}")


def _check_looks(fractions: Sequence[float], spent: Sequence[float]) -> None:
    if len(fractions) != len(spent):
        raise ValueError(f"{len(fractions)} looks and {len(spent)} amounts of alpha: give one for each look")
    if not all(a < b < math.inf for a, b in pairwise((0.0, *fractions))):
        raise ValueError(f"the fractions of information must rise from above 0, not {list(fractions)}")
    if not all(a <= b < 1 for a, b in pairwise((0.0, *spent))):
        raise ValueError(f"the alpha spent must not fall and stay below 1, not {list(spent)}")
