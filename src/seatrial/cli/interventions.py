"""``rollout withdraw``, ``rollout alert``: what people and other systems add to the evidence."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from seatrial.cli import output
from seatrial.cli.session import opened, project_of

Rollout = Annotated[str, typer.Argument(metavar="ID|MODEL", help="A rollout, or a model: its active one.")]


def add_to(rollouts: typer.Typer) -> None:
    rollouts.command()(withdraw)
    rollouts.command()(alert)


def withdraw(
    context: typer.Context,
    rollout: Rollout,
    unit: Annotated[str, typer.Option(help="The unit that leaves, as its header carries it.")],
    reason: Annotated[str, typer.Option(help="Why; goes into the audit log, as the unit does.")] = "",
    as_json: output.Json = False,
) -> None:
    """Take one unit (a site, a reader) out: on the champion at once, everybody else stays where they are."""
    name, decision = _post(context, rollout, "withdraw", {"unit": unit, "reason": reason})
    if as_json:
        output.data(decision)
    else:
        output.text(f"✔ rollout '{name}': {decision['reason']}")


def alert(
    context: typer.Context,
    rollout: Rollout,
    reason: Annotated[str, typer.Option(help="What was found; goes into the audit log.")],
    severity: Annotated[
        Literal["critical", "warning"],
        typer.Option(help="critical: everybody on the champion at once; warning: a pause."),
    ] = "critical",
    as_json: output.Json = False,
) -> None:
    """Report grave harm that was found outside, such as a missed critical finding: the rollout ends at once."""
    name, decision = _post(context, rollout, "alerts", {"reason": reason, "severity": severity})
    if as_json:
        output.data(decision)
    else:
        done = "aborted" if decision["action"] == "abort" else "paused"
        output.text(f"✔ rollout '{name}' {done}; canary {decision['weight'] / 100:g}%")


def _post(context: typer.Context, rollout: str, verb: str, body: dict[str, str]) -> tuple[str, dict[str, Any]]:
    """The rollout's id and what the control plane answers."""
    from seatrial.cli.client import Client
    from seatrial.control.documents import catalog

    project = project_of(context)
    with opened(project) as store, store.read() as tx:
        name = catalog.find_rollout(tx, rollout)
    return name, Client(project).post(f"/v1/rollouts/{name}/{verb}", body)
