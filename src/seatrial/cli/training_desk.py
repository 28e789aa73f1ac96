"""How commands about retraining make a change: by the control plane if it runs, else straight into the store."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from seatrial.cli.session import opened

if TYPE_CHECKING:
    from seatrial.control.project import Project
    from seatrial.control.retraining.desk import RetrainingDesk


def call(
    project: Project,
    method: Literal["POST", "PUT"],
    path: str,
    body: dict[str, Any],
    directly: Callable[[RetrainingDesk], dict[str, Any]],
) -> tuple[dict[str, Any], bool]:
    """The answer, and whether the control plane runs."""
    from seatrial.cli.client import Client, NotRunning
    from seatrial.control.operations import Operations
    from seatrial.control.retraining.desk import RetrainingDesk

    client = Client(project)
    try:
        return (client.put(path, body) if method == "PUT" else client.post(path, body)), True
    except NotRunning:
        project.prepare()
    with opened(project) as store:
        return directly(RetrainingDesk(Operations(project, store))), False
