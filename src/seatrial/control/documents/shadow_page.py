"""The shadow report as one HTML file that needs nothing else: no scripts, no network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seatrial.charts.agreement import Point, agreement_chart
from seatrial.charts.save import to_inline_svg
from seatrial.charts.scatter import scatter_chart
from seatrial.control.analyses.shadow import HEADLINES, ShadowReport
from seatrial.evidence.tally import TOTAL

Document = dict[str, Any]


def write_page(report: ShadowReport, path: Path) -> None:
    """Write the page. Raises OSError where it cannot be written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(report), encoding="utf-8")


def render(report: ShadowReport) -> str:
    """The page as text."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("seatrial.control"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(n=lambda value: f"{value:,}", share=lambda value: f"{value:.2%}", three=_three)
    template = environment.get_template("shadow.html")
    return template.render(d=report.document, figures=figures(report), names=HEADLINES)


def figures(report: ShadowReport) -> list[str]:
    """Agreement by segment, and the scores of both on one plane where there are any between 0 and 1."""
    d = report.document
    known = [one for one in d["segments"] if one["headline"] is not None]
    found = []
    if known:
        statistic = HEADLINES[known[0]["headline"]["statistic"]]
        points = [
            Point(
                one["segment"], one["headline"]["value"], (one["headline"]["lower"], one["headline"]["upper"]),
                one["pairs"], one["status"] == "ok",
            )
            for one in known
        ]  # fmt: skip
        chart = agreement_chart(points, statistic=statistic)
        assert chart is not None
        found.append(to_inline_svg(chart, name="agreement", label=f"{statistic} by segment, with intervals"))
    if d["outputs"] == "scores":
        scatter = scatter_chart(report.answers.evidence().grid[TOTAL], unmatched=d["unmatched"]["unmatched"])
        if scatter is not None:
            found.append(to_inline_svg(scatter, name="scores", label="Scores of shadow and champion"))
    return found


def _three(estimate: Document | None) -> str:
    """``0.921 [0.905, 0.934]``."""
    if estimate is None:
        return ""
    return f"{estimate['value']:.3f} [{estimate['lower']:.3f}, {estimate['upper']:.3f}]"
