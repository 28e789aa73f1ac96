"""How far a column lies from its reference, by every measure there is, and how likely that is without any drift.

All from counts that merge: two columns of any length are compared in well under a millisecond.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, fdtrc, gammaincc, ndtri, stdtr

from seatrial.stats.distance import jensen_shannon
from seatrial.stats.drift.categories import Categories, binned, named
from seatrial.stats.drift.cells import Cells
from seatrial.stats.drift.psi import SMOOTHING, merged, psi, quantile_bins
from seatrial.stats.drift.samples import chi_square, gaussian, ks_p

Floats = NDArray[np.float64]
Column: TypeAlias = Cells | Categories
MeasureName = Literal["psi", "ks", "wasserstein", "tail", "mmd", "js", "chi2", "missing"]

BINS = 10
"""Bins of the reference's quantiles, for PSI and Jensen-Shannon."""

_FINE = 64
LEAST = 20
"""Values a side below which a column is not compared."""

TAIL = 0.01
"""The part of the values on either side that is its tail."""

_UNLIKE = "numbers are compared with numbers, and categories with categories"
_LEAST_TAIL = 50
"""Values in the tail of the smaller side below which nothing is said of it: a mean of few large values."""


@dataclass(frozen=True, slots=True)
class Dependence:
    """How much less values of one window say than independent ones would.

    Without drift a window's chi-square of f degrees of freedom is about ``floor`` f plus ``scale`` times a chi-square
    of ``share`` f, for what moves moves together. ``scale`` divides numbers of values in all other tests.
    ``known``: the degrees of freedom that the scale was estimated with; None: it is given. No value is surer than if
    it were independent. Source: Rao & Scott (1981), corrected in three moments instead of two.
    """

    scale: float = 1.0
    share: float = 1.0
    floor: float = 0.0
    known: float | None = None

    def chi_square_p(self, statistic: float, freedom: int) -> float:
        """Of a chi-square of independent values; over a scale that is estimated it is an F ratio.

        >>> round(Dependence().chi_square_p(9.49, 4), 3), round(Dependence(2, 0.5, known=20).chi_square_p(9.49, 4), 3)
        (0.05, 0.119)
        """
        independent = float(chdtrc(freedom, statistic))
        if self == INDEPENDENT:
            return independent
        left = max(1.0, freedom * self.share)
        rest = max(0.0, statistic - self.floor * freedom) / self.scale
        found = chdtrc(left, rest) if self.known is None else fdtrc(left, self.known, rest / left)
        return max(independent, float(found))

    def unsure(self, p: float) -> float:
        """A p-value of which the error was estimated: its normal quantile in Student's distribution.

        >>> round(Dependence().unsure(0.01), 3), round(Dependence(known=20).unsure(0.01), 3)
        (0.01, 0.018)
        """
        return p if self.known is None else min(1.0, 2 * float(stdtr(self.known, ndtri(p / 2))))


INDEPENDENT = Dependence()


@dataclass(frozen=True, slots=True)
class Measure:
    """``value`` in the measure's own unit; ``p_value``: of a value this large without drift. None: nothing to say."""

    name: MeasureName
    value: float | None
    p_value: float | None


