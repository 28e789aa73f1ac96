"""How fast the way home was in each drill."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from seatrial.charts import style


def trend_chart(trend: Sequence[Mapping[str, Any]], *, width: int = style.WIDTH, height: int = 160) -> alt.LayerChart:
    """Seconds from the first faulty answer to 0% by drill; a failed drill is a triangle."""
    rows = [{"drill": row["id"], "seconds": row["zeroAfter"], "verdict": row["status"]} for row in trend]
    order = [row["drill"] for row in rows]
    x = alt.X("drill:N", title=None, sort=order, axis=alt.Axis(labelAngle=0))
    y = alt.Y("seconds:Q", title="seconds to 0%", axis=alt.Axis(minExtent=style.AXIS_EXTENT))
    present = [word for word in ("passed", "failed") if any(row["verdict"] == word for row in rows)]
    colours, shapes = {"passed": style.GREEN, "failed": style.VERMILLION}, {"passed": "circle", "failed": "triangle-up"}
    line = style.chart(rows).mark_line(color=style.MUTED).encode(x=x, y=y)
    points = style.chart(rows).mark_point(filled=True, size=90, opacity=1).encode(
        x=x, y=y,
        color=alt.Color("verdict:N", legend=style.legend(),
                        scale=alt.Scale(domain=present, range=[colours[w] for w in present])),
        shape=alt.Shape("verdict:N", legend=style.legend(),
                        scale=alt.Scale(domain=present, range=[shapes[w] for w in present])),
    )  # fmt: skip
    return style.finish([line, points], "Drills", "from the first faulty answer to 0%", width=width, height=height)
