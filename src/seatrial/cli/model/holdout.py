"""``seatrial model holdout``: units that a promotion left on the version before, and how to let them go."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from seatrial.cli import output
from seatrial.cli.session import actor, opened, project_of


def holdout(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The model.")],
    release: Annotated[bool, typer.Option("--release", help="End it now: everybody gets the champion.")] = False,
    reason: Annotated[str, typer.Option(help="With --release: why.")] = "",
    as_json: output.Json = False,
) -> None:
    """Which units stay on the champion of before, and until when."""
    from seatrial.cli.client import Client, NotRunning
    from seatrial.control.holdouts import holdout_document
    from seatrial.control.operations import Operations

    project = project_of(context)
    if not release:
        with opened(project) as store, store.read() as tx:
            document = holdout_document(tx, name)
    else:
        try:
            document = Client(project).post(f"/v1/models/{name}/holdout/release", {"reason": reason})
        except NotRunning:
            with opened(project) as store:
                document = Operations(project, store).release_holdout(name, reason=reason, actor=actor())
    if as_json:
        output.data(document)
    else:
        output.text(_line(document))


def _line(d: dict[str, Any]) -> str:
    if d["rollout"] is None:
        return f"{d['model']} has no holdout"
    until = d["until"][:16].replace("T", " ")
    stay = f"{d['share']:g}% of the units stay on v{d['version']} until {until}"
    return f"{d['model']}: {stay}, held against v{d['against']}"
