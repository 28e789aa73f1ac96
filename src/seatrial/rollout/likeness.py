"""How alike champion and shadow answer, over all and by segment: numbers to look at. Agreement is not quality."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seatrial.evidence.answers import Answers, Floats, Side
from seatrial.evidence.lists import TOP_K, list_mean, sums_by_bucket
from seatrial.evidence.scores import SCORE_BINS, score_bins
from seatrial.evidence.snapshot import Outputs
from seatrial.evidence.tally import UNIT_BUCKETS
from seatrial.rollout.verdicts import Status
from seatrial.stats.agreement import cohens_kappa, effective_units, kappa_error
from seatrial.stats.distance import jensen_shannon, kolmogorov_smirnov
from seatrial.stats.intervals import wilson_interval
from seatrial.stats.lists import kendall, ndcg_of_clicks
from seatrial.stats.ranking import (
    agreement_from_grid,
    fisher_interval,
    kendall_interval,
    spearman,
    top_share_overlap,
)
from seatrial.stats.ranking_mean import mean_by_units

ALPHA = 0.05
_Z = 1.96
TOP_SHARE = 0.1
MOST_FOR_KENDALL = 20_000
"""Kendall's tau of more pairs is that of so many of them, evenly spaced."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its two-sided 95% interval, at one look and for itself alone."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Flips:
    """Decisions at a serving threshold that the shadow takes otherwise. ``rate``: their share of the pairs.

    ``raised``: the champion is below the threshold, the shadow at or above it; ``lowered``: the other way
    round; each with its share.
    """

    raised: int
    lowered: int
    rate: Estimate
    raised_rate: float = 0.0
    lowered_rate: float = 0.0


@dataclass(frozen=True, slots=True)
class Clicked:
    """NDCG of both lists by the same clicks. ``pairs``: with a click; ``difference``: shadow minus champion.

    Users clicked on what one of them showed. Where that was the champion, the comparison favours it.
    """

    pairs: int
    champion: float
    shadow: float
    difference: Estimate


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds that half, and 99 of 100, of the answers took at most."""

    p50: float
    p99: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """What is known of one segment; None where a number does not apply or does not exist.

    ``requests``: copied requests; ``unmatched``: those without a primary answer on both sides; ``units``: what the
    pairs are worth if all pairs of a unit say the same; ``errors``: share of requests that each side is to blame for;
    ``reweighted``: its pairs were copied at several shares, and each counts for the requests that it stands for.
    """

    segment: str
    status: Status
    requests: int
    pairs: int
    unmatched: int
    units: float
    spearman: Estimate | None = None
    kendall: Estimate | None = None
    top_share: float | None = None
    rbo: Estimate | None = None
    top_k: Estimate | None = None
    agreement: Estimate | None = None
    kappa: Estimate | None = None
    flips: Flips | None = None
    ndcg: Clicked | None = None
    jensen_shannon: float | None = None
    kolmogorov_smirnov: float | None = None
    latency: Mapping[str, Latency] = field(default_factory=dict)
    errors: Mapping[str, float] = field(default_factory=dict)
    reweighted: bool = False


def likeness(answers: Answers, *, threshold: float | None = None, min_pairs: int = 200) -> list[Likeness]:
    """Every segment, ``total`` first. ``threshold``: at or above it a score means the other decision."""
    outputs = answers.outputs()
    found = [_of(name, answers.take(where), outputs, threshold, min_pairs) for name, where in answers.places().items()]
    return sorted(found, key=lambda one: one.segment != "total")


def _of(name: str, answers: Answers, outputs: Outputs, threshold: float | None, min_pairs: int) -> Likeness:
    pairs = answers.take(answers.compared)
    units = effective_units(np.bincount(pairs.bucket, minlength=UNIT_BUCKETS))
    numbers: dict[str, Any] = {}
    if len(pairs.time):
        if pairs.champion.ranked is not None:
            numbers |= _lists(pairs)
            numbers |= {"ndcg": _clicked(pairs)} if pairs.clicks is not None else {}
        elif outputs == "classes":
            numbers |= _classes(pairs, units)
        elif outputs == "scores" and not np.isnan(pairs.champion.score).any():
            numbers |= _scores(pairs.champion.score, pairs.shadow.score, units)
        if threshold is not None and not np.isnan(pairs.champion.score).any():
            numbers["flips"] = _flips(pairs.champion.score, pairs.shadow.score, threshold, units)
    headline = numbers.get("spearman") or numbers.get("kappa") or numbers.get("rbo")
    return Likeness(
        segment=name,
        status=_status(len(pairs.time), min_pairs, headline),
        requests=len(answers.time),
        pairs=len(pairs.time),
        unmatched=len(answers.time) - len(pairs.time),
        units=round(units, 1),
        latency={name: found for name, side in sides(pairs) if (found := _latency(side)) is not None},
        errors={name: float(side.error.mean()) for name, side in sides(answers) if len(side.error)},
        **numbers,
    )


def sides(answers: Answers) -> tuple[tuple[str, Side], tuple[str, Side]]:
    """Both, by name."""
    return ("champion", answers.champion), ("shadow", answers.shadow)


def _status(pairs: int, min_pairs: int, headline: Estimate | None) -> Status:
    if not pairs:
        return "no_data"
    if pairs < min_pairs:
        return "not_enough"
    return "ok" if headline is not None else "degenerate"


def _scores(x: Floats, y: Floats, units: float) -> dict[str, Any]:
    rho = spearman(x, y)
    some = np.linspace(0, len(x) - 1, min(len(x), MOST_FOR_KENDALL)).astype(np.int64)
    tau = kendall(x[some], y[some])
    return {
        "spearman": None if rho is None else Estimate(rho, *fisher_interval(rho, units, ALPHA)),
        "kendall": None if tau is None else Estimate(tau, *kendall_interval(tau, min(units, len(some)), ALPHA)),
        "top_share": None if rho is None else top_share_overlap(_by_rank(x, y), TOP_SHARE),
        "jensen_shannon": jensen_shannon(*_histograms(x, y)),
        "kolmogorov_smirnov": kolmogorov_smirnov(x, y),
    }


def _by_rank(x: Floats, y: Floats) -> NDArray[np.int64]:
    """Pairs on a grid of each side's own quantiles, fine enough for shares of a hundredth."""
    grid = np.zeros((100, 100), dtype=np.int64)
    edges = (np.quantile(side, np.arange(1, 100) / 100) for side in (x, y))
    np.add.at(grid, tuple(np.searchsorted(e, side, side="left") for e, side in zip(edges, (x, y), strict=True)), 1)
    return grid


