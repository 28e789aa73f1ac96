"""``seatrial shadow report``: how alike champion and shadow of a rollout answer."""

from __future__ import annotations

from typing import Annotated

import typer

from seatrial.cli import output
from seatrial.cli.session import opened, project_of
from seatrial.cli.shadow.text import Above, Below, Cost, CostEach, Html, MinPairs, Threshold, finish, options_of


def add_to(app: typer.Typer) -> None:
    app.command("report")(report)


def report(
    context: typer.Context,
    rollout: Annotated[
        str, typer.Argument(metavar="ID|MODEL", help="A rollout, or a model: its active or latest one.")
    ],
    version: Annotated[
        int | None, typer.Option("--version", metavar="N", min=1, help="A standing shadow of the model, instead.")
    ] = None,
    threshold: Threshold = None,
    above: Above = "above",
    below: Below = "below",
    min_pairs: MinPairs = None,
    cost_per_day: Cost = None,
    cost_per_1000: CostEach = None,
    html: Html = None,
    as_json: output.Json = False,
) -> None:
    """Compare the answers of champion and shadow, over all and by segment: agreement, not quality."""
    from seatrial.control.analyses.shadow import rollout_report, standing_report

    options = options_of(threshold, above, below, min_pairs, cost_per_day, None, cost_per_1000)
    project = project_of(context)
    with opened(project) as store, store.read() as tx:
        if version is None:
            found = rollout_report(project, tx, rollout, options)
        else:
            found = standing_report(project, tx, rollout, version, options)
    finish(found, as_json=as_json, html=html)
