"""How far apart windows lie without any drift, learned from chunks of the reference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seatrial.stats.drift.measures import INDEPENDENT, Column, Dependence, binner
from seatrial.stats.drift.psi import SMOOTHING, psi

Floats = NDArray[np.float64]


def dependence(chunks: Sequence[Column]) -> Dependence:
    """How much further apart chunks of the reference lie than independent values would, and how unevenly.

    Each chunk is compared with the others by PSI, whose mean and variance without dependence are those of a chi-square.
    Days and sessions make both larger. Chunks as long as the windows that are judged later see what these will.
    Nothing is made smaller than without; fewer than two chunks tell nothing. Raises ValueError for chunks of different
    frames.

    >>> from seatrial.stats.drift.cells import Cells, Frame
    >>> even = [Cells.of(Frame(0, 1), np.arange(i, 1000, 4)) for i in range(4)]
    >>> days = [Cells.of(Frame(0, 1), np.arange(i * 250, i * 250 + 250)) for i in range(4)]
    >>> dependence(even), dependence(days).scale > 50
    (Dependence(scale=1.0, share=1.0), True)
    """
    full = [chunk for chunk in chunks if chunk.n]
    if len(full) < 2:
        return INDEPENDENT
    everything = total(full)
    counted = binner(everything)
    whole = counted(everything)
    found = [ratio for chunk in full if (ratio := _ratio(whole, counted(chunk))) is not None]
    if len(found) < 2:
        return INDEPENDENT
    ratios, freedom = np.array([ratio for ratio, _ in found]), float(np.mean([f for _, f in found]))
    mean, variance = float(ratios.mean()), float(ratios.var(ddof=1))
    share = min(1.0, max(1.0, 2 * mean**2 / variance) / freedom) if variance and mean > 1 else 1.0
    return Dependence(max(1.0, mean / share), share)


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


def _ratio(whole: Floats, chunk: Floats) -> tuple[float, int] | None:
    """A chunk's chi-square over its degrees of freedom, and these; None where a column is constant."""
    there = whole > 0
    rest = (whole - chunk)[there]
    freedom = int(there.sum()) - 1
    if not freedom or not rest.any():
        return None
    expected = freedom * (1 / rest.sum() + 1 / chunk.sum())
    return psi(rest, chunk[there], SMOOTHING) / float(expected), freedom
