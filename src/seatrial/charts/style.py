"""How every picture looks: a palette that colour-blind readers can tell apart, and one set of sizes.

Colours are Okabe & Ito (2008). Each meaning also has a shape, a dash or a word, never a colour alone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, cast

import altair as alt

INK: Final = "#24303b"
MUTED: Final = "#5b6875"
GRID: Final = "#dfe4e9"
BLUE: Final = "#0072b2"
DARK: Final = {INK: "#e8edf2", MUTED: "#a4b0bc", GRID: "#38434e", BLUE: "#4aa8e0"}
"""On a dark page exactly these four are replaced in the SVG (control/templates/report.css does it for the report)."""

SKY: Final = "#56b4e9"
GREEN: Final = "#009e73"
VERMILLION: Final = "#d55e00"

FONT: Final = "Liberation Sans, Arial, Helvetica, sans-serif"
SIZE: Final = 12
WIDTH: Final = 720
AXIS_EXTENT: Final = 52
TITLE_EXTENT: Final = 20
"""Room for y labels, the same in all pictures over time, so that their time axes line up when stacked."""

Row = dict[str, Any]


def chart(rows: Sequence[Row]) -> alt.Chart:
    """A chart over plain rows; no data frame is needed.

    The rows go in as one JSON text: Altair copies and checks lists value by value each time a layer is touched.
    """
    return alt.Chart(alt.InlineData(values=json.dumps(list(rows)), format=alt.JsonDataFormat(type="json")))


def finish(
    layers: Sequence[alt.Chart | alt.LayerChart], title: str, subtitle: str, *, width: int, height: int
) -> alt.LayerChart:
    """The layers as one picture: each with its own colours and shapes, and the common size, title and configuration.

    ``aria`` of single marks is off: the picture has one description as a whole.
    """
    layered = cast(alt.LayerChart, alt.layer(*layers).resolve_scale(color="independent", shape="independent"))
    sized = layered.properties(
        width=width, height=height, title=alt.TitleParams(title, subtitle=subtitle, anchor="start", frame="group")
    )
    finished: alt.LayerChart = (
        sized.configure(font=FONT, background="transparent", aria=False, padding=4)
        .configure_view(stroke=None)
        .configure_title(
            fontSize=15, fontWeight=600, color=INK, offset=10,
            subtitleColor=MUTED, subtitleFontSize=SIZE, subtitlePadding=4,
        )
        .configure_axis(
            labelFontSize=SIZE, titleFontSize=SIZE, titleFontWeight="normal", labelColor=MUTED, titleColor=MUTED,
            gridColor=GRID, domainColor=GRID, tickColor=GRID, titlePadding=8,
        )
        .configure_legend(
            labelFontSize=SIZE, titleFontSize=SIZE, titleFontWeight="normal", labelColor=INK, titleColor=MUTED,
            symbolSize=90, labelLimit=0, columnPadding=26,
        )
        .configure_text(fontSize=SIZE, color=INK)
    )  # fmt: skip
    return finished


def legend() -> alt.Legend:
    """A legend below the picture, in one line."""
    return alt.Legend(title=None, orient="bottom", direction="horizontal")


def text_width(text: str) -> float:
    """About how many pixels a text takes; good enough to leave a label out that would not fit."""
    return 6.6 * len(text)
