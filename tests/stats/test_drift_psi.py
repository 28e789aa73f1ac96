"""PSI: the worked example, its size where nothing has changed, and bins that hold for every column."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.stats.drift.psi import SMOOTHING, merged, no_drift_p, no_drift_quantile, psi, quantile_bins

BEFORE, NOW = [0.30, 0.25, 0.25, 0.20], [0.22, 0.28, 0.30, 0.20]
counts = st.lists(st.integers(0, 40), min_size=2, max_size=12)


def test_the_worked_example_either_way_round() -> None:
    assert psi(BEFORE, NOW) == pytest.approx(0.0373283, abs=1e-7)
    assert psi(NOW, BEFORE) == psi(BEFORE, NOW)
    assert psi(BEFORE, NOW) / math.log(2) == pytest.approx(0.0538534, abs=1e-7), "in bits, which nobody means"


def test_an_empty_bin_is_infinite_unless_it_is_smoothed() -> None:
    assert psi([1, 0], [1, 1]) == math.inf
    assert psi([50, 30, 20, 0], [30, 45, 0, 25], smoothing=0.5) == pytest.approx(1.84953, abs=1e-5)
    for wrong in ([0, 0], [-1, 2], [[1, 2]], [math.nan, 1]):
        with pytest.raises(ValueError):
            psi(wrong, [1, 1])
    with pytest.raises(ValueError):
        psi([1, 1], [1, 1, 1])


@pytest.mark.parametrize(("n", "m", "bins"), [(100_000, 1_000, 20), (5_000, 5_000, 10)])
def test_its_size_without_drift_is_known(n: int, m: int, bins: int) -> None:
    rng = np.random.default_rng(29)
    shares = np.full(bins, 1 / bins)
    limit = no_drift_quantile(n, m, bins)
    beyond = np.mean([psi(rng.multinomial(n, shares), rng.multinomial(m, shares), SMOOTHING) > limit
                      for _ in range(2_000)])  # fmt: skip
    assert 0.035 < beyond < 0.065
    moved = shares + 0.03 * np.where(np.arange(bins) % 2, 1, -1)
    assert psi(rng.multinomial(n, shares), rng.multinomial(m, moved), SMOOTHING) > limit


def test_the_p_value_is_that_of_the_quantile() -> None:
    assert no_drift_p(no_drift_quantile(500, 300, 7, 0.01), 500, 300, 7) == pytest.approx(0.01)
    for n, m, bins in ((0, 5, 3), (5, 5, 1)):
        with pytest.raises(ValueError):
            no_drift_p(0.1, n, m, bins)


@given(counts, st.integers(2, 8))
def test_bins_hold_every_value_once(cells: list[int], bins: int) -> None:
    cuts = quantile_bins(cells, bins)
    assert list(cuts) == sorted(set(cuts))
    assert merged(cells, cuts).sum() == sum(cells)
    heavy = [i for i, n in enumerate(cells) if sum(cells) and n > sum(cells) / bins]
    for cell in heavy:
        assert {cell, cell + 1} <= {0, len(cells), *cuts}, "a heavy value is alone"


def test_bins_are_quantiles_where_values_are_many() -> None:
    found = merged(np.ones(1000), quantile_bins(np.ones(1000), 10))
    assert found.tolist() == [100.0] * 10
    with pytest.raises(ValueError):
        quantile_bins([1, 2], 1)
