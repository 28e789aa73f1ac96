"""Two samples: the same numbers as scipy, also where ties are heavy, samples tiny or columns constant."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from seatrial.stats.drift.samples import chi_square, gaussian, ks_p, ks_test, mmd, wasserstein

numbers = st.lists(st.one_of(st.integers(-3, 3).map(float), st.floats(-1e6, 1e6)), min_size=1, max_size=30)


@settings(max_examples=25, deadline=None)
@given(numbers, numbers)
def test_samples_are_as_far_apart_as_scipy_says(x: list[float], y: list[float]) -> None:
    ours = ks_test(x, y)
    with warnings.catch_warnings(record=True) as gave_up:  # as scipy's exact method does on some pairs
        warnings.simplefilter("always")
        theirs = stats.ks_2samp(x, y, method="exact")
    assert ours.distance == pytest.approx(theirs.statistic, abs=1e-12)
    if not gave_up:
        assert ours.p_value == pytest.approx(theirs.pvalue, abs=1e-12)
    assert wasserstein(x, y) == pytest.approx(stats.wasserstein_distance(x, y), rel=1e-12, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=2, max_size=8))
def test_tables_are_as_unlike_as_scipy_says(table: list[tuple[int, int]]) -> None:
    first, second = (list(row) for row in zip(*table, strict=True))
    found = chi_square(first, second)
    if found is None:
        assert not (sum(first) and sum(second) and sum(a + b > 0 for a, b in table) > 1)
        return
    kept = [pair for pair in table if sum(pair)]
    theirs = stats.chi2_contingency(np.array(kept).T, correction=False)
    assert (found.statistic, found.p_value) == pytest.approx((theirs.statistic, theirs.pvalue), abs=1e-10)
    assert found.freedom == theirs.dof


def test_weights_are_repeated_values() -> None:
    x, y, times = [1.0, 2.0, 5.0], [0.0, 2.0], [2, 1, 3]
    assert wasserstein(x, y, times) == pytest.approx(wasserstein(np.repeat(x, times), y), abs=1e-15)


@pytest.mark.parametrize("shift", [0.0, 0.06, 2.0])
def test_a_p_value_is_counted_however_small_it_is(shift: float) -> None:
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=1000), rng.normal(shift, 1, size=900)
    assert ks_test(x, y).p_value == pytest.approx(stats.ks_2samp(x, y, method="exact").pvalue, rel=1e-12)


def test_large_samples_have_the_p_value_of_the_limit() -> None:
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=12_000), rng.normal(0.06, 1, size=2500)
    theirs = stats.ks_2samp(x, y, method="asymp")
    assert ks_test(x, y).p_value == pytest.approx(theirs.pvalue, rel=0.1)
    assert ks_p(0.05, 100.5, 200) == pytest.approx(stats.kstwobign.sf(0.05 * math.sqrt(100.5 * 200 / 300.5)), abs=1e-12)


def test_the_discrepancy_of_means_is_that_of_its_definition() -> None:
    rng = np.random.default_rng(3)
    x, y, sd = rng.normal(size=12), rng.normal(1, 1, size=9), 0.7

    def kernel(a: float, b: float) -> float:
        return math.exp(-((a - b) ** 2) / (2 * sd**2))

    def within(s: list[float]) -> float:
        return sum(kernel(a, b) for i, a in enumerate(s) for j, b in enumerate(s) if i != j) / (len(s) * (len(s) - 1))

    between = sum(kernel(a, b) for a in x for b in y) / (len(x) * len(y))
    assert mmd(x, y, sd) == pytest.approx(within(list(x)) + within(list(y)) - 2 * between, abs=1e-12)
    assert gaussian(x[:, None], x[:, None], sd).diagonal() == pytest.approx(np.ones(12))


def test_there_is_a_defined_result_for_everything() -> None:
    assert ks_test([], [1]).p_value is None
    assert wasserstein([], [1]) is None
    assert (ks_test([7] * 9, [7] * 4).distance, ks_test([7] * 9, [7] * 4).p_value) == (0.0, 1.0)
    assert ks_test([7] * 9, [8] * 9).p_value == pytest.approx(2 / math.comb(18, 9))
    assert chi_square([5, 0], [9, 0]) is None
    assert chi_square([0, 0], [9, 1]) is None
    assert mmd([1], [1, 2], 1) is None
    for wrong in (lambda: wasserstein([math.nan], [1]), lambda: ks_test([math.inf], [1]), lambda: mmd([1], [1], 0),
                  lambda: chi_square([1, -1], [1, 1]), lambda: wasserstein([1], [1], [1, 2])):  # fmt: skip
        with pytest.raises(ValueError):
            wrong()