def numeric(
    reference: Cells, current: Cells, dependence: Dependence = INDEPENDENT, bins: int = BINS
) -> tuple[Measure, ...]:
    """Every measure of two columns of numbers.

    - ``psi`` and ``js`` (base 2) over quantile bins of the reference, open at both ends, and one of missing values.
    - ``ks`` and ``wasserstein`` (in standard deviations of the reference) within the width of a cell.
    - ``tail``: how far the outermost hundredth on either side moved on average, in the same unit.
    - ``mmd``: the unbiased discrepancy's root under a Gaussian kernel of one standard deviation.

    Raises ValueError for columns of different frames. Sources: at each part.

    >>> from seatrial.stats.drift.cells import Frame
    >>> ref, cur = (Cells.of(Frame(0, 1), np.linspace(a, a + 1, 1000)) for a in (0, 0.25))
    >>> [(m.name, round(m.value, 3)) for m in numeric(ref, cur) if m.name in ("ks", "wasserstein")]
    [('ks', 0.25), ('wasserstein', 0.865)]
    """
    lost = missing(reference, current, dependence)
    if min(reference.n, current.n) < LEAST:
        return (*(Measure(name, None, None) for name in ("psi", "js", "ks", "wasserstein", "tail", "mmd")), lost)
    n, m = reference.n / dependence.scale, current.n / dependence.scale
    pair = _Pair(reference, current)
    distance = float(np.abs(pair.below[0] - pair.below[1]).max())
    others = (Measure("ks", distance, ks_p(distance, n, m)), _wasserstein(pair, n, m), _tail(pair, n, m),
              _mmd(pair, n, m))  # fmt: skip
    return (
        *_over_bins(*common_bins(reference, current, bins), dependence),
        *(replace(one, p_value=None if one.p_value is None else dependence.unsure(one.p_value)) for one in others),
        lost,
    )


def categorical(
    reference: Categories, current: Categories, dependence: Dependence = INDEPENDENT
) -> tuple[Measure, ...]:
    """Every measure of two columns of categories: those that the reference names, all others, and missing ones.

    ``chi2`` has Cramer's V as its value.

    >>> found = categorical(Categories({"a": 60, "b": 40}), Categories({"a": 30, "b": 30, "new": 40}))
    >>> [(m.name, round(m.value, 2)) for m in found]
    [('psi', 1.96), ('js', 0.49), ('chi2', 0.51), ('missing', 0.0)]
    """
    lost = missing(reference, current, dependence)
    if min(reference.n, current.n) < LEAST:
        return (*(Measure(name, None, None) for name in ("psi", "js", "chi2")), lost)
    sides = common_bins(reference, current)
    test = chi_square(*sides)
    found = Measure("chi2", 0.0, 1.0)
    if test is not None:
        found = Measure("chi2", test.cramers_v, dependence.chi_square_p(test.statistic, test.freedom))
    return (*_over_bins(*sides, dependence), found, lost)


def compared(
    reference: Column, current: Column, dependence: Dependence = INDEPENDENT, bins: int = BINS
) -> tuple[Measure, ...]:
    """`numeric` or `categorical`, whichever the columns are. Raises ValueError for one of each.

    >>> compared(Categories({"a": 60}), Categories({"a": 30}))[0]
    Measure(name='psi', value=0.0, p_value=1.0)
    """
    if isinstance(reference, Cells) and isinstance(current, Cells):
        return numeric(reference, current, dependence, bins)
    if isinstance(reference, Categories) and isinstance(current, Categories):
        return categorical(reference, current, dependence)
    raise ValueError(_UNLIKE)


def common_bins(reference: Column, current: Column, bins: int = BINS) -> tuple[Floats, Floats]:
    """Counts of both columns in the bins of the reference: its quantiles, or the categories that it names and a bin of
    all others; where values are missing on either side, a bin of these. Bins that both leave empty are left out.

    Raises ValueError for numbers on one side and categories on the other, or for different frames.

    >>> first, second = common_bins(Categories({"a": 60}, missing=1), Categories({"a": 30, "new": 2}))
    >>> first.tolist(), second.tolist()
    ([60.0, 0.0, 1.0], [30.0, 2.0, 0.0])
    """
    if isinstance(reference, Cells) != isinstance(current, Cells):
        raise ValueError(_UNLIKE)
    counted = binner(reference, bins)
    table = np.array([counted(reference), counted(current)])
    first, second = table[:, table.any(axis=0)]
    return first, second


