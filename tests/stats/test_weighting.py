"""Weighted samples against the sample they stand for."""

from __future__ import annotations

import numpy as np
import pytest

from seatrial.stats.agreement import effective_units
from seatrial.stats.lists import kendall
from seatrial.stats.ranking import fisher_interval, spearman, spearman_from_grid
from seatrial.stats.weighting import (
    evenness,
    rank_influence,
    weighted_distance,
    weighted_kendall,
    weighted_quantile,
    weighted_spearman,
    weighted_units,
)


@pytest.fixture
def sample():
    rng = np.random.default_rng(5)
    x = rng.integers(0, 12, 60) / 10
    return x, np.round(x + rng.normal(0, 0.4, 60), 1), rng.integers(1, 9, 60)


def test_a_weight_is_so_many_copies_of_the_pair(sample):
    x, y, w = sample
    many = np.repeat(x, w), np.repeat(y, w)
    assert weighted_spearman(x, y, w) == pytest.approx(spearman(*many))
    assert weighted_kendall(x, y, w) == pytest.approx(kendall(*many))
    assert weighted_quantile(x, w, 0.5) == np.quantile(many[0], 0.5, method="inverted_cdf")
    ours, theirs = (np.sort(side) for side in many)
    values = np.concatenate(many)
    apart = np.searchsorted(ours, values, "right") - np.searchsorted(theirs, values, "right")
    assert weighted_distance(x, y, w) == pytest.approx(np.abs(apart).max() / len(ours))


def test_only_the_ratio_of_weights_matters(sample):
    x, y, w = sample
    assert weighted_spearman(x, y, 7.3 * w) == pytest.approx(weighted_spearman(x, y, w))
    buckets = np.bincount(np.arange(60), minlength=256)
    assert weighted_units({1.0: buckets, 5.0: buckets}) == pytest.approx(weighted_units({2.0: buckets, 10.0: buckets}))


def test_with_one_weight_units_are_those_without():
    buckets = np.random.default_rng(2).integers(0, 9, 256)
    assert weighted_units({3.0: buckets}) == pytest.approx(effective_units(buckets))


def test_units_who_come_back_and_unequal_weights_both_cost():
    once = np.random.default_rng(3).multinomial(2_000, [1 / 256] * 256)
    assert weighted_units({1.0: once}) == pytest.approx(2_000, rel=0.15)
    assert weighted_units({1.0: once, 10.0: once}) == pytest.approx(4_000 * 121 / 202, rel=0.15)
    assert weighted_units({1.0: once, 10.0: 4 * once}) < 2_600  # 8,000 of them, worth one voice in four


def test_what_cannot_be_weighed_is_refused():
    with pytest.raises(ValueError, match="positive"):
        weighted_units({0.0: np.ones(256)})
    with pytest.raises(ValueError, match="quantile"):
        weighted_quantile([], [], 0.5)
    with pytest.raises(ValueError, match="grid"):
        rank_influence(np.zeros((3, 3)))
    assert weighted_units({1.0: np.zeros(256)}) == 0
    assert weighted_spearman([1, 1], [1, 2], [1, 1]) is None


def test_the_interval_holds_the_truth_where_kish_alone_does_not():
    """Half of the requests are alike and copied at 90%; the other half vary and are copied at 5%."""
    rng = np.random.default_rng(1)
    truth = spearman(*_population(rng, 400_000)[:2])
    assert truth is not None
    held = {"kish": 0, "even": 0}
    for _ in range(300):
        x, y, alike = _population(rng, 4_000)
        weight = np.where(alike, 1 / 0.9, 20.0)
        kept = rng.random(len(x)) < 1 / weight
        grids = _grids(x[kept], y[kept], weight[kept])
        whole = sum(w * grid for w, grid in grids.items())
        influence = rank_influence(whole)
        parts = {w: (grid.sum(), (grid * influence**2).sum()) for w, grid in grids.items()}
        kish = weight[kept].sum() ** 2 / (weight[kept] ** 2).sum()
        rho = spearman_from_grid(whole)
        assert rho is not None
        for name, units in (("kish", kish), ("even", kish * evenness(parts))):
            lower, upper = fisher_interval(rho, units)
            held[name] += lower <= truth <= upper
    assert held["kish"] < 0.88 * 300
    assert held["even"] > 0.89 * 300


def _population(rng, n):
    alike, x = rng.random(n) < 0.5, rng.random(n)
    return x, x + np.where(alike, 0.02, 0.6) * rng.normal(size=n), alike


def _grids(x, y, weight):
    places = np.clip((x * 100).astype(int), 0, 99), np.clip(((y + 2) * 25).astype(int), 0, 99)
    grids = {}
    for w in np.unique(weight):
        grids[w] = np.zeros((100, 100))
        np.add.at(grids[w], tuple(place[weight == w] for place in places), 1)
    return grids
