"""``seatrial analyze shadow``: how alike two models answer, on somebody's own table of pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seatrial.cli import output
from seatrial.cli.analyze.columns import ROWS, column
from seatrial.cli.shadow.text import Above, Below, Cost, CostEach, Html, MinPairs, Threshold, finish, options_of
from seatrial.errors import Exit, UsageError


def add_to(app: typer.Typer) -> None:
    app.command("shadow")(shadow)


def shadow(
    log: Annotated[
        str, typer.Option(metavar="FILE", help="Parquet or CSV: a file, a directory, a pattern; duckdb:///FILE#TABLE.")
    ],
    plan: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A plan: its segments, its decision, its metrics of agreement.")
    ] = None,
    champion: Annotated[str | None, column("--champion", "Its score, label or ranked list.")] = None,
    challenger: Annotated[str | None, column("--shadow", "Likewise, of the same request.")] = None,
    clicks: Annotated[
        str | None, column("--clicks", "Of ranked lists: those items that the user clicked, as a list.")
    ] = None,
    segment: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="A column whose values are segments.", rich_help_panel=ROWS),
    ] = None,
    unit: Annotated[str | None, column("--unit", "Who a request is about; every row its own unit without.")] = None,
    time: Annotated[str | None, column("--time", "When; without a zone it is UTC.")] = None,
    sampled: Annotated[str | None, column("--sampled", "Which share of such requests was copied: .5")] = None,
    separator: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Between the ids of a list that is text.", rich_help_panel=ROWS)
    ] = None,
    threshold: Threshold = None,
    above: Above = "above",
    below: Below = "below",
    min_pairs: MinPairs = None,
    share: Annotated[
        str | None, typer.Option(metavar="SHARE", help="Of the requests that are copied, for the cost.")
    ] = None,
    cost_per_day: Cost = None,
    cost_per_1000: CostEach = None,
    html: Html = None,
    as_json: output.Json = False,
) -> None:  # fmt: skip
    """Compare two models' answers to the same requests. With a plan that judges agreement: exit 0 pass, 3 below a
    floor, 4 not known."""
    from seatrial.control.analyses.shadow import table_report
    from seatrial.engines.answer_table import Asked
    from seatrial.engines.inputs import open_log
    from seatrial.store.plans import check_plan, read_plan

    if cost_per_day is not None and share is None:
        raise UsageError("ST0289", "a table does not tell which share was copied.", remedy="Add --share, e.g. 10%.")
    options = options_of(threshold, above, below, min_pairs, cost_per_day, share, cost_per_1000)
    read = None if plan is None else check_plan(read_plan(plan))
    sides = {"champion": champion, "shadow": challenger}
    given = {**sides, "unit": unit, "time": time, "sampled": sampled, "clicks": clicks}
    parts = {part: column for part, column in given.items() if column is not None}
    source = open_log(log)
    try:
        found = table_report(source, Asked(parts=parts, columns=segment or (), separator=separator), read, options)
    finally:
        source.close()
    finish(found, as_json=as_json, html=html)
    words = {verdict["verdict"] for verdict in found.document["verdicts"]}
    raise typer.Exit(Exit.GATE_FAILED if "fail" in words else Exit.UNDECIDED if words - {"pass"} else Exit.OK)
