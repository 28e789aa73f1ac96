"""One metric over a rollout: the estimate with its interval, against the loss that the plan tolerates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import altair as alt

from seatrial.charts import style
from seatrial.charts.timeline import (
    Period,
    iso,
    judged_in,
    move_rows,
    move_scales,
    periods,
    pixels,
    span,
    time_axis,
    value_axis,
)
from seatrial.rollout.plan import Plan
from seatrial.rollout.verdicts import Decision, MetricVerdict

MOST_POINTS: Final = 600
HEADROOM: Final = 0.12
_COLOURS: Final = {"shadow": style.SKY, "live": style.BLUE}
_LABELS: Final = {"shadow": "shadow, same requests", "live": "canary"}


@dataclass(frozen=True, slots=True)
class _Unit:
    """How a difference is written: the value times ``factor``, and a word."""

    factor: float
    word: str
    axis: str


@dataclass(frozen=True, slots=True)
class _Point:
    """One look's verdict of the metric, the phase whose evidence it judged, and which stretch of the line it is on."""

    at: str
    verdict: MetricVerdict
    phase: int
    run: int


@dataclass(frozen=True, slots=True)
class _Bound:
    """What a stage asked for."""

    period: Period
    bound: float
    margin: float


def interval_chart(
    decisions: Sequence[Decision],
    plan: Plan,
    metric: str,
    *,
    title: str | None = None,
    width: int = style.WIDTH,
    height: int = 220,
) -> alt.LayerChart | None:
    """The candidate minus the champion over event time; None while no look has an estimate of ``metric``.

    Line: estimate; shade: the interval that holds at all looks at once; dashed line: the margin; solid red line: the
    bound that the interval must exclude in that stage; marks on top: the moves. Relative differences are in %,
    differences of shares in percentage points. Intervals much wider than the bounds run off the picture.
    Raises KeyError for a metric that is not in the plan.
    """
    declared = {m.name: m for m in plan.metrics}[metric]
    points = _points(decisions, metric)
    if not points:
        return None
    # A relative margin of rare events is one of their rate ratio: it has no place on an axis of differences.
    ratio_margin = declared.rare and declared.margin is not None and declared.margin.scale == "relative"
    bounds = [] if ratio_margin else _bounds(points, periods(decisions))
    unit = _unit(points[-1].verdict)
    x = time_axis(decisions)
    y = alt.Y(
        "value:Q",
        title=unit.axis,
        scale=alt.Scale(domain=_domain(points, bounds, unit), nice=False, zero=False),
        axis=value_axis("datum.value == 0 ? '0' : format(datum.value, '+~r')"),
    )
    layers = [
        *_stages(decisions, width, x),
        *_intervals(points, unit, x, y),
        style.chart([{"value": 0}]).mark_rule(color=style.MUTED, strokeWidth=1).encode(y=y),
        *_bound_lines(bounds, unit, decisions, x, y),
        _line(points, unit, x, y),
        *_moves(decisions, x),
    ]
    worse = "higher" if points[-1].verdict.better == "decrease" else "lower"
    subtitle = f"{worse} is worse; the shaded bounds hold at every look at once"
    return style.finish(layers, title or metric, subtitle, width=width, height=height)


