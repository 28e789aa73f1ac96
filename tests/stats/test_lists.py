"""Agreement of ranked lists: defined for everything a ranker may answer, and never a number where there is none."""

from __future__ import annotations

import math
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau
from sklearn.metrics import ndcg_score

from seatrial.stats.lists import kendall, kendall_common, ndcg, rbo, topk_overlap

LISTS = st.lists(st.integers(0, 30), unique=True, max_size=20)
SCORES = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=25)


@given(ranked=LISTS)
def test_identical_lists_agree_exactly(ranked: list[int]) -> None:
    expected = 1.0 if ranked else None
    assert rbo(ranked, list(ranked)) == expected
    assert topk_overlap(ranked, list(ranked), 10) == expected
    assert kendall_common(ranked, list(ranked)) == (1.0 if len(ranked) > 1 else None)
    assert kendall_common(ranked, ranked[::-1]) == (-1.0 if len(ranked) > 1 else None)


@given(first=LISTS, second=LISTS)
def test_agreement_is_symmetric_and_between_none_and_all(first: list[int], second: list[int]) -> None:
    for agreement in (rbo(first, second), topk_overlap(first, second, 5)):
        assert agreement is None if not (first or second) else 0.0 <= agreement <= 1.0
    assert rbo(first, second) == pytest.approx(rbo(second, first), abs=1e-12)
    assert kendall_common(first, second) == kendall_common(second, first)
    if not {*first} & {*second} and (first or second):
        assert rbo(first, second) == pytest.approx(0, abs=1e-12)


@given(first=LISTS, second=LISTS, p=st.floats(0.05, 0.95))
def test_rank_biased_overlap_is_the_formula_of_the_paper(first: list[int], second: list[int], p: float) -> None:
    """Equation 32 as it stands: sums over the short and the long part, and the extrapolated tail."""
    short, long = sorted((first, second), key=len)
    s, n = len(short), len(long)
    if not s:
        return
    common = [len({*short[:d]} & {*long[:d]}) for d in range(n + 1)]
    total = sum(common[d] / d * p**d for d in range(1, n + 1))
    total += sum(common[s] * (d - s) / (s * d) * p**d for d in range(s + 1, n + 1))
    tail = (common[n] - common[s]) / n + common[s] / s
    assert rbo(first, second, p) == pytest.approx((1 - p) / p * total + tail * p**n, abs=1e-9)


def test_a_swap_at_the_top_counts_more_than_one_below() -> None:
    ranked = list(range(10))
    top, bottom = [1, 0, *ranked[2:]], [*ranked[:8], 9, 8]
    assert rbo(ranked, top) < rbo(ranked, bottom) < 1  # type: ignore[operator]
    assert topk_overlap(ranked, top, 10) == 1.0
    assert topk_overlap(ranked, top, 1) == 0.0


@pytest.mark.parametrize("call", [lambda: rbo("aba", "abc"), lambda: topk_overlap("abc", "cc", 3)])
def test_a_duplicate_is_named(call: Any) -> None:
    with pytest.raises(ValueError, match="twice"):
        call()


def test_a_ranker_that_answers_nothing_agrees_with_nobody() -> None:
    assert (rbo("", "abc"), topk_overlap("abc", "", 3), kendall_common("abc", "")) == (0.0, 0.0, None)
    assert (rbo("", ""), topk_overlap("", "", 3)) == (None, None)


@pytest.mark.parametrize("p", [0.0, 1.0, math.nan])
def test_a_persistence_that_means_nothing_is_refused(p: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        rbo("ab", "ab", p)


@given(pairs=SCORES)
def test_kendall_is_the_one_of_scipy(pairs: list[tuple[int, int]]) -> None:
    first, second = zip(*pairs, strict=True)
    ours, theirs = kendall(first, second), float(kendalltau(first, second).statistic)
    assert (ours is None and math.isnan(theirs)) or ours == pytest.approx(theirs, abs=1e-12)


@given(scores=st.lists(st.floats(-5, 5), min_size=2, max_size=30))
def test_the_same_scores_correlate_exactly(scores: list[float]) -> None:
    assert kendall(scores, scores) == (1.0 if len(set(scores)) > 1 else None)


def test_constant_scores_have_no_correlation_and_nan_is_refused() -> None:
    assert kendall([1, 1, 1], [1, 2, 3]) is None
    for bad in ([1, math.nan], [1, math.inf]):
        with pytest.raises(ValueError, match="finite"):
            kendall(bad, [1, 2])
    with pytest.raises(ValueError, match="pairs"):
        kendall([1, 2, 3], [1, 2])


@given(
    judged=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), min_size=2, max_size=12),
    k=st.one_of(st.none(), st.integers(1, 15)),
)
def test_gain_is_the_one_of_scikit_learn(judged: list[tuple[int, int]], k: int | None) -> None:
    grades, scores = zip(*judged, strict=True)
    ours = ndcg(grades, scores, k)
    assert (ours is None) == (max(grades) == 0)
    if ours is not None:
        assert ours == pytest.approx(ndcg_score([grades], [scores], k=k), abs=1e-9)


def test_the_gain_of_ties_is_the_mean_over_their_orders() -> None:
    grades = [3.0, 0.0, 1.0]
    orders = [ndcg(grades, order, 2) for order in permutations([1, 2, 3])]
    assert ndcg(grades, [7, 7, 7], 2) == pytest.approx(np.mean([found for found in orders if found is not None]))


def test_a_gain_of_nothing_is_no_number() -> None:
    assert ndcg([0, 0], [1, 2]) is None
    assert ndcg([], []) is None
    for grades, scores, k in (([-1, 1], [1, 2], None), ([1], [1, 2], None), ([1, 0], [1, 2], 0)):
        with pytest.raises(ValueError, match=r"score|k must"):
            ndcg(grades, scores, k)
