"""``seatrial outcomes``: what became of predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seatrial.cli import output
from seatrial.cli.session import project_of
from seatrial.errors import UsageError

app = typer.Typer(help="What became of predictions.", no_args_is_help=True)


@app.callback()
def outcomes() -> None:
    """Keeps ``import`` a subcommand."""


@app.command("import")
def import_file(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help=".csv, .parquet, .ndjson or .jsonl: model, key, name, value, time")],
    model: Annotated[str | None, typer.Option(help="The model of rows that name none.")] = None,
    as_json: output.Json = False,
) -> None:
    """Import outcomes from a file, all or nothing. Importing a file twice changes nothing."""
    from seatrial.cli.session import opened
    from seatrial.control.emergency import clock_of
    from seatrial.events.outcomes import OutcomeLog, read_file

    project = project_of(context)
    records = read_file(file, model=model)
    with opened(project) as store:
        with store.read() as tx:
            known = {found.name for found in tx.models.list_models()}
        received = clock_of(project, store).now()
    if unknown := sorted({record.model for record in records} - known):
        raise UsageError(
            "ST0867", f"{file.name}: there is no model '{unknown[0]}'.", remedy=f"Known: {', '.join(sorted(known))}."
        )
    accepted = OutcomeLog(project.outcomes, clock=lambda: received).append(records)
    if as_json:
        output.data({"schema": "seatrial.accepted.v1", "accepted": accepted})
    else:
        output.text(f"✔ {accepted:,} outcomes of {file} are stored")
