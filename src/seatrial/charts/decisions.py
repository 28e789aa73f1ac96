"""The verdict of every metric over a rollout, look by look: why it moved when it did, and why not earlier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import altair as alt

from seatrial.charts import style
from seatrial.charts.timeline import iso, move_rows, span, time_axis
from seatrial.rollout.verdicts import Decision, Verdict

ROW_HEIGHT: Final = 24
COLOURS: Final[dict[Verdict, str]] = {
    "pass": style.GREEN,
    "inconclusive": style.SKY,
    "insufficient": "#c3ccd5",
    "immature": "#98a4b0",
    "fail": style.VERMILLION,
    "invalid": style.INK,
}


def decisions_chart(
    decisions: Sequence[Decision], *, title: str = "Verdicts", width: int = style.WIDTH
) -> alt.LayerChart | None:
    """One row a metric, coloured by its verdict over event time; None while nothing was judged."""
    rows = _stretches(decisions)
    if not rows:
        return None
    metrics = list(dict.fromkeys(row["metric"] for row in rows))
    present = [v for v in COLOURS if any(row["verdict"] == v for row in rows)]
    x = time_axis(decisions)
    room = style.AXIS_EXTENT + style.TITLE_EXTENT
    axis = alt.Axis(domain=False, ticks=False, minExtent=room, labelLimit=170, labelPadding=8)
    y = alt.Y("metric:N", title=None, sort=metrics, axis=axis)
    colour = alt.Color(
        "verdict:N", legend=style.legend(), scale=alt.Scale(domain=present, range=[COLOURS[v] for v in present])
    )
    bars = style.chart(rows).mark_bar(height=ROW_HEIGHT - 8).encode(x=x, x2="end:T", y=y, color=colour)
    layers: list[alt.Chart] = [bars]
    if moves := move_rows(decisions):
        layers.append(style.chart(moves).mark_rule(color=style.INK, strokeWidth=1).encode(x=x))
    return style.finish(
        layers, title, "each guardrail and signal, look by look", width=width, height=ROW_HEIGHT * len(metrics)
    )


def _stretches(decisions: Sequence[Decision]) -> list[style.Row]:
    """Consecutive looks with the same verdict, as one bar a metric.

    A verdict holds until the next look; the last one to the end of the axis, so that a single look has a width.
    """
    rows: list[style.Row] = []
    open_rows: dict[str, style.Row] = {}
    for decision in decisions:
        at = iso(decision.at)
        for verdict in (*decision.verdicts, *decision.signals):
            row = open_rows.get(verdict.metric)
            if row is not None:
                row["end"] = at
            if row is None or row["verdict"] != verdict.verdict:
                row = {"metric": verdict.metric, "verdict": verdict.verdict, "at": at, "end": at}
                open_rows[verdict.metric] = row
                rows.append(row)
    _, end = span(decisions)
    for row in open_rows.values():
        row["end"] = iso(end)
    return rows
