"""The z-test of the textbook, the score statistics behind margins, and intervals: laws, and levels by enumeration."""

import math
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import bdtrc, comb, xlog1py, xlogy

from seatrial.stats.intervals import clopper_pearson_interval, newcombe_interval, score_interval, wilson_interval
from seatrial.stats.noninferiority import NonInferiority, noninferiority
from seatrial.stats.proportions import two_proportion_z
from seatrial.stats.score import difference_z, ratio_z

Counts = tuple[int, int, int, int]


@st.composite
def tables(draw: st.DrawFn, most: int = 10**7) -> Counts:
    n_t, n_c = draw(st.integers(1, most)), draw(st.integers(1, most))
    return draw(st.integers(0, n_t)), n_t, draw(st.integers(0, n_c)), n_c


def flipped(x_t: int, n_t: int, x_c: int, n_c: int) -> Counts:
    """The same table, counting failures."""
    return n_t - x_t, n_t, n_c - x_c, n_c


def swapped(x_t: int, n_t: int, x_c: int, n_c: int) -> Counts:
    return x_c, n_c, x_t, n_t


def pmf(n: int, p: float) -> np.ndarray:
    k = np.arange(n + 1)
    return np.asarray(comb(n, k) * p**k * (1 - p) ** (n - k))


# ── the pooled z-test ──────────────────────────────────────────────────────────────────────────────────────────────


def test_small_p_values_do_not_vanish() -> None:
    test = two_proportion_z(600, 10_000, 300, 10_000)
    assert 0 < test.p_greater < 1e-20
    assert test.p_two_sided == 2 * test.p_greater
    assert test.p_less == pytest.approx(1)
    assert (test.difference, test.relative_difference) == pytest.approx((0.03, 1.0))


@pytest.mark.parametrize("counts", [(0, 0, 5, 10), (0, 10, 0, 10), (10, 10, 10, 10), (0, 0, 0, 0)])
def test_nothing_to_test_is_not_p_equal_one(counts: Counts) -> None:
    test = two_proportion_z(*counts)
    assert math.isnan(test.z)
    assert math.isnan(test.p_two_sided)


def test_a_share_against_none_has_no_relative_difference() -> None:
    test = two_proportion_z(8, 100, 0, 5_000)
    assert test.p_greater < 1e-12
    assert math.isnan(test.relative_difference)


@given(tables())
def test_swapping_arms_or_outcomes_turns_the_sign(counts: Counts) -> None:
    z = two_proportion_z(*counts).z
    for other in (swapped, flipped):
        assert two_proportion_z(*other(*counts)).z == pytest.approx(-z, rel=1e-6, abs=1e-9, nan_ok=True)


# ── score statistics ───────────────────────────────────────────────────────────────────────────────────────────────


@given(tables())
def test_at_no_difference_the_score_is_the_pooled_z(counts: Counts) -> None:
    z = two_proportion_z(*counts).z
    assert difference_z(*counts) == pytest.approx(z, rel=1e-9, nan_ok=True)
    assert ratio_z(*counts) == pytest.approx(z, rel=1e-6, abs=1e-9, nan_ok=True) or counts[0] + counts[2] == 0


@given(tables(), st.floats(-0.99, 0.99), st.booleans())
def test_the_score_falls_as_the_stated_difference_rises(counts: Counts, d: float, correction: bool) -> None:
    low, high = (difference_z(*counts, difference, correction=correction) for difference in (d, (1 + d) / 2))
    assert not low < high


@given(tables(), st.floats(-0.9, 0.9).filter(lambda d: abs(d) > 1e-9))
def test_the_score_is_symmetric(counts: Counts, d: float) -> None:
    z = difference_z(*counts, d)
    assert math.isfinite(z)
    for other in (swapped, flipped):
        assert difference_z(*other(*counts), -d) == pytest.approx(-z, rel=1e-6, abs=1e-9)


@given(tables(most=400), st.floats(-0.6, 0.6).filter(lambda d: abs(d) > 1e-3))
def test_the_pair_behind_the_score_is_the_most_likely_one(counts: Counts, d: float) -> None:
    x_t, n_t, x_c, n_c = counts
    p_c = np.linspace(max(0, -d), min(1, 1 - d), 2_001)
    p_t = np.clip(p_c + d, 0, 1)
    likely = xlogy(x_t, p_t) + xlog1py(n_t - x_t, -p_t) + xlogy(x_c, p_c) + xlog1py(n_c - x_c, -p_c)
    best = int(likely.argmax())
    variance = p_t * (1 - p_t) / n_t + p_c * (1 - p_c) / n_c
    near = variance[max(0, best - 1) : best + 2]
    z = difference_z(*counts, d)
    # On a grid the best pair is one cell away at most.
    if abs(x_t / n_t - x_c / n_c - d) > 1e-6:
        found = ((x_t / n_t - x_c / n_c - d) / z) ** 2
        assert near.min() - 1e-4 / n_t <= found <= near.max() + 1e-4 / n_t


