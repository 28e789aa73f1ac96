"""``seatrial model safety``: how careful to be with a model, whatever is released of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seatrial.cli import output
from seatrial.cli.session import actor, opened, project_of
from seatrial.registry.safety import Impact, Safety, StandbyPolicy

if TYPE_CHECKING:
    from seatrial.control.project import Project


def safety(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The model.")],
    tier: Annotated[int | None, typer.Option(help="1 (the company notices within minutes), 2 or 3.")] = None,
    impact: Annotated[Impact | None, typer.Option(help="What its decisions do.")] = None,
    standby: Annotated[StandbyPolicy | None, typer.Option(help="How the previous champion is kept.")] = None,
    as_json: output.Json = False,
) -> None:
    """How careful to be with a model; what is given is changed and audited, the rest stays."""
    changes = {"tier": tier, "impact": impact, "standby": standby}
    given: dict[str, Any] = {field: value for field, value in changes.items() if value is not None}
    document = secured(project_of(context), name, lambda known: replace(known, **given))
    if as_json:
        output.data(document)
    else:
        output.text(
            f"{name}: "
            + ", ".join(f"{field} {value}" for field, value in document["safety"].items() if field != "fallback")
        )


def secured(project: Project, name: str, change: Callable[[Safety], Safety]) -> dict[str, Any]:
    """The model after a change of how careful to be with it: by the control plane if it runs. Document of a model."""
    from seatrial.cli.client import Client, NotRunning
    from seatrial.control.documents import catalog
    from seatrial.control.operations import Operations

    with opened(project) as store:
        with store.read() as tx:
            known = tx.models.get_model(name).safety
        wanted = change(known)
        if wanted != known:
            try:
                Client(project).put(f"/v1/models/{name}/safety", wanted.document())
            except NotRunning:
                Operations(project, store).secure(name, wanted, actor=actor())
        with store.read() as tx:
            return catalog.model(tx, project, name)
