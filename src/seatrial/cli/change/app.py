"""``seatrial change``: is a change material, was it declared before, and what must be re-validated?"""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from seatrial.cli import output
from seatrial.cli.change import envelope, record, testset, tickets, triage

app = typer.Typer(
    help="Changes of models: triage, records, envelopes, locked test sets, re-validation.", no_args_is_help=True
)
triage.add_to(app)
record.add_to(app)
app.add_typer(envelope.app, name="envelope")
app.add_typer(testset.app, name="testset")
app.add_typer(tickets.app, name="tickets")


@app.command("schema")
def schema(what: Annotated[Literal["triage", "envelope"], typer.Argument(help="Which file.")]) -> None:
    """The JSON Schema of triage.yaml or envelope.yaml."""
    from seatrial.control.changes.reading import schema_of
    from seatrial.governance.change_rules import Rules
    from seatrial.governance.envelope import Envelope

    kinds: dict[str, type] = {"triage": Rules, "envelope": Envelope}
    output.data({"schema": "seatrial.json_schema.v1", "document": schema_of(kinds[what])})