def binner(reference: Column, bins: int = BINS) -> Callable[[Column], Floats]:
    """The bins of a reference, as a function that counts a column of the same kind in them; missing values come last.

    >>> binner(Categories({"a": 5}))(Categories({"a": 2, "b": 1}, missing=3)).tolist()
    [2.0, 1.0, 3.0]
    """
    if isinstance(reference, Categories):
        names = named(reference)
        return lambda column: np.append(binned(cast(Categories, column), names), column.missing)
    cuts = quantile_bins(reference.counts, bins)

    def counted(column: Column) -> Floats:
        reference.check_frame(cast(Cells, column))
        return np.append(merged(cast(Cells, column).counts, cuts), column.missing)

    return counted


def missing(reference: Column, current: Column, dependence: Dependence = INDEPENDENT) -> Measure:
    """The difference of the shares of missing values, as a part of 1, and Pearson's test of it.

    >>> missing(Categories({"a": 100}), Categories({"a": 75}, missing=25)).value
    0.25
    """
    table = np.array([[side.n, side.missing] for side in (reference, current)], dtype=np.float64)
    if not table.sum(axis=1).all():
        return Measure("missing", None, None)
    parts = table[:, 1] / table.sum(axis=1)
    test = chi_square(table[0] / dependence.scale, table[1] / dependence.scale)
    p = 1.0 if test is None else dependence.unsure(test.p_value)
    return Measure("missing", float(abs(parts[0] - parts[1])), p)


def _over_bins(reference: Floats, current: Floats, dependence: Dependence) -> tuple[Measure, Measure]:
    """PSI and Jensen-Shannon; to second order both are a chi-square of the same degrees of freedom."""
    bins, noise = len(reference), 1 / reference.sum() + 1 / current.sum()
    if bins < 2:
        return Measure("psi", 0.0, 1.0), Measure("js", 0.0, 1.0)
    index = psi(reference, current, SMOOTHING)
    distance = jensen_shannon(reference, current) or 0.0
    return (
        Measure("psi", index, dependence.chi_square_p(index / noise, bins - 1)),
        Measure("js", distance, dependence.chi_square_p(8 * math.log(2) * distance**2 / noise, bins - 1)),
    )


class _Pair:
    """Two columns with distribution functions on the cells that either of them has values in."""

    def __init__(self, reference: Cells, current: Cells) -> None:
        together = reference + current
        there = np.flatnonzero(together.counts)
        self.points = together.points()[there]
        self.curved = np.arcsinh((self.points - reference.frame.center) / reference.frame.scale)
        self.counts = [side.counts[there].astype(np.float64) for side in (reference, current)]
        self.shares = [counts / counts.sum() for counts in self.counts]
        self.below = [np.cumsum(share) for share in self.shares]
        middle = float(self.points @ self.shares[0])
        self.sd = math.sqrt(float((self.points - middle) ** 2 @ self.shares[0])) or reference.frame.scale


def _wasserstein(pair: _Pair, n: float, m: float) -> Measure:
    """Without drift the area is that under a Brownian bridge: a gamma distribution of its mean and its variance.

    Both moments are exact, the second one by E|XY| of correlated normals, on 64 segments. Source: del Barrio, Gine &
    Matran (1999).
    """
    steps = np.diff(pair.points) / pair.sd
    if not steps.size:
        return Measure("wasserstein", 0.0, 1.0)
    area = float(np.abs(pair.below[0] - pair.below[1])[:-1] @ steps)
    pooled = ((pair.below[0] * n + pair.below[1] * m) / (n + m))[:-1].clip(1e-15, 1 - 1e-15)
    noise = np.sqrt(pooled * (1 - pooled)) * steps
    starts = np.unique(np.searchsorted(pooled, np.linspace(0, 1, _FINE + 1)[:-1]).clip(0, pooled.size - 1))
    weight, level = np.add.reduceat(noise, starts), pooled[starts]
    low, high = np.minimum.outer(level, level), np.maximum.outer(level, level)
    rho = np.sqrt(low * (1 - high) / (high * (1 - low))).clip(0, 1)
    products = 2 / math.pi * (np.sqrt(1 - rho**2) + rho * np.arcsin(rho))
    scale = 1 / n + 1 / m
    mean = math.sqrt(2 / math.pi * scale) * float(weight.sum())
    variance = max(scale * float(weight @ products @ weight) - mean**2, 1e-300)
    return Measure("wasserstein", area, _gamma_p(area, mean, variance))


