"""How simulated releases of a plan ended: shares by scenario, and how long it took."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import altair as alt

from seatrial.charts import style

_ENDS: Final = {"promoted": "promoted", "held": "undecided at the deadline", "home": "sent home"}
_COLOURS: Final = (style.GREEN, style.GRID, style.VERMILLION)
_ROW: Final = 46
_LEAST_LABELLED: Final = 0.06


def simulation_chart(document: Mapping[str, Any], *, width: int = 460) -> alt.LayerChart:
    """``document``: ``seatrial.simulation.v1``. One bar a scenario; beside it days to the decision (median, 90%).

    Raises ValueError without scenarios.
    """
    scenarios = document["scenarios"]
    if not scenarios:
        raise ValueError("a simulation without scenarios has no picture")
    order = [s["name"] for s in scenarios]
    rows = [row for s in scenarios for row in _parts(s)]
    y = alt.Y("scenario:N", sort=order, title=None, axis=alt.Axis(labelLimit=260, domain=False, ticks=False))
    x = alt.X("from:Q", title="releases", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format=".0%", grid=False))
    scale = alt.Scale(domain=list(_ENDS.values()), range=list(_COLOURS))
    bars = (
        style.chart(rows)
        .mark_bar(height=22)
        .encode(
            x=x,
            x2="to:Q",
            y=y,
            color=alt.Color("end:N", scale=scale, sort=list(_ENDS.values()), legend=style.legend()),
        )
    )
    inside = (
        style.chart([row for row in rows if row["to"] - row["from"] >= _LEAST_LABELLED])
        .mark_text(baseline="middle")
        .encode(x="middle:Q", y=y, text="share:N", color=alt.Color("ink:N", scale=None))
    )
    beside = (
        style.chart([{"scenario": s["name"], "text": _times(s)} for s in scenarios])
        .mark_text(align="left", dx=10, color=style.MUTED)
        .encode(x=alt.value(width), y=y, text="text:N")
    )
    subtitle = f"{document['releases']:,} releases a scenario; beside the bars: days until it was decided, median (90%)"
    layers = [bars, inside, beside]
    return style.finish(layers, f"Plan {document['plan']}, simulated", subtitle, width=width, height=_ROW * len(order))


def _parts(scenario: Mapping[str, Any]) -> list[style.Row]:
    """The bar of one scenario, piece by piece."""
    rows: list[style.Row] = []
    at = 0.0
    for end, name in _ENDS.items():
        share = scenario["ends"][end]["share"]
        ink = style.INK if end == "held" else "white"
        rows.append({
            "scenario": scenario["name"], "end": name, "from": at, "to": at + share, "middle": at + share / 2,
            "share": f"{share:.0%}", "ink": ink,
        })  # fmt: skip
        at += share
    return rows


def _times(scenario: Mapping[str, Any]) -> str:
    parts = []
    for end, name in (("promoted", "promoted"), ("home", "home")):
        days = scenario["days"][end]
        if days["median"] is not None:
            parts.append(f"{name} {days['median']:.3g} ({days['p90']:.3g})")
    return ", ".join(parts)
