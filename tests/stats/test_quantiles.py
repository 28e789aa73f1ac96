"""Woodruff's interval of a quantile: coverage with clustered answers, and its edges."""

import math

import numpy as np
import pytest

from seatrial.stats.quantiles import woodruff_interval

EDGES = np.geomspace(1.0, 4_096.0, 12 * 32 + 1)


def answers(rng: np.random.Generator, clustered: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Latencies of 64 buckets of units that differ in speed, and their histogram."""
    speed = rng.normal(0, 0.3, 64) if clustered else np.zeros(64)
    latency = np.exp(4 + speed[:, None] + 0.4 * rng.normal(size=(64, 200)))
    return latency, np.stack([np.histogram(row, EDGES)[0] for row in latency])


@pytest.mark.parametrize("q", [0.5, 0.95])
def test_it_covers_the_quantile_though_answers_are_clustered(q: float) -> None:
    rng = np.random.default_rng(8)
    truth = float(np.quantile(np.exp(4 + rng.normal(0, 0.5, 2_000_000)), q))
    hits = [low <= truth <= high for _ in range(300) for _, low, high in [woodruff_interval(EDGES, answers(rng)[1], q)]]
    assert 0.92 <= np.mean(hits) <= 1.0


def test_clusters_widen_it() -> None:
    spans = []
    for clustered in (False, True):
        found = [woodruff_interval(EDGES, answers(np.random.default_rng(s), clustered)[1], 0.5) for s in range(20)]
        spans.append(np.mean([high / low for _, low, high in found]))
    assert spans[1] > spans[0] + 0.05


def test_the_estimate_is_the_quantile_of_the_answers() -> None:
    latency, counts = answers(np.random.default_rng(9))
    for q in (0.1, 0.5, 0.9, 0.99):
        found = woodruff_interval(EDGES, counts, q)
        assert found.estimate == pytest.approx(np.quantile(latency, q), rel=0.02)
        assert found.lower <= found.estimate <= found.upper
        wider = woodruff_interval(EDGES, counts, q, alpha=0.001)
        assert wider.lower <= found.lower
        assert found.upper <= wider.upper


def test_merging_histograms_is_adding_them() -> None:
    _, counts = answers(np.random.default_rng(10))
    assert woodruff_interval(EDGES, counts + counts, 0.9) == pytest.approx(woodruff_interval(EDGES, counts, 0.9))


def test_an_end_that_the_data_do_not_reach_is_infinite() -> None:
    few = np.zeros((4, 3))
    few[0, 0], few[1, 1], few[2, 2], few[3, 2] = 3, 2, 4, 1
    high = woodruff_interval([0, 1, 2, 3], few, 0.99)
    assert high.upper == math.inf
    assert woodruff_interval([0, 1, 2, 3], few, 0.01).lower == -math.inf
    assert all(math.isnan(v) for v in woodruff_interval([0, 1], np.zeros((4, 1)), 0.5))
    assert math.isnan(woodruff_interval([0, 1], [[5]], 0.5).estimate)


def test_what_is_no_histogram_is_refused() -> None:
    for edges, counts in [([0, 1], [[1, 2]]), ([1, 0], [[1]]), ([0, 1], [[-1]]), ([0, 1], [[math.nan]])]:
        with pytest.raises(ValueError, match=r"edges|counts"):
            woodruff_interval(edges, counts, 0.5)
    with pytest.raises(ValueError, match="quantile"):
        woodruff_interval([0, 1], [[1]], 1.0)
