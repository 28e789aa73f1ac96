"""How traffic was split over a rollout: the canary's share and the mirrored share, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import altair as alt

from seatrial.charts import style
from seatrial.charts.timeline import Period, iso, periods, pixels, span, time_axis, value_axis
from seatrial.rollout.verdicts import Decision


def split_chart(
    decisions: Sequence[Decision], *, title: str = "Traffic", width: int = style.WIDTH, height: int = 120
) -> alt.LayerChart:
    """Share of units on the candidate over event time, in %, as steps; strikes as marks.

    Filled: requests that the candidate answered. Light, with a dashed outline: requests it only got a copy of.
    Raises ValueError without decisions.
    """
    spans = periods(decisions)
    x = time_axis(decisions)
    y = alt.Y(
        "share:Q",
        title="units, %",
        scale=alt.Scale(domain=[0, 100], nice=False),
        axis=value_axis(values=(0, 50, 100)),
    )
    layers = [*_steps(spans, x, y), *_labels(spans, decisions, width, x), *_strikes(decisions, x)]
    subtitle = "filled: answered by the candidate; light: copied to it, answered by the champion"
    return style.finish(layers, title, subtitle, width=width, height=height)


def _steps(spans: Sequence[Period], x: alt.X, y: alt.Y) -> list[alt.Chart]:
    served = [_row(p, p.weight, "") for p in spans if p.weight]
    mirrored = [_row(p, p.mirrored, "") for p in spans if p.mirrored]
    # An empty layer stays in: the axes belong to the layers.
    solid = style.chart(served).mark_rect(color=style.BLUE, opacity=0.85)
    light = style.chart(mirrored).mark_rect(
        fill=style.BLUE, fillOpacity=0.12, stroke=style.BLUE, strokeWidth=1, strokeDash=[4, 3]
    )
    return [layer.encode(x=x, x2="end:T", y=y, y2=alt.datum(0)) for layer in (solid, light)]


def _row(period: Period, share: int, text: str) -> style.Row:
    return {"at": iso(period.start), "end": iso(period.end), "share": share / 100, "text": text}


def _labels(spans: Sequence[Period], decisions: Sequence[Decision], width: int, x: alt.X) -> list[alt.Chart]:
    """The share in numbers above each step: a canary of 1% is otherwise a line on the axis.

    A rising step is labelled at its end, where there is room over the lower one before it.
    """
    rising: list[style.Row] = []
    falling: list[style.Row] = []
    before = 0
    for p in spans:
        text = f"shadow {p.mirrored / 100:g}%" if p.mirrored else f"{p.weight / 100:g}%"
        fits = pixels(p, decisions, width) >= style.text_width(text)
        if p.weight > before:
            rising.append(_row(p, p.weight, text))
        elif fits and (p.weight or p.mirrored):
            falling.append(_row(p, p.weight or p.mirrored, text))
        before = p.weight
    left = style.chart(falling).mark_text(align="left", baseline="bottom", dx=3, dy=-3).encode(x=x)
    right = style.chart(rising).mark_text(align="right", baseline="bottom", dx=-2, dy=-3).encode(x=alt.X("end:T"))
    return [layer.encode(y=alt.Y("share:Q"), text="text:N") for layer in (left, right)]


def _strikes(decisions: Sequence[Decision], x: alt.X) -> list[alt.Chart]:
    """A mark for each decision that added a strike, and how many there were."""
    added = [after for before, after in pairwise(decisions) if after.strikes > before.strikes]
    if not added:
        return []
    start, end = span(decisions)
    total = added[-1].strikes
    rows = [{"at": iso(d.at), "text": f"{total} strike{'s' * (total > 1)}"} for d in added]
    early = (added[0].at - start) / (end - start) < 0.15
    mark = style.chart(rows).mark_point(filled=True, size=110, opacity=1, color=style.VERMILLION, shape="triangle-down")
    name = style.chart(rows[-1:] if early else rows[:1]).mark_text(
        align="left" if early else "right", baseline="middle", dx=10 if early else -10, color=style.VERMILLION
    )
    return [mark.encode(x=x, y=alt.value(10)), name.encode(x=x, y=alt.value(10), text="text:N")]