def test_scores_that_mean_nothing_are_refused() -> None:
    for d in (1.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="between -1 and 1"):
            difference_z(1, 2, 1, 2, d)
    for ratio in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="positive"):
            ratio_z(1, 2, 1, 2, ratio)
    for call in (two_proportion_z, difference_z, ratio_z, newcombe_interval, score_interval):
        with pytest.raises(ValueError, match="between 0 and the trials"):
            call(3, 2, 0, 1)
    assert math.isnan(difference_z(0, 0, 1, 2, 0.1))
    assert math.isnan(ratio_z(0, 5, 0, 5, 0.5))


# ── margins ────────────────────────────────────────────────────────────────────────────────────────────────────────


@given(tables(), st.floats(0.001, 0.5), st.sampled_from(["wald", "score", "mn"]))
def test_lower_is_better_is_higher_is_better_of_failures(counts: Counts, margin: float, method: Any) -> None:
    up = noninferiority(*counts, margin, scale="absolute", method=method)
    down = noninferiority(*flipped(*counts), margin, scale="absolute", better="decrease", method=method)
    assert down.z == pytest.approx(up.z, rel=1e-6, abs=1e-9, nan_ok=True)


@given(
    tables(), st.floats(0.001, 0.4), st.sampled_from(["wald", "score", "mn"]), st.sampled_from(["increase", "decrease"])
)
def test_a_larger_margin_is_easier(counts: Counts, margin: float, method: Any, better: Any) -> None:
    for scale in ("absolute", "relative"):
        small, large = (
            noninferiority(*counts, m, scale=scale, method=method, better=better).z  # type: ignore[arg-type]
            for m in (margin, 2 * margin)
        )
        beyond_wald = method == "wald" and scale == "relative"  # its variance grows with the margin too
        assert beyond_wald or not large < small - 1e-9


def test_a_loss_that_cannot_be_told_from_the_margin_is_not_excluded() -> None:
    at_margin = noninferiority(450, 5_000, 500, 5_000, 0.01, scale="absolute")
    assert at_margin.p_value == pytest.approx(0.5)
    assert not at_margin.shown()
    relative = noninferiority(450, 5_000, 500, 5_000, 0.1, scale="relative", method="score")
    assert relative.p_value == pytest.approx(0.5)
    better = noninferiority(500, 5_000, 500, 5_000, 0.02, scale="absolute")
    assert better.shown()
    assert noninferiority(500, 5_000, 500, 5_000, 0.02, scale="absolute", better="decrease") == pytest.approx(better)


def test_without_variation_nothing_is_shown() -> None:
    empty = noninferiority(0, 100, 0, 1_000, 0.01, scale="absolute")
    assert math.isnan(empty.z)
    assert not empty.shown()
    # The score knows that none of 100 is no proof, and none of 10,000 is.
    for n, shown in ((100, False), (10_000, True)):
        score = noninferiority(0, n, 0, 10 * n, 0.01, scale="absolute", better="decrease", method="mn")
        assert score.shown() == shown
    assert not NonInferiority(math.nan, math.nan).shown(0.99)


@pytest.mark.parametrize(
    ("margin", "scale", "better"),
    [(0.0, "absolute", "increase"), (-0.01, "relative", "increase"), (1.0, "absolute", "decrease"),
     (1.0, "relative", "increase"), (math.nan, "absolute", "increase")],
)  # fmt: skip
def test_margins_that_mean_nothing_are_refused(margin: float, scale: Any, better: Any) -> None:
    with pytest.raises(ValueError, match="tolerable loss"):
        noninferiority(5, 10, 5, 10, margin, scale=scale, better=better)


def test_a_rise_may_be_tolerated_beyond_double() -> None:
    assert noninferiority(30, 1_000, 20, 1_000, 2.0, scale="relative", better="decrease", method="score").shown()


def level(method: Any, n_t: int, n_c: int, p_c: float, margin: float) -> float:
    """Exact probability that non-inferiority is shown for a canary that loses exactly the margin."""
    p_t, p_c_all = pmf(n_t, p_c - margin), pmf(n_c, p_c)
    return float(
        sum(
            p_t[a] * p_c_all[b]
            for a, b in product(range(n_t + 1), range(n_c + 1))
            if noninferiority(a, n_t, b, n_c, margin, scale="absolute", method=method).shown()
        )
    )


