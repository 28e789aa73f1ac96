"""The frozen grid of scores."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from seatrial.evidence.scores import BINS_PER_LOGIT, SCORE_BINS, score_bins


def test_the_formula_is_frozen():
    """Grids of different days add up only while this holds."""
    scores = [0.0, 1e-12, 0.001, 0.01, 0.1, 0.2, 0.5, 0.8, 0.9, 0.99, 0.999, 1.0]
    assert score_bins(scores).tolist() == [0, 0, 19, 34, 49, 55, 64, 72, 78, 93, 108, 127]
    assert score_bins([math.nan, -0.1, 1.1, math.inf]).tolist() == [-1, -1, -1, -1]


@given(st.lists(st.floats(0, 1), min_size=2))
def test_a_larger_score_is_never_in_a_lower_bin(scores):
    bins = score_bins(np.sort(scores))
    assert (np.diff(bins) >= 0).all()
    assert ((bins >= 0) & (bins < SCORE_BINS)).all()


@given(st.floats(1e-4, 1 - 1e-4))
def test_a_bin_is_as_wide_as_it_says(score):
    low = (int(score_bins(score)) - SCORE_BINS // 2) / BINS_PER_LOGIT
    odds = math.log(score / (1 - score))
    assert low - 1e-9 <= odds < low + 1 / BINS_PER_LOGIT + 1e-9
