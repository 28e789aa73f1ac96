"""Mantel-Haenszel: what strata are for, and its laws."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import chdtrc

from seatrial.stats.clustered import stratified_effect
from seatrial.stats.proportions import two_proportion_z
from seatrial.stats.strata import mantel_haenszel

RAMP = ([12, 275], [100, 5_000], [990, 250], [9_900, 5_000])


def test_a_ramp_over_a_falling_base_rate_is_not_an_effect() -> None:
    test = mantel_haenszel(*RAMP)
    pooled = two_proportion_z(*(sum(column) for column in RAMP))
    assert pooled.p_two_sided < 1e-9  # the canary looks far worse
    assert pooled.difference < -0.02
    assert test.difference > 0
    assert test.p_value > 0.1


def test_one_stratum_is_the_two_proportions() -> None:
    one, z = mantel_haenszel([37], [500], [400], [5_000]), two_proportion_z(37, 500, 400, 5_000)
    assert (one.difference, one.ratio) == pytest.approx((z.difference, 1 + z.relative_difference))
    assert one.chi_square == pytest.approx(z.z**2 * 5_499 / 5_500)
    assert one.p_value == pytest.approx(chdtrc(1, one.chi_square))
    assert one.log_ratio_error == pytest.approx(math.sqrt(1 / 37 - 1 / 500 + 1 / 400 - 1 / 5_000))


def test_it_weighs_as_the_gates_do() -> None:
    rng = np.random.default_rng(4)
    den = [rng.multinomial(n, np.full(256, 1 / 256), size=3).astype(float) for n in (3_000, 20_000)]
    num = [rng.binomial(d.astype(int), 0.1).astype(float) for d in den]
    effect = stratified_effect(den[0], num[0], den[0], den[1], num[1], den[1], scale="linear")
    sums = [a.sum(axis=1) for a in (num[0], den[0], num[1], den[1])]
    assert mantel_haenszel(*sums).difference == pytest.approx(effect.estimate)
    # Independent exposures: the clustered error differs by chance alone.
    assert mantel_haenszel(*sums).difference_error == pytest.approx(effect.standard_error, rel=0.2)


STRATA = st.lists(
    st.tuples(st.integers(1, 500), st.integers(1, 500), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=5
)


@given(STRATA)
def test_swapping_the_arms_turns_the_sign(strata: list[tuple[int, int, float, float]]) -> None:
    n_t, n_c, p_t, p_c = (np.array(column) for column in zip(*strata, strict=True))
    x_t, x_c = np.round(n_t * p_t), np.round(n_c * p_c)
    there, back = mantel_haenszel(x_t, n_t, x_c, n_c), mantel_haenszel(x_c, n_c, x_t, n_t)
    assert back.difference == pytest.approx(-there.difference, abs=1e-12)
    assert back.difference_error == pytest.approx(there.difference_error, abs=1e-12)
    assert back.chi_square == pytest.approx(there.chi_square, nan_ok=True)
    if not math.isnan(there.ratio):
        assert back.ratio == pytest.approx(1 / there.ratio)


def test_a_stratum_with_an_empty_arm_weighs_nothing() -> None:
    x_t, n_t, x_c, n_c = RAMP
    padded = mantel_haenszel([*x_t, 0], [*n_t, 0], [*x_c, 900], [*n_c, 1_000])
    assert padded == mantel_haenszel(*RAMP)


def test_nothing_to_compare_is_not_agreement() -> None:
    assert all(math.isnan(v) for v in (mantel_haenszel([], [], [], []).difference, mantel_haenszel(1, 2, 0, 0).p_value))
    quiet = mantel_haenszel([0, 0], [10, 10], [0, 0], [10, 10])
    assert quiet.difference == 0
    assert math.isnan(quiet.ratio)
    assert math.isnan(quiet.chi_square)
    for bad in (([1], [2], [1, 1], [2, 2]), ([3], [2], [1], [2]), ([math.nan], [2], [1], [2])):
        with pytest.raises(ValueError, match=r"strata|stratum"):
            mantel_haenszel(*bad)
