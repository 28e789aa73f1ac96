"""Agreement of rankings from histograms."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from seatrial.stats.ranking import agreement_from_grid, fisher_interval, spearman_from_grid, top_share_overlap


def grid_of(a: np.ndarray, b: np.ndarray, bins: int) -> np.ndarray:
    grid = np.zeros((bins, bins), dtype=np.int64)
    np.add.at(grid, (a, b), 1)
    return grid


def test_ties_are_ranked_in_the_middle(oracle: Any) -> None:
    truth = oracle("spearman_ties")
    rho = spearman_from_grid(grid_of(np.array(truth.inputs["a"]), np.array(truth.inputs["b"]), 10))
    assert rho is not None
    assert truth.matches(rho=rho)


def test_quantile_bins_of_scores_give_the_correlation_of_the_scores() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=50_000)
    y = 0.8 * x + 0.6 * rng.normal(size=x.size)
    ranks = [np.argsort(np.argsort(v)) for v in (x, y)]
    edges = np.quantile(x, np.arange(1, 128) / 128)
    binned = spearman_from_grid(grid_of(np.searchsorted(edges, x), np.searchsorted(edges, y), 128))
    assert binned == pytest.approx(np.corrcoef(*ranks)[0, 1], abs=0.001)


def test_a_reversed_ranking_is_minus_one_and_merging_grids_is_adding_them() -> None:
    assert spearman_from_grid(np.eye(6)[::-1]) == -1
    a, b = np.eye(6), np.eye(6)[::-1]
    assert spearman_from_grid(a + b) == pytest.approx(0)


@pytest.mark.parametrize(
    "grid", [np.zeros((4, 4)), [[1, 0], [0, 0]], [[3, 4], [0, 0]], [[3, 0], [4, 0]], np.zeros((0, 0))]
)
def test_constant_scores_have_no_correlation(grid: Any) -> None:
    assert spearman_from_grid(grid) is None


@given(arrays(np.int64, (4, 4), elements=st.integers(0, 10**12)))
def test_any_grid_of_counts_gives_a_correlation_or_none(grid: np.ndarray) -> None:
    rho, overlap = spearman_from_grid(grid), top_share_overlap(grid, 0.1)
    assert rho is None or -1 <= rho <= 1
    assert rho == pytest.approx(spearman_from_grid(grid.T)) or rho is None
    assert overlap is None or -1e-9 <= overlap <= 1 + 1e-9


def test_a_grid_of_decisions_tells_the_flips() -> None:
    assert agreement_from_grid([[900, 30], [50, 20]]) == pytest.approx(0.92)
    assert agreement_from_grid(np.zeros((2, 2))) is None


def test_the_overlap_of_the_top_is_one_for_equal_and_the_share_for_independent_rankings() -> None:
    assert top_share_overlap(np.eye(128), 0.1) == pytest.approx(1, abs=0.03)  # the cut falls into a bin
    assert top_share_overlap(np.ones((128, 128)), 0.1) == pytest.approx(0.1)
    assert top_share_overlap(np.eye(128)[::-1], 0.1) == 0
    assert top_share_overlap(np.zeros((2, 2)), 0.1) is None


def test_the_interval_of_a_correlation() -> None:
    low, high = fisher_interval(0.9, 30)
    assert low < 0.9 < high
    assert fisher_interval(-0.9, 30) == pytest.approx((-high, -low))
    assert fisher_interval(0.9, 3) == (-1, 1)
    few, many = fisher_interval(1.0, 5), fisher_interval(1.0, 500)
    assert few[0] < 0.6  # five pairs in the same order prove little
    assert many[0] > 0.99
    assert fisher_interval(1.0, 1e9) == (1.0, 1.0)
    wider = fisher_interval(0.9, 30, alpha=0.001)
    assert wider[0] < low < high < wider[1]


def test_the_interval_covers_the_truth() -> None:
    rng = np.random.default_rng(9)
    truth = 6 / math.pi * math.asin(0.8 / 2)  # Spearman's rho of a normal pair with correlation .8
    hits = 0
    for _ in range(500):
        x = rng.normal(size=60)
        y = 0.8 * x + 0.6 * rng.normal(size=60)
        rho = spearman_from_grid(grid_of(np.argsort(np.argsort(x)), np.argsort(np.argsort(y)), 60))
        assert rho is not None
        low, high = fisher_interval(rho, 60)
        hits += low <= truth <= high
    assert 0.92 <= hits / 500 <= 0.98


def test_what_is_no_grid_is_refused() -> None:
    for grid in ([1, 2], [[-1, 2], [3, 4]], [[math.nan, 2], [3, 4]]):
        with pytest.raises(ValueError, match="grid"):
            spearman_from_grid(grid)
    for rho, alpha in [(1.1, 0.05), (math.nan, 0.05), (0.5, 0.0)]:
        with pytest.raises(ValueError, match="between"):
            fisher_interval(rho, 10, alpha)
    with pytest.raises(ValueError, match="top share"):
        top_share_overlap([[1]], 1.0)
