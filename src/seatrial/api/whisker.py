"""One verdict as a small drawing: the interval, the estimate, and the bound that the interval must exclude."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from seatrial.control.documents.views import Document

WIDTH: Final = 200.0
EDGE: Final = 8.0
ROOM: Final = 2.5
"""An interval that reaches further than so many times the bound is cut: what matters is where the bound lies in it."""


@dataclass(frozen=True, slots=True)
class Whisker:
    """Places from left to right in a drawing ``WIDTH`` wide; ``cut_*``: the interval goes on beyond the drawing.

    ``worse``: where the loss begins that must be excluded, and how wide that side is drawn.
    """

    zero: float
    low: float
    high: float
    estimate: float
    bound: float | None
    worse: tuple[float, float] | None
    cut_low: bool
    cut_high: bool


def whisker(v: Document) -> Whisker | None:
    """None while there is no interval."""
    if v["estimate"] is None or v["lower"] is None or v["upper"] is None:
        return None
    # A relative bound on rare events is one of the rates' ratio: it has no place on an axis of differences.
    bound = None if v["boundScale"] == "relative" and v["scale"] != "relative" else v["bound"]
    left, right = _domain(v, bound)

    def place(value: float) -> float:
        inside = min(max(value, left), right)
        return round(EDGE + (WIDTH - 2 * EDGE) * (inside - left) / (right - left), 1)

    return Whisker(
        zero=place(0.0),
        low=place(v["lower"]),
        high=place(v["upper"]),
        estimate=place(v["estimate"]),
        bound=None if bound is None else place(bound),
        worse=None if bound is None else _worse(v, place(bound)),
        cut_low=v["lower"] < left,
        cut_high=v["upper"] > right,
    )


def _domain(v: dict[str, Any], bound: float | None) -> tuple[float, float]:
    """Zero, the bound and the estimate are inside; of the interval as much as there is room for."""
    far = ROOM * abs(bound) if bound else max(abs(v["lower"]), abs(v["upper"]))
    known = [0.0, v["estimate"], max(v["lower"], -far), min(v["upper"], far), *([] if bound is None else [bound])]
    low, high = min(known), max(known)
    pad = 0.06 * ((high - low) or 1.0)
    return low - pad, high + pad


def _worse(v: dict[str, Any], bound: float) -> tuple[float, float]:
    return (bound, WIDTH - bound) if v["better"] == "decrease" else (0.0, bound)
