"""``seatrial rollback``, ``kill`` and ``revive``: the way home. They work without the control plane, too."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from seatrial.cli import output
from seatrial.cli.session import actor, project_of

if TYPE_CHECKING:
    from seatrial.control.project import Project
    from seatrial.control.switched import Switched

PATIENCE_S = 20.0
"""A control plane that has not answered by then is taken to hang."""

Model = Annotated[str, typer.Argument(help="The model.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; goes into the audit log.")]


def add_to(app: typer.Typer) -> None:
    for command in (rollback, kill, revive):
        app.command()(command)


def rollback(context: typer.Context, model: Model, reason: Reason = "", as_json: output.Json = False) -> None:
    """Bring the previous champion back; in a rollout, take its candidate out."""
    roll_back(project_of(context), model, reason, as_json)


def roll_back(project: Project, model: str, reason: str, as_json: bool) -> None:
    """Roll a model back and print what was measured."""
    from seatrial.control import emergency

    _switch(
        project, model, "rollback", {"reason": reason}, as_json,
        lambda: emergency.rollback(project, model, reason=reason, actor=actor()),
    )  # fmt: skip


def kill(
    context: typer.Context,
    model: Model,
    reason: Annotated[str, typer.Option("--reason", help="Why; goes into the audit log.")],
    mode: Annotated[
        Literal["previous", "champion", "off"],
        typer.Option(help="Who answers instead: the previous champion, the champion without canary, or nobody (503)."),
    ] = "previous",
    as_json: output.Json = False,
) -> None:
    """Take a model's versions out of traffic at once, until it is revived."""
    from seatrial.control import emergency

    project = project_of(context)
    _switch(
        project, model, "kill", {"reason": reason, "mode": mode}, as_json,
        lambda: emergency.kill(project, model, mode, reason=reason, actor=actor()),
    )  # fmt: skip


def revive(
    context: typer.Context,
    model: Model,
    reason: Annotated[str, typer.Option("--reason", help="Why; goes into the audit log.")],
    as_json: output.Json = False,
) -> None:
    """Undo a kill: the champion serves again."""
    from seatrial.control import emergency

    project = project_of(context)
    _switch(
        project, model, "revive", {"reason": reason}, as_json,
        lambda: emergency.revive(project, model, reason=reason, actor=actor()),
    )  # fmt: skip


def _switch(
    project: Project,
    model: str,
    verb: str,
    body: dict[str, str],
    as_json: bool,
    directly: Callable[[], Switched],
) -> None:
    """By the control plane if it runs, else straight at the gateway."""
    from seatrial.cli.client import Client, NotRunning
    from seatrial.control.documents.views import switched_document
    from seatrial.control.gateway import gateway_of
    from seatrial.errors import Unavailable

    # A kill may be repeated, so a control plane that hangs does not stop it; the other two are not done twice.
    gives_up: type[Unavailable] = Unavailable if verb == "kill" else NotRunning
    document, why = None, ""
    try:
        document = Client(project, timeout_s=PATIENCE_S).post(f"/v1/models/{model}/{verb}", body)
    except gives_up as error:
        why = error.message
    if document is None:
        gateway = "Switching the gateway directly." if gateway_of(project).pid else "Nor does its gateway run."
        output.note(f"{why} {gateway}")
        document = switched_document(directly())
    if as_json:
        output.data(document)
    else:
        output.text(f"✔ {document['text']}")
