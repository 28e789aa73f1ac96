"""Exact tests against brute force, and what decides that one is needed."""

import math
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import comb

from seatrial.stats.counts import conditional_binomial_p
from seatrial.stats.exact import THIN, barnard_p, exact_test, fisher_p, smallest_expected
from seatrial.stats.proportions import two_proportion_z

ALTERNATIVES = ["two-sided", "less", "greater"]


def likelihood(n: int, p: np.ndarray) -> np.ndarray:
    k = np.arange(n + 1)[:, None]
    return np.asarray(comb(n, k) * p**k * (1 - p) ** (n - k))


def barnard_by_hand(x_t: int, n_t: int, x_c: int, n_c: int, alternative: str) -> float:
    """All tables, one after the other, over a fine grid of common shares."""

    def extreme(a: int, b: int) -> float:
        z = two_proportion_z(a, n_t, b, n_c).z
        z = 0.0 if math.isnan(z) else z
        return {"two-sided": abs(z), "less": -z, "greater": z}[alternative]

    seen = extreme(x_t, x_c) - 1e-9
    share = np.linspace(0, 1, 4_001)
    p_t, p_c = likelihood(n_t, share), likelihood(n_c, share)
    tables = product(range(n_t + 1), range(n_c + 1))
    return float(sum(p_t[a] * p_c[b] for a, b in tables if extreme(a, b) >= seen).max())


def fisher_by_hand(x_t: int, n_t: int, x_c: int, n_c: int, alternative: str) -> float:
    events = x_t + x_c
    p = {a: math.comb(n_t, a) * math.comb(n_c, events - a) for a in range(max(0, events - n_c), min(n_t, events) + 1)}
    chosen = {
        "two-sided": [a for a in p if p[a] <= p[x_t]],
        "less": [a for a in p if a <= x_t],
        "greater": [a for a in p if a >= x_t],
    }[alternative]
    return sum(p[a] for a in chosen) / sum(p.values())


@st.composite
def small_tables(draw: st.DrawFn) -> tuple[int, int, int, int]:
    n_t, n_c = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    return draw(st.integers(0, n_t)), n_t, draw(st.integers(0, n_c)), n_c


@settings(max_examples=40)
@given(small_tables(), st.sampled_from(ALTERNATIVES))
def test_barnard_is_the_sum_over_all_tables(table: tuple[int, int, int, int], alternative: Any) -> None:
    assert barnard_p(*table, alternative) == pytest.approx(min(1, barnard_by_hand(*table, alternative)), abs=1e-4)


@given(small_tables(), st.sampled_from(ALTERNATIVES))
def test_fisher_is_the_sum_over_the_tables_with_these_margins(table: tuple[int, int, int, int], way: Any) -> None:
    assert fisher_p(*table, way) == pytest.approx(fisher_by_hand(*table, way), rel=1e-9)


@pytest.mark.parametrize("test", [barnard_p, fisher_p])
def test_an_exact_test_keeps_its_level(test: Any) -> None:
    n_t, n_c = 8, 15
    rejects = [t for t in product(range(n_t + 1), range(n_c + 1)) if test(t[0], n_t, t[1], n_c) <= 0.05]
    share = np.linspace(0.001, 0.999, 200)
    p_t, p_c = likelihood(n_t, share), likelihood(n_c, share)
    level = sum(p_t[a] * p_c[b] for a, b in rejects)
    assert np.max(level) <= 0.05
    assert np.max(level) > 0.01


def test_the_expected_count_decides_and_not_the_number_of_trials() -> None:
    assert smallest_expected(3, 2_000, 0, 20_000) < THIN
    assert smallest_expected(40, 100, 45, 100) > THIN
    assert smallest_expected(1_997, 2_000, 20_000, 20_000) < THIN
    assert smallest_expected(0, 0, 1, 5) == 0


def test_large_thin_tables_take_fisher_and_are_quick_and_right() -> None:
    test = exact_test(9, 10**11, 2, 10**11, "greater")
    assert test.method == "fisher"
    assert test.p_value == pytest.approx(conditional_binomial_p(9, 11, 0.5, "greater"), rel=1e-6)
    assert exact_test(3, 200, 3, 2_000).method == "barnard"
    assert exact_test(3, 2_000, 0, 10**9, "greater").p_value < 1e-15


def test_nothing_to_tell_is_p_equal_one() -> None:
    for table in [(0, 10, 0, 20), (10, 10, 20, 20), (0, 0, 3, 20)]:
        assert barnard_p(*table) == fisher_p(*table) == 1.0
    with pytest.raises(ValueError, match="between 0 and the trials"):
        exact_test(3, 2, 0, 5)


@given(st.integers(0, 60), st.integers(0, 60), st.floats(0.01, 0.99), st.sampled_from(ALTERNATIVES))
def test_the_conditional_test_is_the_sum_over_all_counts(x: int, more: int, share: float, way: Any) -> None:
    m = x + more
    p = [math.comb(m, k) * share**k * (1 - share) ** (m - k) for k in range(m + 1)]
    chosen = {
        "two-sided": [v for v in p if v <= p[x] * (1 + 1e-7)], "less": p[: x + 1], "greater": p[x:],
    }[way]  # fmt: skip
    assert conditional_binomial_p(x, m, share, way) == pytest.approx(min(1, sum(chosen)), rel=1e-6)


def test_the_conditional_test_refuses_what_is_no_split() -> None:
    for share in (0.0, 1.0, math.nan):
        with pytest.raises(ValueError, match="share"):
            conditional_binomial_p(1, 2, share)
    assert conditional_binomial_p(0, 0, 0.3) == 1.0
