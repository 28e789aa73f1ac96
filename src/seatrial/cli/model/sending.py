"""What the commands of ``seatrial model`` share: how a change is made, and told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from seatrial.cli import output
from seatrial.cli.session import opened

if TYPE_CHECKING:
    from collections.abc import Callable

    from seatrial.control.operations import Operations
    from seatrial.control.project import Project
    from seatrial.registry.contract import Contract
    from seatrial.registry.version import Model, ModelVersion


def send(
    project: Project,
    method: Literal["POST", "PUT"],
    path: str,
    body: dict[str, Any],
    directly: Callable[[Operations], Model | ModelVersion],
) -> dict[str, Any]:
    """By the control plane if it runs, which brings up hosts and routes; else straight into the store."""
    from seatrial.cli.client import Client, NotRunning
    from seatrial.control.documents import catalog, views
    from seatrial.control.operations import Operations
    from seatrial.registry.version import Model

    client = Client(project)
    try:
        return client.put(path, body) if method == "PUT" else client.post(path, body)
    except NotRunning:
        project.prepare()
    with opened(project) as store:
        made = directly(Operations(project, store))
        if not isinstance(made, Model):
            return views.version_document(made)
        with store.read() as tx:
            return catalog.model(tx, project, made.name)


def said(contract: Contract | None) -> dict[str, Any]:
    """The contract as a part of a body; nothing where nothing was agreed on."""
    return {} if contract is None else {"contract": contract.document()}


def say(document: dict[str, Any], as_json: bool, text: str) -> None:
    if as_json:
        output.data(document)
    else:
        output.text(text)
