"""``seatrial shadow inputs``: did champion and shadow see the same?"""

from __future__ import annotations

from typing import Annotated

import typer

from seatrial.cli import output
from seatrial.cli.session import opened, project_of
from seatrial.cli.shadow.inputs_text import EXITS, tell

REMEDY = (
    "both models must say which features they used; the bodies of requests cannot show it. "
    "`seatrial.log_features` tells them, `seatrial model configure MODEL --keep-feature NAME` keeps them."
    " More in docs/inputs.md."
)


def add_to(app: typer.Typer) -> None:
    app.command("inputs")(inputs)


def inputs(
    context: typer.Context,
    rollout: Annotated[
        str, typer.Argument(metavar="ID|MODEL", help="A rollout, or a model: its active or latest one.")
    ],
    as_json: output.Json = False,
) -> None:
    """Compare the features that champion and shadow used: exit 0 they agree, 3 one diverges, 4 not observed."""
    from seatrial.control.analyses.inputs import rollout_inputs
    from seatrial.control.documents.wording import clock

    project = project_of(context)
    with opened(project) as store, store.read() as tx:
        document = rollout_inputs(project, tx, rollout)
    if as_json:
        output.data(document)
    else:
        d = document
        output.text(f"{d['rollout']}: {d['model']} v{d['candidate']} against v{d['champion']}, {clock(d['at'])}")
        asked = f"{d['answeredPairs']:,} pairs of answers"
        output.text(f"{asked}, {d['unmatchedRequests']:,} requests lack an answer on one side")
        tell(document, REMEDY)
    raise typer.Exit(EXITS[document["result"]])
