"""``seatrial shadow add``, ``remove`` and ``list``: versions that get copies beside the champion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from seatrial.cli import amounts, output
from seatrial.cli.session import actor, opened, project_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from seatrial.control.operations import Operations
    from seatrial.control.project import Project

    Work = Callable[[Operations], dict[str, Any]]

Model = Annotated[str, typer.Argument(help="The model.")]
Version = Annotated[int, typer.Argument(min=1, help="A registered version that is not the champion.")]


def add_to(app: typer.Typer) -> None:
    app.command("add")(add)
    app.command("remove")(remove)
    app.command("list")(shadows)


def add(
    context: typer.Context,
    model: Model,
    version: Version,
    share: Annotated[str, typer.Option(metavar="SHARE", help="Of the units whose requests are copied, e.g. 10%.")],
    as_json: output.Json = False,
) -> None:
    """Copy requests to a version, in a rollout and outside of one, until it is removed; again for another share."""
    from seatrial.values import Share

    given = amounts.read("--share", share, Share.parse, "10%")
    found = _change(
        project_of(context),
        lambda client: client.put(f"/v1/models/{model}/shadows/{version}", {"share": str(given)}),
        lambda operations: operations.add_shadow(model, version, given, actor=actor()),
    )
    _tell(found, as_json=as_json)


def remove(context: typer.Context, model: Model, version: Version, as_json: output.Json = False) -> None:
    """Copy nothing to a version any more."""
    found = _change(
        project_of(context),
        lambda client: client.delete(f"/v1/models/{model}/shadows/{version}"),
        lambda operations: operations.remove_shadow(model, version, actor=actor()),
    )
    _tell(found, as_json=as_json)


def shadows(context: typer.Context, model: Model, as_json: output.Json = False) -> None:
    """Which versions get copies beside the champion, and of how many units."""
    from seatrial.control.shadows.standing import shadows_document

    with opened(project_of(context)) as store, store.read() as tx:
        document = shadows_document(tx, model)
    _tell(document, as_json=as_json)


def _change(project: Project, online: Callable[[Any], dict[str, Any]], offline: Work) -> dict[str, Any]:
    """Through the control plane, so that it is in force at once; where none runs, in the store."""
    from seatrial.cli.client import Client, NotRunning
    from seatrial.control.operations import Operations

    try:
        return online(Client(project))
    except NotRunning:
        with opened(project) as store:
            return offline(Operations(project, store))


def _tell(d: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        output.data(d)
    elif not d["shadows"]:
        output.text(f"{d['model']}: no standing shadow")
    else:
        for one in d["shadows"]:
            rests = f" · rests: {one['rests']}" if one["rests"] else ""
            output.text(f"{d['model']} v{one['version']}: {one['share']:.2%} of the units, by {one['by']}{rests}")
