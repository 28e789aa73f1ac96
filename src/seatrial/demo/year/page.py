"""The year as files for people: one HTML page, and its pictures as PNG and SVG."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from seatrial.charts.save import save, to_inline_svg
from seatrial.demo.year.chart import auc_chart, loss_chart
from seatrial.demo.year.document import NEVER, NEWEST, SERVED, outcomes

LANES = {SERVED: "served", NEVER: "never retrained", NEWEST: "always the newest"}
WORDS = {"promoted": "promoted", "aborted": "not shipped", "undecided": "undecided"}


def write(document: Mapping[str, Any], directory: Path) -> list[Path]:
    """Write ``report.html`` and the pictures into a directory; what was written, the page first."""
    auc, loss = auc_chart(document), loss_chart(document)
    pictures = [
        save(chart, directory / f"{name}.{kind}")
        for name, chart in (("auc", auc), ("log-loss", loss))
        for kind in ("png", "svg")
    ]
    figures = [
        to_inline_svg(auc, name="auc", label="AUC by week of the served, the never retrained and the newest model"),
        to_inline_svg(loss, name="loss", label="Log loss by week against the never retrained model"),
    ]
    page = directory / "report.html"
    page.write_text(_html(document, figures), encoding="utf-8")
    return [page, *pictures]


def _html(document: Mapping[str, Any], figures: list[str]) -> str:
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("seatrial.demo.year"), PackageLoader("seatrial.control")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(day=_day, n=lambda value: f"{value:,}", word=WORDS.get, percent=percent, bounds=_bounds)
    template = environment.get_template("year.html")
    return template.render(d=document, figures=figures, lanes=LANES, counts=outcomes(document["runs"]))


def percent(value: float | None) -> str:
    """A relative difference with its sign.

    >>> percent(-0.0321), percent(None)
    ('-3.2%', 'not known')
    """
    return "not known" if value is None else f"{value:+.1%}"


def _bounds(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "not known"
    if found["lower"] is None:
        return percent(found["estimate"])
    return f"{percent(found['estimate'])} [{percent(found['lower'])}, {percent(found['upper'])}]"


def _day(text: str) -> str:
    return f"{datetime.fromisoformat(text):%-d %b}"