def _histograms(x: Floats, y: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Both sides in the same bins: those of probabilities, or the champion's twentieths."""
    if min(x.min(), y.min()) >= 0 and max(x.max(), y.max()) <= 1:
        first, second = score_bins(x), score_bins(y)
        return np.bincount(first, minlength=SCORE_BINS), np.bincount(second, minlength=SCORE_BINS)
    edges = np.unique(np.quantile(x, np.arange(1, 20) / 20))
    first, second = np.searchsorted(edges, x), np.searchsorted(edges, y)
    return np.bincount(first, minlength=len(edges) + 1), np.bincount(second, minlength=len(edges) + 1)


def _classes(pairs: Answers, units: float) -> dict[str, Any]:
    names, first, second = pairs.classes()
    table = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(table, (first, second), 1)
    share = agreement_from_grid(table) or 0.0
    kappa = cohens_kappa(table)
    spread = 1.96 * kappa_error(table, units) if kappa is not None else math.inf
    return {
        "agreement": Estimate(share, *wilson_interval(share * units, units, ALPHA)),
        "kappa": None if kappa is None else Estimate(kappa, max(-1.0, kappa - spread), min(1.0, kappa + spread)),
        "jensen_shannon": jensen_shannon(table.sum(axis=1), table.sum(axis=0)),
    }


def _lists(pairs: Answers) -> dict[str, Any]:
    sums = sums_by_bucket(pairs.agreements(), pairs.bucket)
    means = {"rbo": list_mean(sums, "rbo"), "top_k": list_mean(sums, "topK"), "kendall": list_mean(sums, "kendall")}
    return {
        name: None if mean is None else estimate_of(mean.value, mean.error, mean.least) for name, mean in means.items()
    }


def estimate_of(mean: float, error: float, least: float) -> Estimate:
    return Estimate(mean, max(least, mean - _Z * error), min(1.0, mean + _Z * error))


def _clicked(pairs: Answers) -> Clicked | None:
    """NDCG of both lists by the same clicks, of the pairs with any; the difference by units."""
    found, bucket = [], []
    for ours, theirs, clicks, place in zip(
        pairs.champion.ranked or (), pairs.shadow.ranked or (), pairs.clicks or (), pairs.bucket, strict=True
    ):
        if clicks and ours is not None and theirs is not None:
            found.append([ndcg_of_clicks(side.items, clicks, TOP_K) or 0.0 for side in (ours, theirs)])
            bucket.append(place)
    if not found:
        return None
    values, places = np.array(found), np.array(bucket)
    apart = values[:, 1] - values[:, 0]
    count = np.bincount(places, minlength=UNIT_BUCKETS)
    mean = mean_by_units(count, np.bincount(places, weights=apart, minlength=UNIT_BUCKETS), effective_units(count))
    assert mean is not None
    first, second = (float(side) for side in values.mean(axis=0))
    return Clicked(len(values), first, second, estimate_of(*mean, least=-1.0))


def _flips(x: Floats, y: Floats, threshold: float, units: float) -> Flips:
    above, shadow_above = x >= threshold, y >= threshold
    raised, lowered = int((~above & shadow_above).sum()), int((above & ~shadow_above).sum())
    rate = (raised + lowered) / len(x)
    estimate = Estimate(rate, *wilson_interval(rate * units, units, ALPHA))
    return Flips(raised, lowered, estimate, raised / len(x), lowered / len(x))


def _latency(side: Side) -> Latency | None:
    known = side.latency[~np.isnan(side.latency)]
    if not len(known):
        return None
    return Latency(*(float(np.quantile(known, q)) for q in (0.5, 0.99)))
