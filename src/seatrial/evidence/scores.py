"""Bins of scores: champion and shadow answers are compared on a grid of counts that merges exactly."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

SCORE_BINS = 128
BINS_PER_LOGIT = 6.4
"""128 bins of equal width on the log-odds scale from -10 to 10; what lies beyond is in the outer bins."""


def score_bins(scores: ArrayLike) -> NDArray[np.int64]:
    """Bin 0..127 of each score in [0, 1]; -1 for scores outside and for NaN, which have no place on the grid.

    Bin k holds log-odds in [(k - 64) / 6.4, (k - 63) / 6.4). The formula is frozen: grids of different days add up.

    >>> score_bins([0.0, 0.25, 0.5, 0.75, 1.0, 1.5]).tolist()
    [0, 56, 64, 71, 127, -1]
    """
    p = np.asarray(scores, dtype=np.float64)
    inside = (p >= 0.0) & (p <= 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        odds = np.log(p / (1.0 - p))
    raw = np.floor(np.clip(odds, -11.0, 11.0) * BINS_PER_LOGIT) + SCORE_BINS // 2
    return np.where(inside, np.clip(raw, 0, SCORE_BINS - 1), -1).astype(np.int64)
