"""What a canary can see, and the z-test of the textbook."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.stats.power import (
    proportion_variance,
    sample_inflation,
    smallest_detectable,
    standard_error,
    two_proportion_z,
    units_needed,
)
from seatrial.stats.sequential import planned_information


def test_the_z_test_agrees_with_the_reference(oracle: Any) -> None:
    for name, tail in [("two_prop_z_pooled_two_sided", "p_two_sided"), ("two_prop_z_pooled_less", "p_less")]:
        truth = oracle(name)
        test = two_proportion_z(*(truth.inputs[k] for k in ("x_t", "n_t", "x_c", "n_c")))
        assert truth.matches(z=test.z, p=getattr(test, tail))


def test_small_p_values_do_not_vanish() -> None:
    test = two_proportion_z(600, 10_000, 300, 10_000)
    assert 0 < test.p_greater < 1e-20
    assert test.p_two_sided == 2 * test.p_greater
    assert test.p_less == pytest.approx(1)
    assert (test.difference, test.relative_difference) == pytest.approx((0.03, 1.0))


@pytest.mark.parametrize("counts", [(0, 0, 5, 10), (0, 10, 0, 10), (10, 10, 10, 10), (0, 0, 0, 0)])
def test_nothing_to_test_is_not_p_equal_one(counts: tuple[int, int, int, int]) -> None:
    test = two_proportion_z(*counts)
    assert math.isnan(test.z)
    assert math.isnan(test.p_two_sided)


def test_a_share_against_none_has_no_relative_difference() -> None:
    test = two_proportion_z(8, 100, 0, 5_000)
    assert test.p_greater < 1e-12
    assert math.isnan(test.relative_difference)


@given(
    effect=st.floats(0.001, 1),
    rate=st.floats(0.001, 0.999),
    share=st.floats(0.001, 0.999),
    deff=st.floats(1, 20),
    power=st.floats(0.5, 0.99),
)
def test_sample_and_detectable_effect_are_inverse(
    effect: float, rate: float, share: float, deff: float, power: float
) -> None:
    v = proportion_variance(rate)
    units = units_needed(-effect, v, v, share, design_effect=deff, power=power)
    se = standard_error(v, units * share, v, units * (1 - share), deff)
    assert smallest_detectable(se, power=power) == pytest.approx(effect)


def test_the_planned_information_is_the_sample_needed() -> None:
    v, margin = proportion_variance(0.05), math.log(0.97)
    units = units_needed(margin, v, v, 0.5)
    assert 1 / standard_error(v, units / 2, v, units / 2) ** 2 == pytest.approx(planned_information(margin))


def test_clusters_multiply_the_sample() -> None:
    v = proportion_variance(0.05)
    assert units_needed(0.1, v, v, 0.1, design_effect=2.5) == pytest.approx(2.5 * units_needed(0.1, v, v, 0.1))


def test_looking_all_the_time_costs_two_fifths_more() -> None:
    assert sample_inflation() == pytest.approx(1.407, abs=0.001)


def test_an_empty_arm_sees_nothing() -> None:
    assert smallest_detectable(standard_error(1.0, 0, 1.0, 100)) == math.inf


def test_plans_that_mean_nothing_are_refused() -> None:
    for call in (
        lambda: proportion_variance(0.0),
        lambda: standard_error(-1.0, 1, 1.0, 1),
        lambda: standard_error(1.0, 1, 1.0, 1, design_effect=0.0),
        lambda: units_needed(0.0, 1.0, 1.0, 0.5),
        lambda: units_needed(0.1, 1.0, 1.0, 1.0),
        lambda: smallest_detectable(0.1, power=0.0),
        lambda: two_proportion_z(2, 1, 0, 1),
    ):
        with pytest.raises(ValueError):
            call()
