"""Many tests at once: laws, and that each procedure keeps what it promises."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr

from seatrial.stats.multiplicity import benjamini_hochberg, e_benjamini_hochberg, holm

P = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]).size == benjamini_hochberg([]).size == 0
    assert e_benjamini_hochberg([]) == ()


@given(P, st.randoms())
def test_the_order_of_the_tests_does_not_matter(p: list[float], random: object) -> None:
    places = np.random.default_rng(len(p)).permutation(len(p))
    shuffled = np.array(p)[places]
    for adjust in (holm, benjamini_hochberg):
        assert adjust(shuffled).tolist() == adjust(p)[places].tolist()


@given(P)
def test_holm_is_stricter_than_benjamini_hochberg_and_both_than_nothing(p: list[float]) -> None:
    assert np.all(np.array(p) <= benjamini_hochberg(p) + 1e-15)
    assert np.all(benjamini_hochberg(p) <= holm(p) + 1e-15)
    assert np.all(holm(p) <= np.minimum(1, len(p) * np.array(p)) + 1e-15)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=10), st.floats(0.01, 0.5))
def test_e_values_are_rejected_from_the_largest_down(e: list[float], alpha: float) -> None:
    rejected = e_benjamini_hochberg(e, alpha)
    left = [v for n, v in enumerate(e) if n not in rejected]
    assert all(e[n] >= max(left, default=0) for n in rejected)
    assert all(e[n] * len(rejected) * alpha >= len(e) * (1 - 1e-12) for n in rejected)
    assert set(rejected) <= set(e_benjamini_hochberg([2 * v for v in e], alpha))


def test_false_rejections_stay_within_alpha_and_real_effects_are_found() -> None:
    rng, families, false, share, found = np.random.default_rng(6), 2_000, 0, [], []
    for _ in range(families):
        z = rng.normal(size=20) + rng.normal() * 0.5  # positively dependent
        z[:5] += 5
        p = ndtr(-z / np.sqrt(1.25))
        false += bool((holm(p)[5:] <= 0.05).any())
        rejected = benjamini_hochberg(p) <= 0.05
        share.append(rejected[5:].sum() / max(1, rejected.sum()))
        found.append(rejected[:5].mean())
    assert false / families <= 0.05 + 0.015
    assert np.mean(share) <= 0.05
    assert np.mean(found) > 0.9


def test_e_values_keep_the_rate_of_false_discoveries_under_any_dependence() -> None:
    rng, share = np.random.default_rng(7), []
    for _ in range(2_000):
        z = np.full(10, rng.normal())
        z[0] = rng.normal() + 4
        e = np.exp(2 * z - 2)  # likelihood ratio of a mean of 2 against 0
        rejected = e_benjamini_hochberg(e, 0.1)
        share.append(len([n for n in rejected if n > 0]) / max(1, len(rejected)))
    assert np.mean(share) <= 0.1


def test_what_is_no_p_value_is_refused() -> None:
    for p in ([1.1], [-0.1], [float("nan")]):
        for adjust in (holm, benjamini_hochberg):
            with pytest.raises(ValueError, match="p-values"):
                adjust(p)
    with pytest.raises(ValueError, match="e-values"):
        e_benjamini_hochberg([-1.0])
    with pytest.raises(ValueError, match="alpha"):
        e_benjamini_hochberg([1.0], 0.0)
