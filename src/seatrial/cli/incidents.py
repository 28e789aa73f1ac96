"""``seatrial incidents``: harm that was found after a release, and what somebody chose to do about it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from seatrial.cli import output
from seatrial.cli.session import actor, opened, project_of

app = typer.Typer(help="Harm that was found after a release, and what was done about it.", no_args_is_help=True)

Incident = Annotated[str, typer.Argument(help="Its id, e.g. i-0001.")]


@app.command("list")
def list_incidents(
    context: typer.Context,
    open_only: Annotated[bool, typer.Option("--open", help="Only those that wait for a choice.")] = False,
    as_json: output.Json = False,
) -> None:
    """All incidents, oldest first."""
    from seatrial.cli import reconciled
    from seatrial.control.documents import incidents

    with opened(project_of(context)) as store, store.read() as tx:
        document = incidents.listed(tx, open_only=open_only)
    if as_json:
        output.data(document)
    else:
        output.show(reconciled.incidents(document))


@app.command("show")
def show(context: typer.Context, incident: Incident, as_json: output.Json = False) -> None:
    """The effect with its interval, what confounds it, and the ways on with their estimated costs."""
    from seatrial.cli import reconciled
    from seatrial.control.documents import incidents

    with opened(project_of(context)) as store, store.read() as tx:
        document = incidents.incident_document(tx.incidents.get(incident))
    if as_json:
        output.data(document)
    else:
        output.text(reconciled.incident(document))


@app.command("close")
def close(
    context: typer.Context,
    incident: Incident,
    choice: Annotated[str, typer.Option(metavar="roll_back|hold|fix_forward", help="What is done about it.")],
    reason: Annotated[str, typer.Option(help="Why; goes into the audit log.")],
    as_json: output.Json = False,
) -> None:
    """Record what was chosen and why. It moves no traffic itself."""
    from seatrial.cli.client import Client, NotRunning
    from seatrial.control.offline import in_its_place
    from seatrial.control.operations import Operations

    project = project_of(context)
    try:
        document: dict[str, Any] = Client(project).post(
            f"/v1/incidents/{incident}/close", {"choice": choice, "reason": reason}
        )
    except NotRunning:
        with opened(project) as store, in_its_place(project, store) as controller:
            operations = Operations(project, store, controller)
            document = operations.close_incident(incident, choice, reason=reason, actor=actor())
    if as_json:
        output.data(document)
        return
    output.text(f"✔ incident '{document['id']}' closed: {choice}")
    if choice == "roll_back":
        output.note(
            f"Nothing has moved yet: `seatrial rollback {document['model']}` brings v{document['champion']} back."
        )
