"""Recorded and replayed answers: tolerance, flips, ranks, one-sided NaN, and rounding as an accelerator does it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.ci.parity import compare, rounded

RNG = np.random.default_rng(3)
SCORES = np.concatenate([RNG.uniform(size=200), [0.5]])


def test_rounding_passes_and_a_real_difference_does_not() -> None:
    near = compare(SCORES, SCORES + 1e-7, tolerance=1e-5, threshold=0.4)
    far = compare(SCORES, SCORES + 1e-2, tolerance=1e-5, threshold=0.4)
    assert (near.beyond, near.flips) == (0, 0)
    assert near.rank_agreement == pytest.approx(1.0)
    assert far.beyond == len(SCORES)
    assert far.largest == pytest.approx(1e-2)


def test_a_tiny_change_across_the_threshold_is_a_flip() -> None:
    moved = SCORES.copy()
    moved[-1] -= 1e-6
    told = compare(SCORES, moved, tolerance=1e-5, threshold=0.5)
    assert (told.beyond, told.flips) == (0, 1)
    assert compare(SCORES, moved, tolerance=1e-5).flips is None


@pytest.mark.parametrize("strange", [np.nan, np.inf, -np.inf])
def test_what_is_a_number_on_one_side_only_is_counted(strange: float) -> None:
    broken = SCORES.copy()
    broken[3] = strange
    for told in (compare(SCORES, broken, tolerance=1, threshold=0.5), compare(broken, SCORES, tolerance=1)):
        assert told.one_sided == 1
    assert compare(broken, broken, tolerance=1).one_sided == 0


def test_constant_answers_have_no_rank_agreement() -> None:
    assert compare(np.ones(5), np.ones(5), tolerance=0).rank_agreement is None


def test_answers_that_are_no_pairs_are_refused() -> None:
    for other in (SCORES[1:], SCORES[:, None], np.empty(0)):
        with pytest.raises(ValueError, match="answers"):
            compare(SCORES, other, tolerance=1)


@given(st.floats(allow_nan=False, width=32))
def test_bfloat16_is_one_of_the_two_neighbours_and_the_nearer_one(value: float) -> None:
    got = float(rounded(np.array([value]), "bfloat16")[0])
    bits = np.array([value], dtype=np.float32).view(np.uint32)
    cut = (bits & np.uint32(0xFFFF0000)).view(np.float32)
    above = ((bits & np.uint32(0xFFFF0000)) + np.uint32(0x10000)).view(np.float32)
    if not np.isfinite(value):
        assert got == value
    else:
        assert got in (float(cut[0]), float(above[0]))
        if np.isfinite(above[0]):
            assert abs(got - value) <= min(abs(float(cut[0]) - value), abs(float(above[0]) - value)) + 1e-300


def test_only_floats_are_rounded_and_their_type_stays() -> None:
    whole = np.arange(300)
    assert rounded(whole, "bfloat16") is whole
    assert rounded(SCORES, "bfloat16").dtype == np.float64
    assert np.isnan(rounded(np.array([np.nan]), "bfloat16")[0])
    assert np.array_equal(rounded(SCORES, "float32"), SCORES.astype(np.float32).astype(np.float64))
    with pytest.raises(ValueError, match="float8"):
        rounded(SCORES, "float8")
