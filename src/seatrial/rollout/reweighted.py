"""The numbers of a segment whose pairs were copied at several shares: each pair counts by its inverse share."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seatrial.evidence.answers import Answers
from seatrial.evidence.lists import PARTS, sums_by_bucket
from seatrial.evidence.scores import SCORE_BINS, score_bins
from seatrial.evidence.snapshot import Outputs
from seatrial.evidence.tally import MICRO, UNIT_BUCKETS
from seatrial.rollout.likeness import ALPHA, TOP_SHARE, Estimate, Flips, Latency, Likeness, estimate_of, likeness, sides
from seatrial.rollout.reweighting import POINTS, Floats, Weighed, weigh_grids
from seatrial.stats.agreement import cohens_kappa, kappa_error
from seatrial.stats.distance import jensen_shannon
from seatrial.stats.intervals import wilson_interval
from seatrial.stats.ranking import agreement_from_grid, fisher_interval, kendall_interval, top_share_overlap
from seatrial.stats.ranking_mean import mean_by_units
from seatrial.stats.weighting import (
    evenness,
    weighted_distance,
    weighted_kendall,
    weighted_quantile,
    weighted_spearman,
    weighted_units,
)

MOST_FOR_KENDALL = 2_000
"""Kendall's tau of more pairs is that of so many of them, evenly spaced: its cost grows with the square."""

_LISTS = {"rbo": ("pairs", "rbo", 0.0), "top_k": ("pairs", "top_k", 0.0), "kendall": ("tau_pairs", "tau", -1.0)}


def likeness_by_share(answers: Answers, *, threshold: float | None = None, min_pairs: int = 200) -> list[Likeness]:
    """``likeness``, where segments that were copied at several shares are re-weighted."""
    found, places = likeness(answers, threshold=threshold, min_pairs=min_pairs), answers.places()
    if answers.sampled is None:
        return found
    outputs = answers.outputs()
    return [_reweighted(one, answers.take(places[one.segment]), outputs, threshold) for one in found]


def _reweighted(one: Likeness, answers: Answers, outputs: Outputs, threshold: float | None) -> Likeness:
    pairs = answers.take(answers.compared)
    if not pairs.uneven:
        return one
    told, weight = _Reweighted(pairs, outputs), weights(answers)
    return replace(
        one,
        units=round(told.units, 1),
        latency=told.latency(),
        errors={name: float(weight @ side.error / weight.sum()) for name, side in sides(answers)},
        reweighted=True,
        **told.numbers(threshold),
    )


