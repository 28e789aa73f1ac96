"""``seatrial rollback``, ``kill`` and ``revive``: the way home. They work without the control plane, too."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from seatrial.cli import output
from seatrial.cli.session import actor, project_of
from seatrial.errors import Exit, SeatrialError, UsageError

if TYPE_CHECKING:
    from seatrial.control.project import Project
    from seatrial.control.way_home.switched import Switched
    from seatrial.gateway.kill import KillMode

PATIENCE_S = 20.0
"""A control plane that has not answered by then is taken to hang."""

WAY_HOME_S = 120.0
"""A standby that is kept cold is started first; traffic stays where it is until it answers."""

Model = Annotated[str, typer.Argument(help="The model.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; goes into the audit log.")]


def add_to(app: typer.Typer) -> None:
    for command in (rollback, kill, revive):
        app.command()(command)


def rollback(
    context: typer.Context,
    model: Model,
    reason: Reason = "",
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="When the harm began, for the record, e.g. 2026-05-01T12:00:00Z."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Also to a version that does not answer.")] = False,
    as_json: output.Json = False,
) -> None:
    """Bring the previous champion back; in a rollout, take its candidate out. Where that was done, nothing."""
    project = project_of(context)
    if since is not None:
        from seatrial.control.clock import aware

        aware(since)
    _roll_back(
        project, model, f"/v1/models/{model}/rollback", {"reason": reason, "since": since}, reason, force, as_json
    )


def undo(project: Project, rollout: str, model: str, reason: str, force: bool, as_json: bool) -> None:
    """Take back a promotion, and print what was measured."""
    why = reason or f"undo {rollout}"
    _roll_back(project, model, f"/v1/rollouts/{rollout}/undo", {"reason": why}, why, force, as_json, undo=rollout)


def _roll_back(
    project: Project,
    model: str,
    path: str,
    body: dict[str, Any],
    reason: str,
    force: bool,
    as_json: bool,
    undo: str | None = None,
) -> None:
    from seatrial.control.way_home import emergency

    document = _answered(
        project, path, {**body, "force": force},
        lambda: emergency.rollback(project, model, reason=reason, actor=actor(), force=force, undo=undo),
        patience_s=WAY_HOME_S,
    )  # fmt: skip
    _say(document, as_json)
    if document["changed"]:
        _offer_recall(project, model)


def _offer_recall(project: Project, model: str) -> None:
    """What a model about patients has answered has to be read again."""
    from contextlib import suppress

    from seatrial.cli.session import opened
    from seatrial.control.analyses.recall import offer
    from seatrial.control.way_home.emergency import STORE_DOWN, clock_of

    with suppress(*STORE_DOWN), opened(project) as store, store.read() as tx:
        if command := offer(tx, model, clock_of(project, store).now()):
            output.note(f"What it answered has to be read again: `{command} --reason ...` lists it.")


def kill(
    context: typer.Context,
    reason: Annotated[str, typer.Option("--reason", help="Why; goes into the audit log.")],
    model: Annotated[str | None, typer.Argument(help="The model.")] = None,
    to: Annotated[
        Literal["previous", "champion", "rules", "review", "banner", "off"],
        typer.Option(
            "--to", "--mode",
            help="The level that answers instead, and those below it if it does not: the previous champion, the "
            "champion without canary, rules, people, a banner; or nobody (503).",
        ),
    ] = "previous",
    everything: Annotated[bool, typer.Option("--all", help="Every model there is, instead of one.")] = False,
    as_json: output.Json = False,
) -> None:  # fmt: skip
    """Take a model's versions out of traffic at once, until it is revived."""
    from seatrial.control.way_home import emergency

    project = project_of(context)
    if (model is None) is not everything:
        raise UsageError(
            "ST0737", "kill one model or all of them.", remedy="seatrial kill MODEL, or seatrial kill --all"
        )
    if everything:
        kill_all(project, to, reason, as_json)
        return
    assert model is not None
    _switch(
        project, model, "kill", {"reason": reason, "mode": to}, as_json,
        lambda: emergency.kill(project, model, to, reason=reason, actor=actor()),
    )  # fmt: skip


def kill_all(project: Project, to: KillMode, reason: str, as_json: bool) -> None:
    """Each model on its own: one that cannot be killed does not save the others. Exit code 1 if any could not."""
    from functools import partial

    from seatrial.control.documents.views import listing
    from seatrial.control.way_home import emergency

    done, failed = [], []
    for name in emergency.known_models(project):
        directly = partial(emergency.kill, project, name, to, reason=reason, actor=actor())
        try:
            done.append(_switched(project, name, "kill", {"reason": reason, "mode": to}, directly))
        except SeatrialError as error:
            failed.append({"model": name, "code": error.code, "problem": error.message, "remedy": error.remedy})
    if as_json:
        output.data({**listing("seatrial.switched-all.v1", "switched", done), "failed": failed})
    for document in [] if as_json else done:
        output.text(f"✔ {document['text']}")
    for one in failed:
        output.note(f"✖ {one['code']} {one['problem']} {one['remedy']}")
    if failed:
        raise typer.Exit(Exit.ERROR)


def revive(
    context: typer.Context,
    model: Model,
    reason: Annotated[str, typer.Option("--reason", help="Why; goes into the audit log.")],
    as_json: output.Json = False,
) -> None:
    """Undo a kill: the champion serves again."""
    from seatrial.control.way_home import emergency

    project = project_of(context)
    _switch(
        project, model, "revive", {"reason": reason}, as_json,
        lambda: emergency.revive(project, model, reason=reason, actor=actor()),
    )  # fmt: skip


def _switch(
    project: Project, model: str, verb: str, body: dict[str, Any], as_json: bool, directly: Callable[[], Switched]
) -> None:
    _say(_switched(project, model, verb, body, directly), as_json)


def _switched(
    project: Project, model: str, verb: str, body: dict[str, Any], directly: Callable[[], Switched]
) -> dict[str, Any]:
    return _answered(project, f"/v1/models/{model}/{verb}", body, directly, again=verb == "kill")


def _say(document: dict[str, Any], as_json: bool) -> None:
    if as_json:
        output.data(document)
    else:
        output.text(f"{'✔' if document['changed'] else '-'} {document['text']}")


def _answered(
    project: Project,
    path: str,
    body: dict[str, Any],
    directly: Callable[[], Switched],
    *,
    patience_s: float = PATIENCE_S,
    again: bool = False,
) -> dict[str, Any]:
    """By the control plane if it runs, else straight at the gateway.

    ``again``: it may be done twice, so a control plane that hangs does not stop it.
    """
    from seatrial.cli.client import Client, NotRunning
    from seatrial.control.documents.views import switched_document
    from seatrial.control.gateway import gateway_of
    from seatrial.errors import Unavailable

    gives_up: type[Unavailable] = Unavailable if again else NotRunning
    document, why = None, ""
    try:
        document = Client(project, timeout_s=patience_s).post(path, body)
    except gives_up as error:
        why = error.message
    if document is None:
        gateway = "Switching the gateway directly." if gateway_of(project).pid else "Nor does its gateway run."
        output.note(f"{why} {gateway}")
        document = switched_document(directly())
    return document
