"""Power against days, one line a share of the canary: how long each takes, and where the wanted power is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import altair as alt

from seatrial.charts import style

_COLOURS: Final = ("#98a4b0", style.SKY, style.BLUE, style.GREEN, style.VERMILLION)
_DASHES: Final = ([1, 0], [6, 2], [2, 2], [8, 3, 2, 3], [4, 4])
_MOST_TICKS: Final = 9
_RIGHT: Final[dict[str, Any]] = {"dx": 2, "dy": 6, "align": "left"}
_ABOVE: Final[dict[str, Any]] = {"dx": -6, "dy": -9, "align": "right"}


def power_chart(
    curves: Mapping[float, Sequence[tuple[float, float]]],
    *,
    wanted: float,
    weekly: bool,
    title: str,
    width: int = style.WIDTH,
    height: int = 300,
) -> alt.LayerChart:
    """``curves``: by share of the canary (0.1), days and the probability that a candidate without loss has passed.

    ``wanted`` power is a dashed line; with ``weekly`` the days are marked in whole weeks. Raises ValueError for none.
    """
    if not any(curves.values()):
        raise ValueError("no share has a curve to draw")
    names = {share: f"{100 * share:g}%" for share in sorted(curves)}
    rows: list[style.Row] = [
        {"share": names[share], "days": round(days, 4), "power": round(power, 4)}
        for share in names
        for days, power in curves[share]
    ]
    end = max(row["days"] for row in rows)
    x = alt.X("days:Q", title="days", scale=alt.Scale(domain=[0, end], nice=False), axis=_days(float(end), weekly))
    y = alt.Y(
        "power:Q", title="passes by then", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format=".0%", ticks=False)
    )
    order = [*names.values()]
    colour = alt.Color("share:N", sort=order, scale=_scale(order, _COLOURS), legend=None)
    dash = alt.StrokeDash("share:N", sort=order, scale=_scale(order, _DASHES), legend=None)
    lines = style.chart(rows).mark_line(strokeWidth=2).encode(x=x, y=y, color=colour, strokeDash=dash)
    rule = style.chart([{"power": wanted}]).mark_rule(color=style.INK, strokeDash=[4, 4]).encode(y=y)
    layers = [rule, lines]
    for rises, place in ((True, _RIGHT), (False, _ABOVE)):
        if labels := [row for row in _labels(names, curves, wanted) if row["rises"] == rises]:
            layers.append(style.chart(labels).mark_text(**place).encode(x=x, y=y, text="share:N"))
    subtitle = f"a candidate without loss, by the canary's share; dashed: the wanted {wanted:.0%}"
    return style.finish(layers, title, subtitle, width=width, height=height)


def _labels(
    names: Mapping[float, str], curves: Mapping[float, Sequence[tuple[float, float]]], wanted: float
) -> list[style.Row]:
    """The name of a share stands right of its line, half way up to the wanted power; over its end if it stays below."""
    rows: list[style.Row] = []
    for share, name in names.items():
        if curves[share]:
            days, power = next(((d, p) for d, p in curves[share] if p >= wanted / 2), curves[share][-1])
            rows.append({"share": name, "days": days, "power": power, "rises": power >= wanted / 2})
    return rows


def _days(end: float, weekly: bool) -> alt.Axis:
    """Ticks at whole weeks, as many as there is room for; by Vega's own choice where weeks mean nothing."""
    if not weekly or end < 7:
        return alt.Axis(grid=False)
    step = 7 * math.ceil(end / 7 / _MOST_TICKS)
    return alt.Axis(grid=True, values=[*range(0, int(end) + 1, step)])


def _scale(names: Sequence[str], values: Sequence[Any]) -> alt.Scale:
    return alt.Scale(domain=list(names), range=[values[i % len(values)] for i in range(len(names))])
