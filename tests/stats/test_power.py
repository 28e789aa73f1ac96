"""What a canary can see when it is looked at all the time."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.stats.power import (
    proportion_variance,
    standard_error,
    units_needed,
)
from seatrial.stats.samplesize import canary_units
from seatrial.stats.sequential import planned_information


@given(
    effect=st.floats(0.001, 1),
    rate=st.floats(0.001, 0.999),
    share=st.floats(0.001, 0.999),
    deff=st.floats(1, 20),
    power=st.floats(0.5, 0.99),
)
def test_the_sample_gives_the_information_that_was_planned(
    effect: float, rate: float, share: float, deff: float, power: float
) -> None:
    v = proportion_variance(rate)
    units = units_needed(-effect, v, v, share, design_effect=deff, power=power)
    se = standard_error(v, units * share, v, units * (1 - share), deff)
    assert se**-2 == pytest.approx(planned_information(effect, power=power))


def test_clusters_multiply_the_sample() -> None:
    v = proportion_variance(0.05)
    assert units_needed(0.1, v, v, 0.1, design_effect=2.5) == pytest.approx(2.5 * units_needed(0.1, v, v, 0.1))


def test_looking_all_the_time_costs_two_fifths_more() -> None:
    v = proportion_variance(0.05, log=False)
    every_look = units_needed(0.01, v, v, 0.1)
    one_look = canary_units(0.01, v, v, ratio=9, sides=1) / 0.1
    assert every_look / one_look == pytest.approx(1.407, abs=0.001)


def test_an_empty_arm_sees_nothing() -> None:
    assert standard_error(1.0, 0, 1.0, 100) == math.inf


def test_plans_that_mean_nothing_are_refused() -> None:
    for call in (
        lambda: proportion_variance(0.0),
        lambda: standard_error(-1.0, 1, 1.0, 1),
        lambda: standard_error(1.0, 1, 1.0, 1, design_effect=0.0),
        lambda: units_needed(0.0, 1.0, 1.0, 0.5),
        lambda: units_needed(0.1, 1.0, 1.0, 1.0),
        lambda: units_needed(0.1, 1.0, 1.0, 0.5, power=0.0),
    ):
        with pytest.raises(ValueError):
            call()
