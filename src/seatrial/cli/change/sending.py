"""How the commands of ``seatrial change`` change something: by the control plane if it runs, else in the store."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import typer

from seatrial.cli.session import opened, project_of

if TYPE_CHECKING:
    from seatrial.control.changes.desk import ChangeDesk


def done(
    context: typer.Context,
    method: Literal["POST", "PUT"],
    path: str,
    body: dict[str, Any],
    directly: Callable[[ChangeDesk], dict[str, Any]],
) -> dict[str, Any]:
    from seatrial.cli.client import Client, NotRunning
    from seatrial.control.operations import Operations

    project = project_of(context)
    client = Client(project)
    try:
        return client.put(path, body) if method == "PUT" else client.post(path, body)
    except NotRunning:
        project.prepare()
    with opened(project) as store:
        return directly(Operations(project, store).changes)