def test_the_score_keeps_its_level_where_wald_does_not() -> None:
    cells = [(20, 60, 0.95, 0.1), (20, 60, 0.9, 0.1)]
    score, wald = ([level(m, *cell) for cell in cells] for m in ("mn", "wald"))
    assert max(score) < 0.075
    assert max(wald) > 0.1


# ── intervals ──────────────────────────────────────────────────────────────────────────────────────────────────────


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.floats(1e-6, 0.5))
def test_an_interval_of_a_rate_holds_the_rate(x: int, more: int, alpha: float) -> None:
    n = x + more
    for interval in (wilson_interval, clopper_pearson_interval):
        low, high = interval(x, n, alpha)
        assert 0 <= low <= (x / n if n else 0.5) <= high <= 1
        other = interval(n - x, n, alpha)
        assert (1 - other[1], 1 - other[0]) == pytest.approx((low, high), abs=1e-9)


@given(tables(most=10**6), st.floats(1e-4, 0.5))
def test_an_interval_of_a_difference_holds_the_difference(counts: Counts, alpha: float) -> None:
    x_t, n_t, x_c, n_c = counts
    for interval in (newcombe_interval, score_interval):
        low, high = interval(*counts, alpha)
        assert -1 <= low <= x_t / n_t - x_c / n_c + 1e-12
        assert x_t / n_t - x_c / n_c - 1e-12 <= high <= 1
        assert interval(*swapped(*counts), alpha) == pytest.approx((-high, -low), abs=1e-6)


@given(tables(most=5_000), st.floats(0.001, 0.3))
def test_the_score_interval_and_the_margin_agree(counts: Counts, margin: float) -> None:
    low, _ = score_interval(*counts, 0.1)
    shown = noninferiority(*counts, margin, scale="absolute", method="mn").shown(0.05)
    assert shown == (low > -margin) or low == pytest.approx(-margin, abs=1e-6)


def test_no_trials_say_nothing() -> None:
    assert wilson_interval(0, 0) == clopper_pearson_interval(0, 0) == (0.0, 1.0)
    assert newcombe_interval(0, 0, 5, 10) == score_interval(5, 10, 0, 0) == (-1.0, 1.0)
    with pytest.raises(ValueError, match="alpha"):
        wilson_interval(1, 2, 1.0)


@pytest.mark.parametrize("n", [5, 20, 60])
def test_coverage_of_a_rate_by_enumeration(n: int) -> None:
    exact = [clopper_pearson_interval(x, n) for x in range(n + 1)]
    wilson = [wilson_interval(x, n) for x in range(n + 1)]
    for p in np.linspace(0.01, 0.99, 99):
        weights = pmf(n, p)
        assert sum(w for w, (low, high) in zip(weights, exact, strict=True) if low <= p <= high) >= 0.95 - 1e-9
        assert sum(w for w, (low, high) in zip(weights, wilson, strict=True) if low <= p <= high) >= 0.83
    mean = np.mean([sum(pmf(n, p)[x] for x in range(n + 1) if wilson[x][0] <= p <= wilson[x][1])
                    for p in np.linspace(0.02, 0.98, 97)])  # fmt: skip
    assert mean == pytest.approx(0.95, abs=0.012)


@pytest.mark.parametrize("interval", [newcombe_interval, score_interval])
def test_coverage_of_a_difference_by_enumeration(interval: Callable[..., tuple[float, float]]) -> None:
    n_t, n_c = 10, 20
    found = {(a, b): interval(a, n_t, b, n_c) for a, b in product(range(n_t + 1), range(n_c + 1))}
    covered = []
    for p_t, p_c in product((0.05, 0.2, 0.5, 0.8), (0.05, 0.3, 0.6)):
        both = np.outer(pmf(n_t, p_t), pmf(n_c, p_c))
        covered.append(sum(both[k] for k, (low, high) in found.items() if low <= p_t - p_c <= high))
    assert min(covered) > 0.9
    assert np.mean(covered) == pytest.approx(0.95, abs=0.02)


def test_the_ends_of_the_exact_interval_are_where_the_tails_are() -> None:
    low, high = clopper_pearson_interval(7, 50, 0.1)
    assert bdtrc(6, 50, low) == pytest.approx(0.05)
    assert 1 - bdtrc(7, 50, high) == pytest.approx(0.05)
