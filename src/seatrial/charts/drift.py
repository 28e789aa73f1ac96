"""Drift of a table: how many times its threshold each column has moved, now or window by window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import altair as alt

from seatrial.charts import style

MOST: Final = 25
_TOP: Final = 5.0


def drift_chart(document: Mapping[str, Any], *, width: int = style.WIDTH) -> alt.LayerChart:
    """The columns of a ``seatrial.drift-analysis`` document that moved most, each by the largest of its measures.

    One window: a bar a column, 1 is the threshold. Several: a field a window and column, the darker the further. A
    cross: the difference is also sure. Raises ValueError without columns or windows.
    """
    rows = [row for column in document["columns"] for row in _rows(column, document["windows"])]
    if not rows:
        raise ValueError("there is nothing to draw")
    order = sorted({row["column"] for row in rows}, key=lambda name: (-_most(rows, name), name))[:MOST]
    shown = [row for row in rows if row["column"] in order]
    single = len(document["windows"]) == 1
    height = max(60, 20 * len(order))
    y = alt.Y("column:N", sort=order, title=None, axis=alt.Axis(labelLimit=180, grid=False))
    layers = _bars(shown, y) if single else _fields(shown, y)
    title = f"{document['current']['name']} against {document['reference']['name']}"
    dropped = len({row["column"] for row in rows}) - len(order)
    more = f"; {dropped} columns that moved less are not shown" if dropped else ""
    subtitle = f"how far, in thresholds; ✖: surely as well{more}"
    return style.finish(layers, title, subtitle, width=width, height=height)


def _rows(column: Mapping[str, Any], windows: Sequence[Mapping[str, Any]]) -> list[style.Row]:
    found = []
    for window, part in zip(windows, column["windows"], strict=True):
        told = [f for f in part["judged"] if f["value"] is not None]
        if told:
            worst = max(told, key=lambda f: (f["drift"], f["value"] / f["least"] if f["least"] else 0.0))
            times = worst["value"] / worst["least"] if worst["least"] else 0.0
            text = f"{'✖ ' if worst['drift'] else ''}{worst['measure']} {worst['value']:.3g}"
            found.append({"column": column["name"], "window": (window["start"] or "")[:16].replace("T", " "),
                          "times": round(times, 4), "capped": min(times, _TOP), "text": text,
                          "drift": worst["drift"]})  # fmt: skip
    return found


def _most(rows: Sequence[style.Row], name: str) -> float:
    return max(float(row["times"]) for row in rows if row["column"] == name)


def _bars(rows: Sequence[style.Row], y: alt.Y) -> list[alt.Chart]:
    top = max(_TOP, *(min(row["times"], 4 * _TOP) for row in rows))
    x = alt.X("times:Q", title="times its threshold", scale=alt.Scale(domain=[0, 1.15 * top], clamp=True))
    drifted = style.chart([row for row in rows if row["drift"]]).mark_bar(color=style.VERMILLION, height=12)
    calm = style.chart([row for row in rows if not row["drift"]]).mark_bar(color=style.BLUE, height=12)
    words = style.chart(rows).mark_text(align="left", dx=5).encode(x=x, y=y, text="text:N")
    limit = style.chart([{"limit": 1}]).mark_rule(color=style.INK, strokeDash=[4, 3]).encode(x="limit:Q")
    return [drifted.encode(x=x, y=y), calm.encode(x=x, y=y), words, limit]


def _fields(rows: Sequence[style.Row], y: alt.Y) -> list[alt.Chart]:
    x = alt.X("window:O", title="window from", axis=alt.Axis(labelAngle=-45, labelOverlap=True))
    scale = alt.Scale(domain=[0, 1, _TOP], range=[style.GRID, style.SKY, style.VERMILLION], interpolate="rgb")
    colour = alt.Color("capped:Q", scale=scale, legend=alt.Legend(title="thresholds", orient="right"))
    crosses = style.chart([row for row in rows if row["drift"]]).mark_text(text="✖", fontSize=11)
    return [style.chart(rows).mark_rect().encode(x=x, y=y, color=colour), crosses.encode(x=x, y=y)]
