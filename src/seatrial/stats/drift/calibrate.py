"""How far apart windows lie without any drift, learned from chunks of the reference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seatrial.stats.drift.measures import INDEPENDENT, Column, Dependence, binner

Floats = NDArray[np.float64]

LEAST_CHUNKS = 3
"""Two chunks differ in one way only, and say nothing of the others."""


def dependence(chunks: Sequence[Column]) -> Dependence:
    """How much further apart chunks of the reference lie than independent values would, and how unevenly.

    From how the chunks' shares of each bin vary and move together: without drift a window's chi-square is a weighted
    sum of squares, of which the weights are the eigenvalues of that covariance. Its first three moments are those of a
    shifted chi-square; that these were estimated from so many chunks widens it to an F ratio. Chunks as long as the
    windows that are judged later see what these will: days, sessions, seasons.

    Fewer than three chunks tell nothing. Raises ValueError for chunks of different frames. Sources: Rao & Scott (1981);
    Hall (1983), Buckley & Eagleson (1988) for the moments.

    >>> from seatrial.stats.drift.cells import Cells, Frame
    >>> even = [Cells.of(Frame(0, 1), np.arange(i, 1000, 4)) for i in range(4)]
    >>> days = [Cells.of(Frame(0, 1), np.arange(i * 250, i * 250 + 250)) for i in range(4)]
    >>> dependence(even), dependence(days).scale > 50
    (Dependence(scale=1.0, share=1.0, floor=0.0, known=None), True)
    """
    full = [chunk for chunk in chunks if chunk.n]
    if len(full) < LEAST_CHUNKS:
        return INDEPENDENT
    everything = total(full)
    counted = binner(everything)
    spread = _spread(counted(everything), np.array([counted(chunk) for chunk in full]))
    freedom, estimated = len(spread) - 1, len(full) - 1
    first, second = float(np.trace(spread)), float(np.sum(spread * spread))
    third = float(np.sum(spread @ spread * spread))
    if freedom < 1 or not third > 0 or third / second <= 1:
        return INDEPENDENT
    scale, left = third / second, second**3 / third**2
    return Dependence(scale, left / freedom, max(0.0, first - scale * left) / freedom, estimated * left)


def total(chunks: Sequence[Column]) -> Column:
    """All chunks together. Raises ValueError for none, or for chunks that do not go together.

    >>> from seatrial.stats.drift.categories import Categories
    >>> total([Categories({"a": 1}), Categories({"a": 2})])
    Categories(counts={'a': 3}, missing=0)
    """
    if not chunks:
        raise ValueError("the sum of no chunks has no frame")
    found = chunks[0]
    for chunk in chunks[1:]:
        found = found + chunk  # type: ignore[operator]
    return found


def _spread(whole: Floats, chunks: Floats) -> Floats:
    """The covariance of the chunks' shares of each bin that is not empty, in units of independent values' errors."""
    there = whole > 0
    rows = chunks.sum(axis=1, keepdims=True)
    shares = whole[there] / whole.sum()
    residuals = (chunks[:, there] / rows - shares) * np.sqrt(rows / shares)
    return np.asarray(residuals.T @ residuals / (len(chunks) - 1))
