"""Ratios of units: the delta method and the jackknife agree, and both see what a per-request formula does not."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from seatrial.stats.proportions import two_proportion_z
from seatrial.stats.ratios import Ratio, delta_ratio, jackknife_difference, jackknife_ratio, welch


def visits(rng: np.random.Generator, units: int) -> tuple[np.ndarray, np.ndarray]:
    """Clicks and impressions of units that differ in how much they come and how much they click."""
    shown = 1 + rng.poisson(rng.gamma(1.0, 9.0, units))
    return rng.binomial(shown, rng.beta(1.5, 18.5, units)).astype(float), shown.astype(float)


def test_equal_arms_are_rarely_different_by_units_and_often_by_requests() -> None:
    rng, by_units, by_requests = np.random.default_rng(2), 0, 0
    for _ in range(400):
        (y_t, k_t), (y_c, k_c) = visits(rng, 400), visits(rng, 600)
        by_units += welch(delta_ratio(y_t, k_t), delta_ratio(y_c, k_c)).p_two_sided < 0.05
        by_requests += two_proportion_z(y_t.sum(), k_t.sum(), y_c.sum(), k_c.sum()).p_two_sided < 0.05
    assert by_units / 400 <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 400)
    assert by_requests / 400 > 0.1


def test_a_planted_difference_is_found() -> None:
    rng = np.random.default_rng(3)
    (y_t, k_t), (y_c, k_c) = visits(rng, 4_000), visits(rng, 6_000)
    worse = rng.binomial(y_t.astype(int), 0.8).astype(float)
    test = welch(delta_ratio(worse, k_t), delta_ratio(y_c, k_c))
    assert test.p_two_sided < 1e-4
    assert test.interval[1] < 0


def test_jackknife_and_delta_method_agree_on_many_units() -> None:
    y, k = visits(np.random.default_rng(5), 5_000)
    delta, left_out = delta_ratio(y, k), jackknife_ratio(y, k)
    assert left_out.value == pytest.approx(delta.value, rel=1e-3)
    assert left_out.variance == pytest.approx(delta.variance, rel=0.02)


def test_the_arms_of_a_bucket_are_left_out_together(oracle: Any) -> None:
    data = oracle("jackknife_ratio_diff_independent_arms").inputs
    paired = jackknife_difference(data["num_t"], data["den_t"], data["num_c"], data["den_c"])
    assert paired.value == pytest.approx(-0.012547628432531877)
    assert math.sqrt(paired.variance) == pytest.approx(0.0288344668, abs=1e-9)
    same = jackknife_difference(data["num_c"], data["den_c"], data["num_c"], data["den_c"])
    assert same.value == pytest.approx(0)
    assert same.variance == pytest.approx(0)


@settings(max_examples=60)
@given(arrays(np.float64, (2, 12), elements=st.floats(0.01, 100)), st.floats(0.1, 10))
def test_a_ratio_scales_with_its_unit(pair: np.ndarray, factor: float) -> None:
    y, k = pair
    for method in (delta_ratio, jackknife_ratio):
        plain, scaled = method(y, k), method(y * factor, k)
        assert scaled.value == pytest.approx(factor * plain.value, rel=1e-6)
        assert scaled.variance == pytest.approx(factor**2 * plain.variance, rel=1e-6, abs=1e-12)


def test_a_mean_is_a_ratio_by_ones() -> None:
    y = np.random.default_rng(1).normal(3, 2, 50)
    mean = delta_ratio(y, np.ones(50))
    assert (mean.value, mean.variance) == pytest.approx((y.mean(), y.var(ddof=1) / 50))


def test_too_little_has_no_variance_and_no_test() -> None:
    assert math.isnan(delta_ratio([], []).value)
    assert math.isnan(delta_ratio([0, 0], [0, 0]).value)
    assert (delta_ratio([1], [2]).value, math.isnan(delta_ratio([1], [2]).variance)) == (0.5, True)
    assert math.isnan(jackknife_ratio([1], [2]).variance)
    assert math.isnan(jackknife_difference([1, 2], [0, 0], [1, 2], [3, 4]).value)
    alone = jackknife_ratio([1, 2], [3, 0])  # without its only denominator there is no ratio
    assert not math.isfinite(alone.variance)
    for nothing in (Ratio(0.1, math.nan, 1), Ratio(0.1, 0.0, 5)):
        assert math.isnan(welch(nothing, nothing).p_two_sided)
    with pytest.raises(ValueError, match="same shape"):
        delta_ratio([1, 2], [1])
    with pytest.raises(ValueError, match="same buckets"):
        jackknife_difference([1, 2], [1, 2], [1], [1])
