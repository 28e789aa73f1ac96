"""``seatrial incidents``: harm that was found after a release, and what somebody chose to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from seatrial.cli import output
from seatrial.cli.session import actor, opened, project_of

if TYPE_CHECKING:
    from seatrial.control.project import Project
    from seatrial.control.way_home.switched import Switched

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
    """Do what was chosen, and record why: roll_back brings the former champion back at once."""
    from seatrial.cli.client import Client, NotRunning

    project = project_of(context)
    try:
        document: dict[str, Any] = Client(project).post(
            f"/v1/incidents/{incident}/close", {"choice": choice, "reason": reason}
        )
    except NotRunning:
        document = _close_offline(project, incident, choice, reason)
    if as_json:
        output.data(document)
        return
    moved = document["rolledBack"]
    if moved is not None:
        output.text(f"✔ {moved['text']}")
    elif choice == "roll_back":
        output.text(f"v{document['champion']} of '{document['model']}' serves again since before")
    output.text(f"✔ incident '{document['id']}' closed: {choice}")


def _close_offline(project: Project, incident: str, choice: str, reason: str) -> dict[str, Any]:
    """Without the control plane: the gateway is switched directly, as `seatrial rollback` does."""
    from seatrial.control import closing
    from seatrial.control.offline import in_its_place
    from seatrial.control.way_home import emergency

    def go_home(model: str, why: str) -> Switched:
        return emergency.rollback(project, model, reason=why, actor=actor())

    with opened(project) as store:
        moved = closing.act(store, incident, choice, reason, go_home)
        with in_its_place(project, store) as controller:
            now = controller.clock.now()
            return closing.record(controller.store, incident, choice, reason, actor=actor(), now=now, moved=moved)
