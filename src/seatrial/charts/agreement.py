"""Agreement of shadow and champion by segment, with intervals, against the floors of the plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import altair as alt

from seatrial.charts import style

ROW: Final = 26
MOST_ROWS: Final = 60
NOT_QUALITY: Final = "agreement, not quality: a better model answers differently"


@dataclass(frozen=True, slots=True)
class Point:
    """One segment; ``ends`` None where nothing is known of it. ``enough``: it has the pairs that a verdict needs."""

    segment: str
    value: float
    ends: tuple[float, float] | None
    pairs: int
    enough: bool = True


def agreement_chart(
    points: Sequence[Point],
    *,
    statistic: str,
    floor: float | None = None,
    segment_floor: float | None = None,
    title: str = "Agreement by segment",
    width: int = 520,
) -> alt.LayerChart | None:
    """A row a segment: its estimate and interval; None without any.

    Dashed: the floor of the whole; dotted: that of segments. ``statistic``: what is measured, for the axis. Hollow
    points have too few pairs for a verdict. Beyond 60 segments only the lowest are drawn.
    """
    if not points:
        return None
    shown = [*points[:1], *sorted(points[1:], key=lambda p: p.value)][:MOST_ROWS]
    rows = [_row(point) for point in shown]
    order = [row["segment"] for row in rows]
    ends = [value for row in rows for value in (row["lower"], row["upper"], row["value"])]
    low = min([*ends, *(f for f in (floor, segment_floor) if f is not None)]) - 0.05
    low = low if low > 0.25 else min(0.0, low)  # zero is shown where it is near
    x = alt.X(
        "value:Q", title=statistic, axis=alt.Axis(grid=True, ticks=False, domain=False),
        scale=alt.Scale(domain=[low, 1], nice=False, clamp=True, zero=False),
    )  # fmt: skip
    y = alt.Y("segment:N", sort=order, title=None, axis=alt.Axis(ticks=False, domain=False, labelLimit=260))
    enough, few = ([row for row in rows if row["enough"] == wanted] for wanted in (True, False))
    layers = [
        style.chart(rows).mark_rule(color=style.BLUE, strokeWidth=2).encode(x=_end("lower", x), x2="upper:Q", y=y),
        style.chart(enough).mark_point(color=style.BLUE, filled=True, size=70).encode(x=x, y=y),
        style.chart(few).mark_point(color=style.BLUE, size=70).encode(x=x, y=y),
        style.chart(rows).mark_text(align="left", color=style.MUTED).encode(
            x=alt.value(width + 8), y=y, text="pairs:N"
        ),
    ]  # fmt: skip
    for line, dash in ((floor, [6, 4]), (segment_floor, [2, 3])):
        if line is not None:
            rule = style.chart([{"value": line}]).mark_rule(color=style.VERMILLION, strokeDash=dash, strokeWidth=1.6)
            layers.append(rule.encode(x=x))
    return style.finish(layers, title, NOT_QUALITY, width=width, height=ROW * len(rows))


def _row(point: Point) -> style.Row:
    low, high = point.ends or (point.value, point.value)
    return {
        "segment": point.segment, "value": round(point.value, 4), "lower": round(low, 4), "upper": round(high, 4),
        "pairs": f"n {point.pairs:,}", "enough": point.enough,
    }  # fmt: skip


def _end(name: str, x: alt.X) -> alt.X:
    """The same axis for another column."""
    other: alt.X = x.copy()
    other.shorthand = f"{name}:Q"
    return other
