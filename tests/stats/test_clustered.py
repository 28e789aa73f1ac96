"""The stratified, clustered effect: against its definition, under its laws, on hostile input."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from seatrial.stats.clustered import Effect, design_effect, stratified_effect
from seatrial.stats.ratios import jackknife_difference

SCALES = ["log", "linear"]


def tallies(seed: int = 3, strata: int = 5, lift: float = 1.0) -> tuple[np.ndarray, ...]:
    """(count, num, den) of canary and champion with a rate of 5% and buckets that differ."""
    rng = np.random.default_rng(seed)
    bucket_rate = rng.beta(20, 380, size=256)
    count_t, count_c = rng.poisson(30, (strata, 256)), rng.poisson(200, (strata, 256))
    num_t, num_c = rng.binomial(count_t, bucket_rate * lift), rng.binomial(count_c, bucket_rate)
    return tuple(a.astype(float) for a in (count_t, num_t, count_t, count_c, num_c, count_c))


def same(a: Effect, b: Effect) -> bool:
    fields = Effect.__slots__
    return all(getattr(a, f) == pytest.approx(getattr(b, f), rel=1e-9, abs=1e-15, nan_ok=True) for f in fields)


@pytest.mark.parametrize("scale", SCALES)
def test_the_variance_is_that_of_leaving_out_one_bucket_after_the_other(scale: Any) -> None:
    data = tallies()
    effect = stratified_effect(*data, scale=scale)
    without = [stratified_effect(*(np.delete(a, b, axis=1) for a in data), scale=scale).estimate for b in range(256)]
    jackknife = 255 / 256 * float(np.sum((np.array(without) - np.mean(without)) ** 2))
    assert effect.variance == pytest.approx(jackknife, rel=0.02)


def test_the_arms_are_paired_by_bucket(oracle: Any) -> None:
    truth = oracle("delta_ratio_diff").inputs
    num_t, den_t, num_c, den_c = (np.array([truth[k]], float) for k in ("num_t", "den_t", "num_c", "den_c"))
    effect = stratified_effect(den_t, num_t, den_t, den_c, num_c, den_c, scale="linear")
    left_out = jackknife_difference(*(a[0] for a in (num_t, den_t, num_c, den_c)))
    assert effect.estimate == pytest.approx(left_out.value)
    # Ten small buckets: linearised and true jackknife differ in the second digit.
    assert effect.standard_error == pytest.approx(math.sqrt(left_out.variance), rel=0.1)


def test_a_ramp_does_not_turn_a_gain_into_a_loss(oracle: Any) -> None:
    truth = oracle("mh_risk_difference_ramp")
    rng = np.random.default_rng(1)

    def spread(total: int) -> np.ndarray:
        return rng.multinomial(total, np.full(256, 1 / 256)).astype(float)

    rows: dict[str, list[np.ndarray]] = {k: [] for k in ("num_t", "den_t", "num_c", "den_c")}
    for (x_t, y_t), (x_c, y_c) in truth.inputs["strata"]:
        for arm, x, y in (("t", x_t, y_t), ("c", x_c, y_c)):
            yes = spread(x)
            rows[f"num_{arm}"].append(yes)
            rows[f"den_{arm}"].append(yes + spread(y))
    num_t, den_t, num_c, den_c = (np.array(v) for v in rows.values())
    effect = stratified_effect(den_t, num_t, den_t, den_c, num_c, den_c, scale="linear")
    ratio = design_effect(den_t, num_t, den_t, den_c, num_c, den_c, scale="linear")
    assert truth.matches(mh_rd=effect.estimate, se=math.sqrt(effect.variance / ratio))
    assert num_t.sum() / den_t.sum() < num_c.sum() / den_c.sum()  # what a pooled comparison would have said


@pytest.mark.parametrize("scale", SCALES)
def test_the_order_of_buckets_and_strata_does_not_matter(scale: Any) -> None:
    data, rng = tallies(), np.random.default_rng(0)
    buckets, strata = rng.permutation(256), rng.permutation(5)
    shuffled = [a[strata][:, buckets] for a in data]
    assert same(stratified_effect(*data, scale=scale), stratified_effect(*shuffled, scale=scale))


@pytest.mark.parametrize("scale", SCALES)
def test_splitting_a_stratum_in_equal_parts_changes_nothing(scale: Any) -> None:
    data = tallies()
    split = [np.concatenate([a[:-1], a[-1:] / 2, a[-1:] / 2]) for a in data]
    assert same(stratified_effect(*data, scale=scale), stratified_effect(*split, scale=scale))


@pytest.mark.parametrize("scale", SCALES)
def test_a_stratum_with_an_empty_arm_weighs_zero(scale: Any) -> None:
    data = tallies()
    crowd, nobody = np.full((1, 256), 1e6), np.zeros((1, 256))
    extra = [nobody, nobody, nobody, crowd, crowd * 0.9, crowd]
    padded = [np.concatenate([a, e]) for a, e in zip(data, extra, strict=True)]
    assert same(stratified_effect(*data, scale=scale), stratified_effect(*padded, scale=scale))


def test_swapping_the_arms_turns_the_sign_only() -> None:
    data = tallies(lift=0.8)
    there = stratified_effect(*data, scale="log")
    back = stratified_effect(*data[3:], *data[:3], scale="log")
    assert back.estimate == pytest.approx(-there.estimate)
    assert back.variance == pytest.approx(there.variance)
    assert there.estimate == pytest.approx(math.log(0.8), abs=4 * there.standard_error)


def test_the_log_scale_does_not_care_for_units_of_measurement() -> None:
    count_t, num_t, den_t, count_c, num_c, den_c = tallies()
    scaled = stratified_effect(count_t, num_t * 1e6, den_t, count_c, num_c * 1e6, den_c, scale="log")
    plain = stratified_effect(count_t, num_t, den_t, count_c, num_c, den_c, scale="log")
    assert (scaled.estimate, scaled.variance) == pytest.approx((plain.estimate, plain.variance))


def test_a_sign_changing_mean_is_judged_on_the_linear_scale_only() -> None:
    count = np.full((1, 256), 10.0)
    gain = np.random.default_rng(4).normal(0, 5, (1, 256))
    linear = stratified_effect(count, gain - 10, count, count, gain, count, scale="linear")
    assert linear.estimate == pytest.approx(-1.0)
    assert stratified_effect(count, gain - 1e3, count, count, gain, count, scale="log").degenerate


def test_one_whale_is_seen() -> None:
    count_t, num_t, den_t, count_c, num_c, den_c = tallies()
    num_t[2, 17] += num_t.sum()
    assert stratified_effect(count_t, num_t, den_t, count_c, num_c, den_c, scale="linear").largest_bucket > 0.5
    assert stratified_effect(*tallies(), scale="linear").largest_bucket < 0.02


def amounts(orders: int, share: float, sigma: float, seed: int) -> list[np.ndarray]:
    """Orders of lognormal value in two strata; the canary has a share of them."""
    rng = np.random.default_rng(seed)
    data = []
    for part in (share, 1 - share):
        count = rng.multinomial(round(orders * part), np.full(512, 1 / 512)).reshape(2, 256).astype(float)
        values = rng.lognormal(0, sigma, int(count.sum()))
        sums = np.bincount(np.repeat(np.arange(512), count.ravel().astype(int)), values, 512).reshape(2, 256)
        data += [count, sums, count]
    return data


@pytest.mark.parametrize("scale", SCALES)
def test_the_skewness_is_that_of_the_estimate(scale: Any) -> None:
    found = np.mean([stratified_effect(*amounts(5_000, 0.1, 0.6, seed), scale=scale).skewness for seed in range(80)])
    of_orders = (math.exp(0.36) + 2) * math.sqrt(math.exp(0.36) - 1)
    allowed = 2 * math.sqrt(6) / 256 * math.sqrt(4_500)
    sizes = (1 / 500**2 - 1 / 4_500**2) / (1 / 500 + 1 / 4_500) ** 1.5
    assert found == pytest.approx((of_orders - allowed) * sizes, rel=0.25)


def test_a_heavy_tail_is_skewed_in_a_small_canary_and_not_in_equal_arms() -> None:
    def skewness(orders: int, share: float, sigma: float) -> float:
        return float(
            np.median([stratified_effect(*amounts(orders, share, sigma, s), scale="log").skewness for s in range(9)])
        )

    assert skewness(20_000, 0.1, 1.5) > 0.12
    assert skewness(20_000, 0.5, 1.5) == pytest.approx(0, abs=0.02)
    assert skewness(20_000, 0.1, 0.3) == pytest.approx(0, abs=0.02)
    assert skewness(400_000, 0.1, 1.0) < 0.05


def test_the_canarys_own_luck_does_not_count() -> None:
    data = amounts(20_000, 0.1, 0.5, 1)
    before = stratified_effect(*data, scale="linear").skewness
    data[1][0, 3] += 500
    assert stratified_effect(*data, scale="linear").skewness == pytest.approx(before)
    data[4][0, 3] += 500
    assert stratified_effect(*data, scale="linear").skewness > before + 0.5


@pytest.mark.parametrize("rate", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("scale", SCALES)
def test_no_variation_is_degenerate_and_not_certainty(rate: float, scale: Any) -> None:
    # 0.1 * den is not exact in binary: what is left over is rounding, and must not pass for information.
    den = np.arange(1.0, 257.0)[None] * 3
    effect = stratified_effect(den, den * rate, den, den * 7, den * 7 * rate, den * 7, scale=scale)
    assert effect.degenerate
    assert effect.information == 0
    assert math.isnan(effect.standard_error)


def test_no_errors_against_some_errors_is_not_agreement() -> None:
    den_t, den_c = np.full((1, 256), 1.0), np.full((1, 256), 20.0)
    some, none = np.zeros((1, 256)), np.zeros((1, 256))
    some[0, :8] = 1
    assert stratified_effect(den_t, some, den_t, den_c, none, den_c, scale="log").degenerate
    effect = stratified_effect(den_t, some, den_t, den_c, none, den_c, scale="linear")
    assert effect.estimate == pytest.approx(8 / 256)
    assert not effect.degenerate


def test_no_data_is_degenerate() -> None:
    for shape in [(0, 256), (3, 256), (1, 1)]:
        effect = stratified_effect(*[np.zeros(shape)] * 6, scale="log")
        assert effect.degenerate
        assert effect.information == effect.count_t == effect.largest_bucket == 0


def test_a_missing_number_spoils_the_estimate_visibly() -> None:
    for spoilt in (1, 2):
        data = [a.copy() for a in tallies()]
        data[spoilt][0, 0] = math.nan
        assert stratified_effect(*data, scale="linear").degenerate


def test_different_shapes_are_refused() -> None:
    a, b = np.ones((2, 256)), np.ones((3, 256))
    with pytest.raises(ValueError, match="same shape"):
        stratified_effect(a, a, a, b, b, b, scale="log")


ANY = arrays(np.float64, (6, 2, 4), elements=st.floats(allow_nan=True, allow_infinity=True, width=64))
SMALL = arrays(np.float64, (6, 2, 4), elements=st.integers(0, 3).map(float))


@settings(max_examples=150, deadline=None)
@given(data=ANY | SMALL, scale=st.sampled_from(SCALES))
def test_whatever_comes_in_an_effect_comes_out(data: np.ndarray, scale: Any) -> None:
    effect = stratified_effect(*data, scale=scale)
    assert effect.degenerate or (math.isfinite(effect.estimate) and effect.variance > 0)
    assert effect.degenerate == (effect.information == 0)
    assert 0 <= effect.largest_bucket <= 1
    assert math.isfinite(effect.skewness)
    ratio = design_effect(*data, scale=scale)
    assert math.isnan(ratio) or ratio > 0


def test_clusters_are_what_the_design_effect_sees() -> None:
    rng = np.random.default_rng(8)
    units, each = 20_000, 10
    arm, bucket = rng.integers(0, 2, units), rng.integers(0, 256, units)

    def ratio(rates: np.ndarray) -> float:
        clicks = rng.binomial(each, rates)
        sums = []
        for a in (1, 0):
            num = np.bincount(bucket[arm == a], clicks[arm == a], 256)[None]
            den = np.bincount(bucket[arm == a], minlength=256)[None] * float(each)
            sums += [den, num, den]
        return design_effect(*sums)

    assert ratio(np.full(units, 0.1)) == pytest.approx(1.0, rel=0.25)
    clustered = rng.beta(0.1 * 9, 0.9 * 9, units)  # intra-class correlation .1: 1 + (10 - 1) * .1 = 1.9
    assert ratio(clustered) == pytest.approx(1.9, rel=0.25)


def test_the_design_effect_of_a_continuous_mean_is_unknown() -> None:
    count = np.full((1, 256), 10.0)
    value = np.random.default_rng(1).gamma(5, 20, (1, 256))
    assert math.isnan(design_effect(count, value, count, count, value[:, ::-1], count))