def _points(decisions: Sequence[Decision], metric: str) -> list[_Point]:
    """Looks with an estimate, thinned evenly where there are more than the eye can tell apart; the last one stays."""
    found: list[_Point] = []
    for i, decision in enumerate(decisions):
        for verdict in (*decision.verdicts, *decision.signals):
            if verdict.metric == metric and verdict.estimate is not None:
                same = not found or found[-1].verdict.arms == verdict.arms
                run = (found[-1].run if found else 0) + (not same)
                found.append(_Point(iso(decision.at), verdict, judged_in(decisions, i), run))
    step = -(-len(found) // MOST_POINTS) or 1
    return found[::-1][::step][::-1]


def _unit(verdict: MetricVerdict) -> _Unit:
    if verdict.scale == "relative":
        return _Unit(100, "%", "difference to the champion, %")
    if verdict.method.startswith("exact"):
        return _Unit(100, "pp", "difference in share of units, pp")
    return _Unit(1, "", "difference to the champion")


def _bounds(points: Sequence[_Point], spans: Sequence[Period]) -> list[_Bound]:
    last = {point.phase: point.verdict for point in points}
    return [_Bound(p, last[p.phase].bound, last[p.phase].margin) for p in spans if p.phase in last]


def _domain(points: Sequence[_Point], bounds: Sequence[_Bound], unit: _Unit) -> list[float]:
    """Everything a verdict rests on is inside: zero, margins, bounds, the estimates, and each stage's last interval."""
    last = {point.phase: point.verdict for point in points}
    known = [0.0]
    known += [x for b in bounds for x in (b.bound, b.margin)]
    known += [x for v in last.values() for x in (v.lower, v.upper, v.estimate) if x is not None]
    estimates = sorted(p.verdict.estimate for p in points if p.verdict.estimate is not None)
    edge = len(estimates) // 20
    known += [estimates[edge], estimates[-1 - edge]]
    low, high = min(known) * unit.factor, max(known) * unit.factor
    pad = HEADROOM * ((high - low) or 1.0)
    return [low - pad, high + pad]


def _stages(decisions: Sequence[Decision], width: int, x: alt.X) -> list[alt.Chart]:
    """Every other stage shaded, each with its name if it fits."""
    rows = [
        {"at": iso(p.start), "end": iso(p.end), "name": _fitting(p, pixels(p, decisions, width))}
        for p in periods(decisions)
    ]
    shade = style.chart(rows[::2]).mark_rect(color=style.INK, opacity=0.055)
    names = style.chart(rows).mark_text(align="left", baseline="bottom", dx=4, color=style.MUTED)
    return [shade.encode(x=x, x2="end:T"), names.encode(x=x, y=alt.value(-2), text="name:N")]


def _fitting(period: Period, room: float) -> str:
    return next((text for text in (period.name, period.short) if style.text_width(text) + 6 <= room), "")


def _intervals(points: Sequence[_Point], unit: _Unit, x: alt.X, y: alt.Y) -> list[alt.Chart]:
    """The shade, and a bar at the last look of each stretch: a stretch of one look has no area."""
    rows = [
        {
            "at": p.at,
            "value": None if p.verdict.lower is None else p.verdict.lower * unit.factor,
            "upper": None if p.verdict.upper is None else p.verdict.upper * unit.factor,
            "arms": _LABELS[p.verdict.arms],
            "run": p.run,
        }
        for p in points
    ]
    last = [row for row in {row["run"]: row for row in rows}.values() if row["value"] is not None]
    colour = _arms_colour(points, legend=None)
    area = style.chart(rows).mark_area(clip=True, opacity=0.25)
    bar = style.chart(last).mark_rule(clip=True, strokeWidth=1.5)
    return [layer.encode(x=x, y=y, y2="upper:Q", color=colour, detail="run:O") for layer in (area, bar)]


def _line(points: Sequence[_Point], unit: _Unit, x: alt.X, y: alt.Y) -> alt.Chart:
    rows = [
        {"at": p.at, "value": p.verdict.estimate * unit.factor, "arms": _LABELS[p.verdict.arms], "run": p.run}
        for p in points
        if p.verdict.estimate is not None
    ]
    few = len(rows) < 40
    line: alt.Chart = style.chart(rows).mark_line(clip=True, strokeWidth=2, point={"size": 24} if few else False)
    return line.encode(x=x, y=y, color=_arms_colour(points, legend=style.legend()), detail="run:O")


def _arms_colour(points: Sequence[_Point], *, legend: alt.Legend | None) -> alt.Color:
    arms = list(dict.fromkeys(p.verdict.arms for p in points))
    scale = alt.Scale(domain=[_LABELS[a] for a in arms], range=[_COLOURS[a] for a in arms])
    return alt.Color("arms:N", scale=scale, legend=legend)


def _bound_lines(
    bounds: Sequence[_Bound], unit: _Unit, decisions: Sequence[Decision], x: alt.X, y: alt.Y
) -> list[alt.Chart]:
    """Dashed: the margin, over the whole time. Solid: what each stage asked to be excluded."""
    if not bounds:
        return []
    start, end = span(decisions)
    margin = bounds[-1].margin * unit.factor
    whole = [{"at": iso(start), "end": iso(end), "value": margin, "text": f"margin {margin:+.3g}{unit.word}"}]
    steps = [
        {
            "at": iso(b.period.start),
            "end": iso(b.period.end),
            "value": b.bound * unit.factor,
            "text": f"bound {b.bound * unit.factor:+.3g}{unit.word}",
        }
        for b in bounds
    ]
    named = [row for row, b in zip(steps, bounds, strict=True) if b.bound != b.margin][:1]
    dashed = style.chart(whole).mark_rule(color=style.INK, strokeDash=[6, 4], strokeWidth=1.2)
    solid = style.chart(steps).mark_rule(color=style.VERMILLION, strokeWidth=1.8)
    margin_name = style.chart(whole).mark_text(align="right", baseline="bottom", dx=-3, dy=-3)  # pages cut it outside
    bound_name = style.chart(named).mark_text(align="left", baseline="bottom", dx=4, dy=-3, color=style.VERMILLION)
    return [
        dashed.encode(x=x, x2="end:T", y=y),
        solid.encode(x=x, x2="end:T", y=y),
        margin_name.encode(x=alt.X("end:T"), y=y, text="text:N"),
        bound_name.encode(x=x, y=y, text="text:N"),
    ]


def _moves(decisions: Sequence[Decision], x: alt.X) -> list[alt.Chart]:
    """A thin line through the picture and a mark on top of it for each move."""
    rows = move_rows(decisions)
    if not rows:
        return []
    colours, shapes = move_scales(rows)
    rule = style.chart(rows).mark_rule(color=style.MUTED, strokeWidth=0.8, opacity=0.6)
    mark = style.chart(rows).mark_point(filled=True, size=110, opacity=1)
    return [
        rule.encode(x=x),
        mark.encode(
            x=x,
            y=alt.value(8),
            shape=alt.Shape("move:N", scale=shapes, legend=style.legend()),
            color=alt.Color("move:N", scale=colours, legend=style.legend()),
        ),
    ]
