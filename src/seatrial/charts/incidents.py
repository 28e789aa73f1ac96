"""Interventions over time, counted up, beside what was expected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import altair as alt

from seatrial.charts import style

COLOURS: Final = {"true": style.VERMILLION, "false": style.GREEN, "unknown": style.MUTED}
SHAPES: Final = {"true": "triangle-up", "false": "circle", "unknown": "square"}


def incidents_chart(
    interventions: Sequence[Mapping[str, Any]],
    since: str,
    until: str,
    expected: float | None,
    *,
    width: int = style.WIDTH,
    height: int = 180,
) -> alt.LayerChart:
    """Of ``seatrial.incident-analysis.v1``: each one by its verity; the dashed line is what is normal."""
    rows = [
        {
            "at": one["at"],
            "count": n,
            "verity": one["verity"],
            "name": f"{one['kind']} {one['model']} v{one['version']}",
        }
        for n, one in enumerate(interventions, 1)
    ]
    steps = [{"at": since, "count": 0}, *rows, {"at": until, "count": len(rows)}]
    x = alt.X("at:T", title=None, axis=alt.Axis(grid=False))
    y = alt.Y("count:Q", title="taken out of traffic", axis=alt.Axis(tickMinStep=1, minExtent=style.AXIS_EXTENT))
    layers = [style.chart(steps).mark_line(interpolate="step-after", color=style.BLUE).encode(x=x, y=y)]
    if expected is not None:
        line = [{"at": since, "count": 0.0}, {"at": until, "count": expected}]
        layers.append(style.chart(line).mark_line(color=style.MUTED, strokeDash=[5, 4]).encode(x=x, y=y))
    words = [word for word in COLOURS if any(row["verity"] == word for row in rows)]
    points = style.chart(rows).mark_point(filled=True, size=90, opacity=1)
    layers.append(
        points.encode(
            x=x,
            y=y,
            color=alt.Color("verity:N", legend=style.legend(),
                            scale=alt.Scale(domain=words, range=[COLOURS[w] for w in words])),
            shape=alt.Shape("verity:N", legend=style.legend(),
                            scale=alt.Scale(domain=words, range=[SHAPES[w] for w in words])),
        )
    )  # fmt: skip
    told = "counted up; dashed: what is normal" if expected is not None else "counted up"
    return style.finish(layers, "Kills, rollbacks and aborts", told, width=width, height=height)
