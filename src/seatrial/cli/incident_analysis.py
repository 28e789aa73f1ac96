"""``seatrial incidents analyse``: what interventions share, how unusual so many are, and which were for nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from seatrial.cli import output
from seatrial.cli.session import opened, project_of
from seatrial.errors import UsageError

MARKS = {"true": "✖", "false": "✔", "unknown": "?"}
LAST_MONTH = "30d"


def add_to(app: typer.Typer) -> None:
    app.command("analyse")(analyse)


def analyse(
    context: typer.Context,
    model: Annotated[str | None, typer.Option(help="One model.", show_default="all")] = None,
    since: Annotated[str, typer.Option(metavar="WHEN", help="A span (30d) or a time (2026-03-01).")] = LAST_MONTH,
    baseline: Annotated[
        float | None,
        typer.Option(
            min=0, max=1e6, metavar="A_MONTH", help="How many a month are normal.", show_default="from history"
        ),
    ] = None,
    window: Annotated[str, typer.Option(metavar="SPAN", help="How long before each its trouble is looked for.")] = "1h",
    chart: Annotated[Path | None, typer.Option(metavar="FILE", help="Also a picture, .svg or .png.")] = None,
    as_json: output.Json = False,
) -> None:
    """Kills, rollbacks and aborts: common factors, rate against expectation, true or false, and what changed."""
    from seatrial.control.analyses.incidents import analyse as analysed
    from seatrial.control.analyses.span import since_of, span_of
    from seatrial.control.way_home.emergency import clock_of

    project = project_of(context)
    with opened(project) as store:
        now = clock_of(project, store).now()
        document = analysed(
            project, store, now=now, model=model, since=since_of(since, now), baseline=baseline,
            window=span_of(window, "--window"),
        )  # fmt: skip
    if chart is not None:
        _save(document, chart)
    if as_json:
        output.data(document)
    else:
        output.text("\n".join(_lines(document)))


def _save(document: Mapping[str, Any], path: Path) -> None:
    from seatrial.charts.incidents import incidents_chart
    from seatrial.charts.save import check_name, save

    check_name(path)
    expected = document["rate"]["expected"]
    try:
        save(incidents_chart(document["interventions"], document["since"], document["until"], expected), path)
    except OSError as error:
        raise UsageError("ST0357", f"'{path}' cannot be written: {error.strerror}.", remedy="--chart FILE") from error


def _lines(d: Mapping[str, Any]) -> Iterator[str]:
    yield d["text"]
    rate = d["rate"]
    if rate["betweenDays"] is not None:
        lower, upper = rate["betweenInterval"]
        ends = "no end" if upper is None else f"{upper:.3g}"
        yield f"Mean time between two: {rate['betweenDays']:.3g} days [{lower:.3g}, {ends}]"
    if d["common"]:
        yield ""
        yield "In common"
        yield from (f"  {_group(group)}" for group in d["common"])
    for one in d["interventions"]:
        yield ""
        yield from _intervention(one)


def _group(group: Mapping[str, Any]) -> str:
    chance = "" if group["chance"] is None else f", by chance {group['chance']:.2g}"
    return f"{group['dimension']} {group['value']}: {group['count']} ({group['share']:.0%}{chance})"


def _intervention(one: Mapping[str, Any]) -> Iterator[str]:
    at = datetime.fromisoformat(one["at"])
    version = "" if one["version"] is None else f" v{one['version']}"
    yield f"{MARKS[one['verity']]} {at:%Y-%m-%d %H:%M} {one['kind']} of {one['model']}{version} ({one['trigger']})"
    yield f"  {one['actor']}: {one['reason']}"
    yield f"  {one['verity']}: {one['why']}"
    if one["named"]:
        yield f"  names {', '.join(one['named'])}"
    for effect in one["fallback"]:
        shift = f"[{effect['lower']:+.4g}, {effect['upper']:+.4g}]"
        yield f"  {effect['metric']} with the fallback: {effect['before']:.4g} → {effect['after']:.4g} {shift}"
    before = "" if one["before"] is None else f" since v{one['before']}"
    if one["changes"]:
        yield f"  changed{before}: " + "; ".join(change["text"] for change in one["changes"])
