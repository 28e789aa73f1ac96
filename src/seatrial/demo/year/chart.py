"""The year as two pictures on one time axis: how good the answers were, and when the model was trained and replaced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import altair as alt

from seatrial.charts import style

_HEIGHT: Final = 210
_LANES: Final = {"served": "served", "newest": "always the newest", "neverRetrained": "never retrained"}
_COLOURS: Final = (style.BLUE, style.SKY, style.MUTED)
_DASHES: Final = ([1, 0], [2, 2], [6, 3])
_DRAWN: Final = ("solid", "dotted", "dashed")
_MARKS: Final = {"run": "a run starts", "promoted": "promoted", "aborted": "not shipped"}
_SHAPES: Final = ("circle", "triangle-up", "cross")
_MARK_COLOURS: Final = (style.INK, style.GREEN, style.VERMILLION)


def auc_chart(document: Mapping[str, Any]) -> alt.LayerChart:
    """Area under the ROC curve of each week's answers."""
    rows = [_point(week, lane, week[lane]["auc"]) for week in document["weeks"] for lane in _LANES]
    title = "What served, and what would have, had it never been trained again: AUC by week"
    return _picture(document, rows, "AUC", ".2f", title, _totals(document, "auc", ".3f"))


def loss_chart(document: Mapping[str, Any]) -> alt.LayerChart:
    """Log loss of each week's answers as a part of the never retrained model's: lower is better, 0 is no gain."""
    rows = []
    for week in document["weeks"]:
        base = week["neverRetrained"]["logLoss"]
        rows += [_point(week, lane, week[lane]["logLoss"] / base - 1) for lane in _LANES]
    title = "Log loss by week, against the model that was never trained again (lower is better)"
    return _picture(document, rows, "higher or lower by", "+.0%", title, _totals(document, "logLoss", ".4f"))


def _totals(document: Mapping[str, Any], measure: str, form: str) -> str:
    """Each lane over the whole year, with how it is drawn: the lines' legend."""
    words = zip(_LANES.items(), _DRAWN, strict=True)
    found = [f"{name} {document['total'][lane][measure]:{form}} ({drawn})" for (lane, name), drawn in words]
    return "all year: " + ", ".join(found)


def _picture(
    document: Mapping[str, Any], rows: Sequence[style.Row], word: str, form: str, title: str, subtitle: str
) -> alt.LayerChart:
    low, high = min(row["value"] for row in rows), max(row["value"] for row in rows)
    span = max(high - low, 1e-6)
    marks = [{**row, "value": high + (0.2 if row["mark"] == _MARKS["run"] else 0.1) * span} for row in _marks(document)]
    scale = alt.Scale(domain=[low - 0.05 * span, high + 0.26 * span], nice=False, zero=False)
    axis = alt.Axis(minExtent=style.AXIS_EXTENT, domain=False, ticks=False, labelPadding=8, tickCount=5, format=form)
    x = alt.X(
        "at:T", title="2013, UTC", scale=alt.Scale(type="utc", domain=[document["begin"], document["end"]]),
        axis=alt.Axis(grid=False, format="%b", tickCount="month"),
    )  # fmt: skip
    y = alt.Y("value:Q", title=word, scale=scale, axis=axis)
    ended = style.chart([row for row in marks if row["mark"] != _MARKS["run"]]).mark_rule(strokeDash=[1, 3])
    layers = [ended.encode(x=x, color=_mark_colour(legend=None)), _lines(rows, x, y), _symbols(marks, x, y)]
    return style.finish(layers, title, subtitle, width=style.WIDTH, height=_HEIGHT)


def _lines(rows: Sequence[style.Row], x: alt.X, y: alt.Y) -> alt.Chart:
    names = list(_LANES.values())
    colour = alt.Color("lane:N", scale=alt.Scale(domain=names, range=list(_COLOURS)), legend=None)
    dash = alt.StrokeDash("lane:N", scale=alt.Scale(domain=names, range=list(_DASHES)), legend=None)
    lines: alt.Chart = style.chart(rows).mark_line(strokeWidth=2, interpolate="linear")
    return lines.encode(x=x, y=y, color=colour, strokeDash=dash)


def _symbols(rows: Sequence[style.Row], x: alt.X, y: alt.Y) -> alt.Chart:
    shape = alt.Shape(
        "mark:N", scale=alt.Scale(domain=list(_MARKS.values()), range=list(_SHAPES)), legend=style.legend()
    )
    symbols: alt.Chart = style.chart(rows).mark_point(filled=True, size=70, opacity=1)
    return symbols.encode(x=x, y=y, color=_mark_colour(legend=style.legend()), shape=shape)


def _mark_colour(legend: alt.Legend | None) -> alt.Color:
    scale = alt.Scale(domain=list(_MARKS.values()), range=list(_MARK_COLOURS))
    return alt.Color("mark:N", scale=scale, legend=legend)


def _marks(document: Mapping[str, Any]) -> list[style.Row]:
    """When each run began, and when what it made was promoted or given up."""
    rows = [{"at": run["started"], "mark": _MARKS["run"]} for run in document["runs"]]
    over = [run for run in document["runs"] if run["outcome"] in _MARKS]
    return rows + [{"at": run["ended"], "mark": _MARKS[run["outcome"]]} for run in over]


def _point(week: Mapping[str, Any], lane: str, value: float) -> style.Row:
    return {"at": week["start"], "lane": _LANES[lane], "value": round(value, 5)}
