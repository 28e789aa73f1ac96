"""All looks of a release at once: the estimates of canary against champion as they stood at every look.

The same formulas as `seatrial.stats.clustered.stratified_effect`, with the looks as one more axis; the tests hold the
two to each other. Rivals are judged on these; seatrial's own verdicts come from its gates (`gate`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Strata = Sequence[tuple[int, int]]
Four = tuple[Floats, Floats, Floats, Floats]


@dataclass(frozen=True, eq=False)
class Sums:
    """Increments per time slice and unit bucket, shape (looks, buckets), and what they have come to by each look."""

    slices: NDArray[np.int64] | Floats
    strata: Strata

    @cached_property
    def within(self) -> Floats:
        """Running sums that begin anew with each stratum."""
        return np.concatenate([np.cumsum(self.slices[a:b], axis=0, dtype=float) for a, b in self.strata])

    @cached_property
    def upto(self) -> Floats:
        """Running sums since the start."""
        return _across(self.within, self.strata)

    @cached_property
    def by_slice(self) -> Floats:
        totals: Floats = self.slices.sum(axis=1, dtype=float)
        return totals


@dataclass(frozen=True, eq=False)
class Estimates:
    """ln(rate_t / rate_c) and its clustered variance at every look; the others as in `Effect`."""

    log_ratio: Floats
    variance: Floats
    rate_c: Floats
    count_t: Floats
    skewness: Floats


@dataclass(frozen=True, eq=False)
class Series:
    """One metric of one release: numerator and exposures of canary (t) and champion (c).

    ``units``: seen so far in both arms; ``yes_no``: numerators count exposures.
    """

    num_t: Sums
    den_t: Sums
    num_c: Sums
    den_c: Sums
    units: Floats
    yes_no: bool = True

    @property
    def looks(self) -> int:
        return len(self.num_t.slices)

    @property
    def strata(self) -> Strata:
        return self.num_t.strata

    @cached_property
    def stratified(self) -> Estimates:
        """Mantel-Haenszel over the strata, jackknife over the buckets."""
        with np.errstate(all="ignore"):
            total_t, total_c = self.den_t.within.sum(axis=1), self.den_c.within.sum(axis=1)
            weight = np.nan_to_num(total_t * total_c / (total_t + total_c))
            t = _side(self.num_t.within, self.den_t.within, weight)
            c = _side(self.num_c.within, self.den_c.within, weight)
            infl_t, sum_t, infl_c, sum_c = (_across(part, self.strata) for part in (*t, *c))
            sizes = (total_t, sum_t), (total_c, sum_c)
            squares, cubes = (
                [_across(np.nan_to_num(weight**k / size ** (k - 1)), self.strata) / by**k for size, by in sizes]
                for k in (2, 3)
            )
            skewness = _skewness(infl_c, squares, cubes)
            return self._estimates(infl_t, sum_t, infl_c, sum_c, _across(weight, self.strata), skewness)

    @cached_property
    def pooled(self) -> Estimates:
        """Everything in one stratum, as if the ramp and the calendar did not exist."""
        one = np.ones(self.looks)
        with np.errstate(all="ignore"):
            t, c = _side(self.num_t.upto, self.den_t.upto, one), _side(self.num_c.upto, self.den_c.upto, one)
            return self._estimates(*t, *c, one, 0 * one)

    @cached_property
    def by_slice(self) -> Four:
        """Sums of each slice: num_t, den_t, num_c, den_c."""
        return self.num_t.by_slice, self.den_t.by_slice, self.num_c.by_slice, self.den_c.by_slice

    @cached_property
    def totals(self) -> Four:
        """Sums up to each look."""
        num_t, den_t, num_c, den_c = (np.cumsum(part) for part in self.by_slice)
        return num_t, den_t, num_c, den_c

    def _estimates(
        self, infl_t: Floats, sum_t: Floats, infl_c: Floats, sum_c: Floats, weight: Floats, skewness: Floats
    ) -> Estimates:
        psi = infl_t / sum_t[:, None]
        psi -= infl_c / sum_c[:, None]
        buckets = psi.shape[1]
        variance = buckets / (buckets - 1) * np.einsum("lb,lb->l", psi, psi)
        usable = (sum_t > 0) & (sum_c > 0) & (variance > 0)
        log_ratio = np.where(usable, np.log(sum_t) - np.log(sum_c), np.nan)
        return Estimates(log_ratio, np.where(usable, variance, np.nan), sum_c / weight, self.totals[1], skewness)


def _side(num: Floats, den: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Of one arm: W (num - R den) / D per look and bucket, and W R per look; zero while the arm is empty."""
    size = den.sum(axis=1)
    share = np.divide(weight, size, out=np.zeros(len(size)), where=size > 0)
    rate = np.divide(num.sum(axis=1), size, out=np.zeros(len(size)), where=size > 0)
    influence = den * -rate[:, None]
    influence += num
    influence *= share[:, None]
    return influence, weight * rate


def _skewness(psi: Floats, squares: list[Floats], cubes: list[Floats]) -> Floats:
    """As `seatrial.stats.clustered`: of the champion's buckets, beyond chance, scaled to both arms."""
    psi = psi / np.sqrt(np.einsum("lb,lb->l", psi, psi))[:, None]
    seen = np.einsum("lb,lb,lb->l", psi, psi, psi)
    certain = np.copysign(np.maximum(np.abs(seen) - 2 * np.sqrt(6) / psi.shape[1], 0), seen)
    (two_t, two_c), (three_t, three_c) = squares, cubes
    skewness: Floats = certain * two_c**1.5 / three_c * (three_t - three_c) / (two_t + two_c) ** 1.5
    return np.nan_to_num(skewness, posinf=0, neginf=0)


def _across(within: Floats, strata: Strata) -> Floats:
    """The sum over strata of what each has come to by every look: earlier strata are complete."""
    out = np.empty(within.shape)
    done = np.zeros(within.shape[1:])
    for a, b in strata:
        out[a:b] = within[a:b] + done
        done = out[b - 1]
    return out
