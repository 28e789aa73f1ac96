"""The textbook's sample size: it has the power it promises, and the sample that returning units are worth."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.stats.noninferiority import noninferiority
from seatrial.stats.power import proportion_variance
from seatrial.stats.samplesize import canary_units, effective_size, kish_design_effect


def test_the_planned_sample_has_the_planned_power() -> None:
    v = proportion_variance(0.08, log=False)
    n_t = canary_units(0.02, v, v, ratio=4, sides=1)
    rng = np.random.default_rng(12)
    x_t, x_c = rng.binomial(round(n_t), 0.08, 2_000), rng.binomial(round(4 * n_t), 0.08, 2_000)
    shown = [
        noninferiority(a, round(n_t), b, round(4 * n_t), 0.02, scale="absolute").shown()
        for a, b in zip(x_t, x_c, strict=True)
    ]
    assert np.mean(shown) == pytest.approx(0.8, abs=0.03)


@given(st.floats(1e-4, 1), st.floats(0.001, 0.999), st.floats(0.1, 20), st.floats(0.5, 0.99), st.floats(1, 10))
def test_the_sample_follows_its_parts(effect: float, rate: float, ratio: float, power: float, deff: float) -> None:
    v = proportion_variance(rate, log=False)
    n = canary_units(effect, v, v, ratio=ratio, power=power)
    assert canary_units(-effect / 2, v, v, ratio=ratio, power=power) == pytest.approx(4 * n)
    assert canary_units(effect, v, v, ratio=ratio, power=power, design_effect=deff) == pytest.approx(deff * n)
    assert canary_units(effect, v, v, ratio=2 * ratio, power=power) < n
    assert canary_units(effect, v, v, ratio=ratio, power=power, sides=1) < n
    assert effective_size(n * deff, deff) == pytest.approx(n)


def test_a_small_canary_needs_less_of_itself_and_more_in_all() -> None:
    equal, ninth = (canary_units(0.001, 0.05, 0.05, ratio=r) for r in (1, 9))
    assert ninth == pytest.approx(equal * 10 / 18)
    assert 10 * ninth > 2 * equal


def test_the_design_effect_of_clusters_is_that_of_simulated_ones() -> None:
    rng, each, icc = np.random.default_rng(13), 8, 0.1
    rates = rng.beta(0.2 * 9, 0.8 * 9, (4_000, 50))  # intra-class correlation 1 / (1 + 9)
    means = rng.binomial(each, rates).sum(axis=1) / (50 * each)
    assert np.var(means) / (0.2 * 0.8 / (50 * each)) == pytest.approx(kish_design_effect(each, icc), rel=0.08)
    assert kish_design_effect(1, 0.5) == kish_design_effect(20, 0.0) == 1.0
    assert kish_design_effect(10, 0.05, cv=1) > kish_design_effect(10, 0.05)


def test_samples_that_mean_nothing_are_refused() -> None:
    for call in (
        lambda: canary_units(0.0, 1, 1),
        lambda: canary_units(math.nan, 1, 1),
        lambda: canary_units(0.1, -1, 1),
        lambda: canary_units(0.1, 1, 1, ratio=0.0),
        lambda: canary_units(0.1, 1, 1, power=1.0),
        lambda: canary_units(0.1, 1, 1, alpha=0.0),
        lambda: canary_units(0.1, 1, 1, design_effect=0.0),
        lambda: kish_design_effect(0.5, 0.1),
        lambda: kish_design_effect(5, 1.1),
        lambda: effective_size(10, 0.0),
    ):
        with pytest.raises(ValueError):
            call()