class _Reweighted:
    """Pairs of unequal weight, and what is told of them in the words of ``likeness``."""

    def __init__(self, pairs: Answers, outputs: Outputs) -> None:
        self._pairs, self._outputs = pairs, outputs
        self._weight = weights(pairs)
        self._buckets = {
            weight: np.bincount(pairs.bucket[self._weight == weight], minlength=UNIT_BUCKETS)
            for weight in np.unique(self._weight).tolist()
        }
        self.units = weighted_units(self._buckets)

    def numbers(self, threshold: float | None) -> dict[str, Any]:
        """Estimates with the intervals of as many units as they are worth."""
        found: dict[str, Any] = {}
        scored = not np.isnan(self._pairs.champion.score).any()
        if self._outputs == "lists":
            found |= self._lists()
        elif self._outputs == "classes":
            found |= self._classes()
        elif self._outputs == "scores" and scored:
            found |= self._scores()
        if threshold is not None and scored:
            found["flips"] = self._flips(threshold)
        return found

    def latency(self) -> dict[str, Latency]:
        found = {}
        for name, side in sides(self._pairs):
            known = ~np.isnan(side.latency)
            if known.any():
                quantiles = (weighted_quantile(side.latency[known], self._weight[known], q) for q in (0.5, 0.99))
                found[name] = Latency(*quantiles)
        return found

    def _scores(self) -> dict[str, Any]:
        x, y, w = self._pairs.champion.score, self._pairs.shadow.score, self._weight
        edges = [np.quantile(side, np.arange(1, 100) / 100) for side in (x, y)]
        first, second = (np.searchsorted(e, side) for e, side in zip(edges, (x, y), strict=True))
        ranked = self._weigh(first, second, 100)
        rho = weighted_spearman(x, y, w)
        some = np.linspace(0, len(x) - 1, min(len(x), MOST_FOR_KENDALL)).astype(np.int64)
        tau, worth = weighted_kendall(x[some], y[some], w[some]), min(ranked.worth, len(some))
        return {
            "spearman": None if rho is None else Estimate(rho, *fisher_interval(rho, ranked.worth, ALPHA)),
            "kendall": None if tau is None else Estimate(tau, *kendall_interval(tau, worth, ALPHA)),
            "top_share": None if rho is None else top_share_overlap(ranked.grid, TOP_SHARE),
            "jensen_shannon": jensen_shannon(*self._histograms()),
            "kolmogorov_smirnov": weighted_distance(x, y, w),
        }

    def _histograms(self) -> list[Floats]:
        """Both sides in the bins of probabilities, or the champion's twentieths."""
        sides = self._pairs.champion.score, self._pairs.shadow.score
        if min(side.min() for side in sides) >= 0 and max(side.max() for side in sides) <= 1:
            bins, size = [score_bins(side) for side in sides], SCORE_BINS
        else:
            edges = np.unique(np.quantile(sides[0], np.arange(1, 20) / 20))
            bins, size = [np.searchsorted(edges, side) for side in sides], len(edges) + 1
        return [np.bincount(side, weights=self._weight, minlength=size).astype(np.float64) for side in bins]

    def _classes(self) -> dict[str, Any]:
        names, first, second = self._pairs.classes()
        table = self._weigh(first, second, len(names))
        share, kappa = agreement_from_grid(table.grid) or 0.0, cohens_kappa(table.grid)
        error = 0.0 if kappa is None else kappa_error(table.grid, table.worth)
        return {
            "agreement": Estimate(share, *wilson_interval(share * table.worth, table.worth, ALPHA)),
            "kappa": None if kappa is None else estimate_of(kappa, error, -1.0),
            "jensen_shannon": jensen_shannon(table.grid.sum(axis=1), table.grid.sum(axis=0)),
        }

    def _lists(self) -> dict[str, Any]:
        parts = self._pairs.agreements()
        scale = float(self._weight.sum() / (self._weight**2).sum())
        sums = np.zeros((UNIT_BUCKETS, len(PARTS)))
        for weight in self._buckets:
            where = self._weight == weight
            sums += scale * weight * sums_by_bucket(parts[where], self._pairs.bucket[where])
        found: dict[str, Any] = {}
        for name, (of, what, least) in _LISTS.items():
            count, total = sums[:, PARTS.index(of)], sums[:, PARTS.index(what)] / MICRO
            mean = mean_by_units(count, total, self.units, least=least)
            found[name] = None if mean is None else estimate_of(*mean, least)
        return found

    def _flips(self, threshold: float) -> Flips:
        above, shadow_above = (side.score >= threshold for side in (self._pairs.champion, self._pairs.shadow))
        raised, lowered = ~above & shadow_above, above & ~shadow_above
        rates = [float(self._weight[flipped].sum() / self._weight.sum()) for flipped in (raised, lowered)]
        apart = (raised | lowered) - sum(rates)
        squares = {w: float((apart[self._weight == w] ** 2).sum()) for w in self._buckets}
        worth = self.units * evenness({w: (float(self._buckets[w].sum()), squares[w]) for w in self._buckets})
        rate = Estimate(sum(rates), *wilson_interval(sum(rates) * worth, worth, ALPHA))
        return Flips(int(raised.sum()), int(lowered.sum()), rate, *rates)

    def _weigh(self, first: NDArray[np.int64], second: NDArray[np.int64], size: int) -> Weighed:
        grids = {}
        for weight in self._buckets:
            where = self._weight == weight
            grids[weight] = np.zeros((size, size), dtype=np.int64)
            np.add.at(grids[weight], (first[where], second[where]), 1)
        return weigh_grids(grids, self._buckets, self._outputs)


def weights(answers: Answers) -> Floats:
    """How many requests each stands for."""
    assert answers.sampled is not None
    return np.asarray(POINTS / answers.sampled, dtype=np.float64)
