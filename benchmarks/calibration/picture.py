"""One picture: how often each method sends a harmless canary back, a mark for every cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from benchmarks.calibration.cells import RAMPS
from benchmarks.calibration.ramp import NONE
from benchmarks.calibration.report import METHODS, too_often
from seatrial.charts import style

LIMIT = 5.0
_HELD, _BROKEN = "at most 5% (+ 2 Monte-Carlo errors)", "more"


def picture(rows: Sequence[dict[str, Any]], releases: int) -> alt.LayerChart:
    """False rollbacks by method; a symmetric-log axis, so that 0.1% and 100% are both to be seen."""
    names = {cell.name for cell in RAMPS}
    points = [
        {"method": row["method"], "rate": 100 * row["rolled_back"], "held": _held(row)}
        for row in rows
        if row["cell"] in names and row["effect"] == NONE
    ]
    x = alt.X(
        "rate:Q",
        title="releases rolled back though the canary is the champion, %",
        scale=alt.Scale(type="symlog", constant=2, domain=[0, 100], nice=False),
        axis=alt.Axis(values=[0, 1, 2, 5, 10, 20, 50, 100], grid=True),
    )
    y = alt.Y("method:N", title=None, sort=list(METHODS), axis=alt.Axis(labelLimit=220, labelColor=style.INK))
    kinds = [_HELD, _BROKEN]
    marks = (
        style.chart(points)
        .mark_point(size=70, filled=True, opacity=0.75)
        .encode(
            x=x,
            y=y,
            color=alt.Color(
                "held:N", scale=alt.Scale(domain=kinds, range=[style.BLUE, style.VERMILLION]), legend=style.legend()
            ),
            shape=alt.Shape(
                "held:N", scale=alt.Scale(domain=kinds, range=["circle", "triangle"]), legend=style.legend()
            ),
        )
    )
    limit = style.chart([{"rate": LIMIT}]).mark_rule(color=style.INK, strokeDash=[4, 3]).encode(x=x)
    title, subtitle = (
        "False rollbacks",
        f"one mark a cell, {releases:,} simulated releases each; dashed: what was promised",
    )
    return style.finish([limit, marks], title, subtitle, width=style.WIDTH - 150, height=26 * len(METHODS))


def _held(row: dict[str, Any]) -> str:
    return _BROKEN if too_often(row, "rolled_back") else _HELD
