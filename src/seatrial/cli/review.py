"""``seatrial review``: requests that no version and no rule answered, for people to decide."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from seatrial.cli import output
from seatrial.cli.session import actor, opened, project_of

app = typer.Typer(help="Requests that wait for a person.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="ID", help="Its id, as the 202 answer has it.")]


@app.command("list")
def list_reviews(
    context: typer.Context,
    model: Annotated[str | None, typer.Option(help="Only of this model.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Those that are decided, too.")] = False,
    as_json: output.Json = False,
) -> None:
    """Those that wait, oldest first."""
    from seatrial.control.levels import reviews

    document = reviews.listed(project_of(context), model=model, everything=everything)
    if as_json:
        output.data(document)
        return
    for line in document["reviews"]:
        by = f" by {line['actor']}: {line['reason']}" if line["actor"] else ""
        output.text(f"{line['id']}  {line['model']:<16} {line['time']}  {line['decision']}{by}")
    output.note(f"{sum(line['decision'] == 'pending' for line in document['reviews'])} wait.")


@app.command("show")
def show(context: typer.Context, review: Id, as_json: output.Json = False) -> None:
    """One request as it came, and what was decided."""
    from seatrial.control.levels import reviews

    document = reviews.shown(project_of(context), review)
    if as_json:
        output.data(document)
        return
    for name, value in document.items():
        if value is not None and name != "schema":
            output.text(f"{name + ':':<13} {value}")


@app.command("decide")
def decide(
    context: typer.Context,
    review: Id,
    decision: Annotated[str, typer.Option(help="A word of yours, e.g. approve or decline.")],
    reason: Annotated[str, typer.Option(help="Why; goes into the audit log.")],
    outcome: Annotated[str | None, typer.Option(metavar="NAME=VALUE", help="Report it as an outcome, too.")] = None,
    as_json: output.Json = False,
) -> None:
    """Decide one, once and for all. Whoever asked reads it at /v1/reviews/ID."""
    from seatrial.cli.client import Client, NotRunning
    from seatrial.control.operations import Operations

    project = project_of(context)
    named = None if outcome is None else _outcome(outcome)
    body = {"decision": decision, "reason": reason}
    try:
        told = {} if named is None else {"outcome": named[0], "value": named[1]}
        document: dict[str, Any] = Client(project).post(f"/v1/reviews/{review}/decide", {**body, **told})
    except NotRunning:
        with opened(project) as store:
            operations = Operations(project, store)
            document = operations.decide_review(review, decision, reason=reason, actor=actor(), outcome=named)
    if as_json:
        output.data(document)
    else:
        output.text(f"✔ {document['id']} of {document['model']}: {document['decision']}")


def _outcome(text: str) -> tuple[str, float]:
    from seatrial.errors import UsageError

    name, found, value = text.partition("=")
    try:
        if name and found:
            return name, float(value)
    except ValueError:
        pass
    raise UsageError("ST0739", f"--outcome {text!r} is not NAME=VALUE.", remedy="e.g. --outcome approved=1")
