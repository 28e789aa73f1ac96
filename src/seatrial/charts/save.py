"""Charts to SVG, PNG and SVG that can stand inside a page, without a browser and without the network."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seatrial.errors import UsageError

if TYPE_CHECKING:
    import altair as alt

_VEGA_LITE = "6.4"


def to_svg(chart: alt.LayerChart) -> str:
    """The picture as an SVG document."""
    import vl_convert

    return _with_ids(vl_convert.vegalite_to_svg(_spec(chart), vl_version=_VEGA_LITE, allowed_base_urls=[]), "s")


def to_png(chart: alt.LayerChart, *, scale: float = 2.0) -> bytes:
    """The picture as PNG on white; ``scale`` is device pixels a pixel."""
    import vl_convert

    spec = _spec(chart) | {"background": "white"}
    png: bytes = vl_convert.vegalite_to_png(spec, vl_version=_VEGA_LITE, scale=scale, allowed_base_urls=[])
    return png


def to_page_svg(chart: alt.LayerChart, *, room: float = 64) -> str:
    """An SVG document that a page shows as an image: dark where the reader's pages are dark.

    ``room``: pixels to the right for labels and titles that are longer than the picture; an image cuts them off.
    """
    from seatrial.charts.style import DARK

    rules = "".join(f'[{part}="{old}"]{{{part}:{new}}}' for old, new in DARK.items() for part in ("fill", "stroke"))
    svg = to_svg(chart)
    end = svg.index(">") + 1
    head = re.sub(r'(\bwidth="|\bviewBox="0 0 )([\d.]+)', lambda m: f"{m[1]}{float(m[2]) + room:g}", svg[:end])
    return f"{head}<style>@media (prefers-color-scheme:dark){{{rules}}}</style>{svg[end:]}"


def to_inline_svg(chart: alt.LayerChart, *, name: str, label: str) -> str:
    """SVG to stand inside a page: described by ``label``, scaled to its column, ids made its own by ``name``.

    Without that, the second picture of a page would clip itself by the first one's shapes.
    """
    svg = _with_ids(to_svg(chart), re.sub(r"[^A-Za-z0-9_-]", "-", name) + "-")
    head, body = svg[: svg.index(">")], svg[svg.index(">") :]
    width = re.search(r'\bwidth="([\d.]+)"', head)
    head = re.sub(r'\s(?:width|height|class)="[^"]*"', "", head)
    size = f' style="max-width:{width[1]}px"' if width else ""
    return f'{head} role="img" aria-label="{escape(label)}"{size}{body}'


def save(chart: alt.LayerChart, path: Path) -> Path:
    """Write ``path`` as .svg or .png, by its name."""
    check_name(path)
    if path.suffix == ".svg":
        path.write_text(to_svg(chart), encoding="utf-8")
    else:
        path.write_bytes(to_png(chart))
    return path


def check_name(path: Path) -> None:
    """Before hours of work: UsageError unless a chart can be saved under this name."""
    if path.suffix not in (".svg", ".png"):
        raise UsageError("ST1101", f"'{path}': a chart is saved as .svg or .png.", remedy="Name the file so.")


def _with_ids(svg: str, prefix: str) -> str:
    """Number the ids of a picture from 0: the renderer counts on from the picture before it."""
    new = {old: f"{prefix}{i}" for i, old in enumerate(dict.fromkeys(re.findall(r'\bid="([^"]+)"', svg)))}
    svg = re.sub(r'\bid="([^"]+)"', lambda found: f'id="{new[found[1]]}"', svg)
    return re.sub(r"url\(#([^)]+)\)", lambda found: f"url(#{new.get(found[1], found[1])})", svg)


def _spec(chart: alt.LayerChart) -> dict[str, Any]:
    # The tests check every picture against the Vega-Lite schema; once more for each one drawn is half of its time.
    spec: dict[str, Any] = chart.to_dict(validate=False)
    return spec
