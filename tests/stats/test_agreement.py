"""Kappa, effective units, and intervals of correlations: against definitions and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from seatrial.stats.agreement import cohens_kappa, effective_units, kappa_error
from seatrial.stats.ranking import fisher_interval, kendall_interval, spearman, spearman_from_grid
from seatrial.stats.sequential import confidence_sequence_width


@given(arrays(np.int64, (3, 3), elements=st.integers(0, 10**9)))
def test_kappa_is_symmetric_and_between_minus_one_and_one_or_nothing(table: np.ndarray) -> None:
    kappa = cohens_kappa(table)
    assert kappa is None or -1 <= kappa <= 1
    assert kappa == pytest.approx(cohens_kappa(table.T)) or kappa is None


def test_the_error_of_kappa_is_that_of_repeated_samples() -> None:
    rng = np.random.default_rng(1)
    shares = np.array([0.5, 0.1, 0.05, 0.35])
    found = [cohens_kappa(rng.multinomial(400, shares).reshape(2, 2)) for _ in range(2_000)]
    assert kappa_error(shares.reshape(2, 2) * 400, 400) == pytest.approx(np.std(np.array(found, float)), rel=0.1)


def test_pairs_of_a_unit_count_once() -> None:
    rng = np.random.default_rng(2)
    buckets = rng.integers(0, 256, 3_000)
    once = np.bincount(buckets, minlength=256)
    assert effective_units(once) == pytest.approx(3_000, rel=0.15)
    assert effective_units(20 * once) == pytest.approx(3_000, rel=0.15)
    heavy = once.copy()
    heavy[7] += 30_000
    assert effective_units(heavy) < 5, "one unit that asks more than all others is nearly all there is"


@given(st.lists(st.integers(0, 4), min_size=2, max_size=60), st.randoms(use_true_random=False))
def test_scores_and_their_grid_have_one_correlation(first: list[int], rng: object) -> None:
    second = [rng.choice(first) for _ in first]  # type: ignore[attr-defined]
    grid = np.zeros((5, 5), dtype=np.int64)
    np.add.at(grid, (np.array(first), np.array(second)), 1)
    assert spearman(first, second) == pytest.approx(spearman_from_grid(grid)) or spearman(first, second) is None


def _draw(rng: np.random.Generator, rho: float, n: int) -> tuple[np.ndarray, np.ndarray]:
    x = rng.normal(size=n)
    return x, rho * x + np.sqrt(1 - rho * rho) * rng.normal(size=n)


def test_the_intervals_cover_the_truth() -> None:
    rng = np.random.default_rng(4)
    truth = 6 / np.pi * np.arcsin(0.8 / 2)
    tau = 2 / np.pi * np.arcsin(0.8)
    inside = [0, 0]
    for _ in range(400):
        x, y = _draw(rng, 0.8, 120)
        low, high = fisher_interval(spearman(x, y) or 0, 120)
        inside[0] += low <= truth <= high
        order = np.sign(np.subtract.outer(x, x)) * np.sign(np.subtract.outer(y, y))
        low, high = kendall_interval(float(order.sum() / (120 * 119)), 120)
        inside[1] += low <= tau <= high
    assert min(inside) >= 366, "a lower 0.1% bound of Binomial(400, 95%)"


@pytest.mark.slow
def test_a_bound_that_holds_at_every_look_is_crossed_less_often_than_one_for_a_single_look() -> None:
    """19 looks at a growing sample: how often is the truth ever below the lower bound of 5%?"""
    rng = np.random.default_rng(5)
    truth = 6 / np.pi * np.arcsin(0.8 / 2)
    ever = {"sequence": 0, "single": 0}
    for _ in range(200):
        x, y = _draw(rng, 0.8, 2_000)
        crossed = {"sequence": False, "single": False}
        for n in range(200, 2_001, 100):
            rho = spearman(x[:n], y[:n]) or 0.0
            error = np.sqrt((1 + rho * rho / 2) / (n - 3))
            width = confidence_sequence_width(n, 800, 0.05)
            crossed["sequence"] |= np.arctanh(rho) - width * error > np.arctanh(truth)
            crossed["single"] |= np.arctanh(rho) - 1.645 * error > np.arctanh(truth)
        for name, hit in crossed.items():
            ever[name] += hit
    assert ever["sequence"] <= 20, "99.9% bound of Binomial(200, 5%)"
    assert ever["single"] > 20, "the planted mistake: looking often with bounds for one look"
