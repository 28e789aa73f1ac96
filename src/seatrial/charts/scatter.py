"""Shadow against champion: the scores both gave to the same requests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import altair as alt
import numpy as np
from numpy.typing import ArrayLike, NDArray

from seatrial.charts import style
from seatrial.evidence.scores import BINS_PER_LOGIT, SCORE_BINS
from seatrial.stats.ranking import spearman_from_grid

MOST_CELLS: Final = 64
"""Cells a side at most: finer than that the eye sees noise, and the page grows."""

_TICKS: Final = (0.0001, 0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99, 0.999, 0.9999)
_RAMP: Final = ("#b9d7ea", "#6aaed6", "#2b83ba", "#0b5a92", "#062f4f")
_TO_PERCENT: Final = "format(1 / (1 + exp(-datum.value)), '.2~%')"


def scatter_chart(
    grid: ArrayLike, *, title: str = "Shadow against champion", size: int = 340, unmatched: int = 0
) -> alt.LayerChart | None:
    """How often each pair of scores occurred, on the log-odds scale, coloured by count; None for an empty grid.

    ``grid``: counts of shape (128, 128), champion bin by shadow bin (evidence.scores). On the diagonal both gave the
    same score. The subtitle carries Spearman's rho: agreement, which is not quality. Raises ValueError for another
    shape.
    """
    counts = np.asarray(grid, dtype=np.int64)
    if counts.shape != (SCORE_BINS, SCORE_BINS):
        raise ValueError(f"a score grid has shape ({SCORE_BINS}, {SCORE_BINS}), not {counts.shape}")
    if not counts.any():
        return None
    first, last, step = _window(counts)
    low, high = _logit(first), _logit(last)
    axis = alt.Axis(values=_ticks(low, high), labelExpr=_TO_PERCENT, domain=False, ticks=False, labelPadding=6)
    scale = alt.Scale(domain=[low, high], nice=False, zero=False)
    x = alt.X("champion:Q", title="champion's score", scale=scale, axis=axis)
    y = alt.Y("shadow:Q", title="shadow's score", scale=scale, axis=axis)
    cells = _cells(counts, first, last, step)
    diagonal = [{"champion": low, "shadow": low}, {"champion": high, "shadow": high}]
    heat = (
        style.chart(cells)
        .mark_rect()
        .encode(x=x, x2="champion_end:Q", y=y, y2="shadow_end:Q", color=_colour([c["pairs"] for c in cells]))
    )
    line = style.chart(diagonal).mark_line(color=style.VERMILLION, strokeDash=[5, 4], strokeWidth=1.6).encode(x=x, y=y)
    return style.finish([heat, line], title, _subtitle(counts, unmatched), width=size, height=size)


def _subtitle(counts: NDArray[np.int64], unmatched: int) -> str:
    rho = spearman_from_grid(counts)
    agreement = "rank correlation undefined" if rho is None else f"Spearman's rho {rho:.3f} (agreement, not quality)"
    missing = f", {unmatched:,} without one answer" if unmatched else ""
    return f"{agreement}; {int(counts.sum()):,} requests{missing}"


def _window(counts: NDArray[np.int64]) -> tuple[int, int, int]:
    """First bin, end and bins a cell, so that both axes show all that occurred and the diagonal is one."""
    used = np.flatnonzero(counts.any(axis=0) | counts.any(axis=1))
    first, end = int(used[0]), int(used[-1]) + 1
    step = math.ceil((end - first) / MOST_CELLS)
    first = max(0, first - step)
    end = min(SCORE_BINS, end + step)
    return first, first + math.ceil((end - first) / step) * step, step


def _cells(counts: NDArray[np.int64], first: int, end: int, step: int) -> list[style.Row]:
    padded = np.zeros((end, end), dtype=np.int64)
    inside = counts[:end, :end]
    padded[: inside.shape[0], : inside.shape[1]] = inside
    n = (end - first) // step
    coarse = padded[first:, first:].reshape(n, step, n, step).sum(axis=(1, 3))
    return [
        {
            "champion": _logit(first + i * step),
            "champion_end": _logit(first + (i + 1) * step),
            "shadow": _logit(first + j * step),
            "shadow_end": _logit(first + (j + 1) * step),
            "pairs": int(coarse[i, j]),
        }
        for i, j in zip(*(axis.tolist() for axis in np.nonzero(coarse)), strict=True)
    ]


def _colour(pairs: Sequence[int]) -> alt.Color:
    top = max(*pairs, 10)
    powers = [10**k for k in range(math.floor(math.log10(top)) + 1)]
    legend = alt.Legend(title="requests", orient="right", values=powers, format="~s", gradientLength=160)
    return alt.Color("pairs:Q", scale=alt.Scale(type="log", domain=[1, top], range=list(_RAMP)), legend=legend)


def _logit(edge: int) -> float:
    """Log-odds at the lower edge of a bin."""
    return round((edge - SCORE_BINS // 2) / BINS_PER_LOGIT, 6)


def _ticks(low: float, high: float) -> list[float]:
    logits = [math.log(p / (1 - p)) for p in _TICKS]
    return [round(t, 6) for t in logits if low <= t <= high]