def _tail(pair: _Pair, n: float, m: float) -> Measure:
    """The larger move of the two ends' means; its error is that of expected shortfall. Twice, for the two ends.

    Tested on the scale asinh(x / spread), where means of a hundredth of heavy-tailed values are normal long before they
    are on their own, by Student's distribution for the few there are. Source: Manistre & Hancock (2005).
    """
    if min(n, m) * TAIL < _LEAST_TAIL:
        return Measure("tail", None, None)
    moves, tests = [], []
    for low in (True, False):
        ends = [_end(pair, side, low=low) for side in (0, 1)]
        raw = [float(pair.points[end] @ weight) for end, weight in ends]
        moves.append(abs(raw[0] - raw[1]) / pair.sd)
        curved = [_shortfall(pair.curved[end], weight, low=low) for end, weight in ends]
        move, error = abs(curved[0][0] - curved[1][0]), math.sqrt(curved[0][1] / n + curved[1][1] / m)
        tests.append(move / error if error else math.inf if move else 0.0)
    return Measure("tail", max(moves), min(1.0, 4 * float(stdtr(min(n, m) * TAIL - 1, -max(tests)))))


def _end(pair: _Pair, side: int, *, low: bool) -> tuple[slice, Floats]:
    """Where the outermost hundredth of a side is, and the weights of its cells, which sum to 1."""
    below, shares = pair.below[side], pair.shares[side]
    if low:
        end = slice(0, int(np.searchsorted(below, TAIL)) + 1)
        beyond = below[end] - shares[end]
    else:
        end = slice(int(np.searchsorted(below, 1 - TAIL)), None)
        beyond = 1 - below[end]
    weight = np.minimum(shares[end], np.maximum(TAIL - beyond, 0))
    return end, weight / weight.sum()


def _shortfall(points: Floats, weight: Floats, *, low: bool) -> tuple[float, float]:
    """The mean of an end, and the variance of that mean for one value."""
    mean = float(points @ weight)
    inside = points[weight > 0]
    edge = float(inside[-1] if low else inside[0])
    spread = float((points - mean) ** 2 @ weight)
    return mean, (spread + (1 - TAIL) * (mean - edge) ** 2) / TAIL


def _mmd(pair: _Pair, n: float, m: float) -> Measure:
    """On 64 segments; without drift a weighted sum of chi-squares: a gamma distribution of its mean and its variance.

    Source: Gretton et al. (2012), section 3.3; Gretton et al. (2009).
    """
    both = pair.counts[0] + pair.counts[1]
    starts = np.array([0, *quantile_bins(both, _FINE)])
    sums = np.add.reduceat(both, starts)
    points = np.add.reduceat(pair.points * both, starts)[sums > 0] / sums[sums > 0] / pair.sd
    p, q = (np.add.reduceat(share, starts)[sums > 0] for share in pair.shares)
    kernel = gaussian(points[:, None], points[:, None], 1.0)
    pooled = (p * n + q * m) / (n + m)
    centred = kernel * pooled - (kernel @ pooled)[:, None] * pooled
    scale = 1 / n + 1 / m
    found, mean = float((p - q) @ kernel @ (p - q)), scale * float(np.trace(centred))
    variance = max(2 * scale**2 * float(np.sum(centred * centred.T)), 1e-300)
    return Measure("mmd", math.sqrt(max(found - mean, 0.0)), _gamma_p(found, mean, variance))


def _gamma_p(value: float, mean: float, variance: float) -> float:
    return float(gammaincc(mean**2 / variance, value * mean / variance)) if mean > 0 else float(value <= 0)
