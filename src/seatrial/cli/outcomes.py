"""``seatrial outcomes``: what became of predictions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seatrial.cli import output
from seatrial.cli.session import opened, project_of

if TYPE_CHECKING:
    from rich.table import Table

app = typer.Typer(help="What became of predictions.", no_args_is_help=True)


@app.command("import")
def import_file(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help=".csv, .parquet, .ndjson or .jsonl: model, key, name, value, time")],
    model: Annotated[str | None, typer.Option(help="The model of rows that name none.")] = None,
    as_json: output.Json = False,
) -> None:
    """Import outcomes from a file, all or nothing. Importing a file twice changes nothing."""
    from seatrial.control.feedback import KnownModels
    from seatrial.control.way_home.emergency import clock_of
    from seatrial.events.outcomes import OutcomeLog, read_file

    project = project_of(context)
    records = read_file(file, model=model)
    with opened(project) as store:
        KnownModels(store).require((record.model for record in records), file.name)
        received = clock_of(project, store).now()
    accepted = OutcomeLog(project.outcomes, clock=lambda: received).append(records)
    if as_json:
        output.data({"schema": "seatrial.accepted.v1", "accepted": accepted})
    else:
        output.text(f"✔ {accepted:,} outcomes of {file} are stored")


@app.command("status")
def status(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="The model.")],
    days: Annotated[int, typer.Option(min=1, max=3650, help="Of what was received in the last days.")] = 31,
    as_json: output.Json = False,
) -> None:
    """What was received, by name and day: matched with predictions, pending, late, repeated, contradicted."""
    from seatrial.control.feedback import outcomes_document
    from seatrial.control.way_home.emergency import clock_of

    project = project_of(context)
    with opened(project) as store:
        now = clock_of(project, store).now()
        with store.read() as tx:
            document = outcomes_document(tx, project, model, now=now, days=days)
    if as_json:
        output.data(document)
    elif document["names"]:
        output.show(_table(document))
    else:
        output.text(f"no outcomes of {model} were received in the last {days} days")


def _table(document: dict[str, Any]) -> Table:
    from seatrial.cli.tables import table
    from seatrial.control.feedback import COUNTS

    rows = []
    for name in document["names"]:
        for line in (*name["byDay"], {"day": "all", **name}):
            rows.append((name["name"], line["day"], *(line[count] for count in COUNTS)))
    headers = [count.upper() for count in COUNTS]
    return table(["NAME", "DAY", *headers], rows, right=headers)
