"""``seatrial change tickets``: strata that look different, for people to re-validate the version in production on."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seatrial.cli import output
from seatrial.cli.change.sending import done
from seatrial.cli.session import actor, opened, project_of
from seatrial.errors import UsageError

if TYPE_CHECKING:
    from seatrial.control.changes.desk import ChangeDesk

app = typer.Typer(help="Re-validation that drift asks for. Nothing in production changes by it.", no_args_is_help=True)

Ticket = Annotated[str, typer.Argument(help="Its id, e.g. v-0001.")]


@app.command("open")
def open_ticket(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="The model.")],
    reference: Annotated[Path, typer.Option(metavar="FILE", help="What it was validated on: Parquet or CSV.")],
    current: Annotated[Path, typer.Option(metavar="FILE", help="What arrives now, with the same columns.")],
    by: Annotated[list[str], typer.Option(metavar="COLUMN", help="A column of strata, e.g. site; may repeat.")],
    alpha: Annotated[
        float, typer.Option(min=1e-9, max=0.5, help="The chance of a false ticket, all strata together.")
    ] = 0.01,
    as_json: output.Json = False,
) -> None:
    """Look for strata that drifted, are new or gone, and open a ticket with them; without any, none is opened."""
    from seatrial.control.changes.strata import affected

    strata = affected(reference, current, by, alpha=alpha)
    if not strata:
        with opened(project_of(context)) as store, store.read() as tx:
            tx.models.get_model(model)
        _tell_none(model, by, as_json)
        return
    cause = f"{current.name} against {reference.name}"

    def directly(desk: ChangeDesk) -> dict[str, Any]:
        return desk.open_ticket(model, strata, cause=cause, actor=actor())

    body = {"model": model, "strata": [asdict(one) for one in strata], "cause": cause}
    _tell(done(context, "POST", "/v1/changes/tickets", body, directly), as_json)


@app.command("list")
def list_tickets(
    context: typer.Context,
    model: Annotated[str | None, typer.Option(help="Only of this model.")] = None,
    only_open: Annotated[bool, typer.Option("--open", help="Only those that are open.")] = False,
    as_json: output.Json = False,
) -> None:
    """All tickets, oldest first."""
    from seatrial.control.changes.tickets import tickets_told

    with opened(project_of(context)) as store, store.read() as tx:
        document = tickets_told(tx, model, open_only=only_open)
    if as_json:
        output.data(document)
        return
    for one in document["tickets"]:
        output.text(_line(one))
    if not document["tickets"]:
        output.text(f"no ticket{' is open' if only_open else ''}")


@app.command("show")
def show(context: typer.Context, id: Ticket, as_json: output.Json = False) -> None:
    """One ticket: the affected strata, and what has to be shown."""
    from seatrial.control.changes.tickets import ticket_told

    with opened(project_of(context)) as store, store.read() as tx:
        document = ticket_told(tx.tickets.get(id))
    _tell(document, as_json)


@app.command("close")
def close(
    context: typer.Context,
    id: Ticket,
    reason: Annotated[str, typer.Option(help="What came of it.")],
    as_json: output.Json = False,
) -> None:
    """Close a ticket with what came of it."""
    if not reason.strip():
        raise UsageError("ST1444", f"ticket {id} is closed without a word.", remedy="Say what came of it: --reason.")

    def directly(desk: ChangeDesk) -> dict[str, Any]:
        return desk.close_ticket(id, resolution=reason, actor=actor())

    _tell(done(context, "POST", f"/v1/changes/tickets/{id}/close", {"resolution": reason}, directly), as_json)


def _tell_none(model: str, by: list[str], as_json: bool) -> None:
    if as_json:
        output.data({"schema": "seatrial.tickets.v1", "tickets": []})
    else:
        output.text(f"✔ {model}: no stratum of {', '.join(by)} looks different; no ticket is opened")


def _tell(document: dict[str, Any], as_json: bool) -> None:
    if as_json:
        output.data(document)
        return
    output.text(_line(document))
    for one in document["strata"]:
        output.text(f"  ⚠ {one['text']}")
    for what in document["todo"] if document["open"] else ():
        output.text(f"  · {what}")


def _line(d: dict[str, Any]) -> str:
    state = "open" if d["open"] else f"closed by {d['closedBy']}: {d['resolution']}"
    return f"{d['id']} {d['model']} v{d['version']} since {d['openedAt'][:10]} ({d['cause']}): {state}"
