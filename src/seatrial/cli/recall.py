"""``seatrial recall``: what a faulty version answered, who was told of it, and what was read again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seatrial.cli import output
from seatrial.cli.session import actor, opened, project_of

if TYPE_CHECKING:
    from seatrial.control.controller import Controller
    from seatrial.store.recalls import MarkKind

app = typer.Typer(help="What a faulty version answered, who was told of it, and what was read again.",
                  no_args_is_help=True)  # fmt: skip

SHOWN = 20
Recall = Annotated[str, typer.Argument(help="Its id, e.g. k-0001.")]
Csv = Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Also the whole list, as a table.")]
Requests = Annotated[
    list[str] | None, typer.Option("--request", metavar="ID", help="One request; may be given again. All unless given.")
]


@app.command("open")
def open_recall(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="The model.")],
    version: Annotated[int, typer.Option(min=1, help="The faulty version.")],
    since: Annotated[str, typer.Option("--from", metavar="TIME", help="From when on it was faulty.")],
    until: Annotated[str, typer.Option("--to", metavar="TIME", help="Until when (exclusive).")],
    reason: Annotated[str, typer.Option(help="Why; goes into the audit log.")],
    table: Csv = None,
    as_json: output.Json = False,
) -> None:
    """List every prediction that a version answered in a span of time, and keep track of it from now on."""
    from seatrial.control.analyses import recall
    from seatrial.control.analyses.span import moment_of

    start, end = moment_of(since, "--from"), moment_of(until, "--to")
    body = {"model": model, "version": version, "since": start.isoformat(), "until": end.isoformat(), "reason": reason}

    def directly(controller: Controller) -> dict[str, Any]:
        return recall.open_recall(
            controller.project, controller.store, model, version, start, end,
            reason=reason, actor=actor(), now=controller.clock.now(),
        )  # fmt: skip

    _tell(_done(context, "/v1/recalls", body, directly), table, as_json)


@app.command("list")
def list_recalls(context: typer.Context, as_json: output.Json = False) -> None:
    """All recalls, oldest first."""
    from seatrial.cli.tables import table
    from seatrial.control.analyses import recall

    with opened(project_of(context)) as store, store.read() as tx:
        document = recall.listed(tx)
    if as_json:
        output.data(document)
        return
    columns = ("id", "model", "version", "from", "to", "found", "notified", "reread", "reason")
    rows = [tuple(str(one[name]) for name in columns) for one in document["recalls"]]
    output.show(table(tuple(name.upper() for name in columns), rows))


@app.command("show")
def show(
    context: typer.Context,
    recall: Recall,
    unnotified: Annotated[bool, typer.Option("--unnotified", help="Only those that nobody was told of.")] = False,
    unread: Annotated[bool, typer.Option("--unread", help="Only those that nobody has read again: the queue.")] = False,
    table: Csv = None,
    as_json: output.Json = False,
) -> None:
    """One recall, with its list as the log has it now."""
    from seatrial.control.analyses.recall import shown

    project = project_of(context)
    waiting: MarkKind | None = "notified" if unnotified else "reread" if unread else None
    with opened(project) as store:
        _tell(shown(project, store, recall, waiting=waiting), table, as_json)


@app.command("notify")
def notify(
    context: typer.Context,
    recall: Recall,
    note: Annotated[str, typer.Option(help="How they were told; goes into the audit log.")],
    request: Requests = None,
    as_json: output.Json = False,
) -> None:
    """Record that the people behind predictions were told."""
    _mark(context, recall, "notified", note, request or [], as_json)


@app.command("reread")
def reread(
    context: typer.Context,
    recall: Recall,
    note: Annotated[str, typer.Option(help="What came of it; goes into the audit log.")],
    request: Requests = None,
    as_json: output.Json = False,
) -> None:
    """Record that a person has read predictions again."""
    _mark(context, recall, "reread", note, request or [], as_json)


def _mark(context: typer.Context, id: str, kind: MarkKind, note: str, requests: list[str], as_json: bool) -> None:
    from seatrial.control.analyses import recall

    def directly(controller: Controller) -> dict[str, Any]:
        return recall.mark(
            controller.project, controller.store, id, kind, requests,
            note=note, actor=actor(), now=controller.clock.now(),
        )  # fmt: skip

    document = _done(context, f"/v1/recalls/{id}/marks", {"kind": kind, "note": note, "requests": requests}, directly)
    if as_json:
        output.data(document)
    else:
        waits = document["kept"] - document[kind]
        output.text(f"✔ {id}: {document['marked']} marked as {kind}, {waits} of {document['kept']} to go")


def _done(
    context: typer.Context, path: str, body: dict[str, Any], directly: Callable[[Controller], dict[str, Any]]
) -> dict[str, Any]:
    """By the control plane if it runs, else in its place."""
    from seatrial.cli.client import Client, NotRunning
    from seatrial.control.offline import in_its_place

    project = project_of(context)
    try:
        return Client(project).post(path, body)
    except NotRunning:
        with opened(project) as store, in_its_place(project, store) as controller:
            return directly(controller)


def _tell(document: dict[str, Any], table: Path | None, as_json: bool) -> None:
    from seatrial.control.analyses.recall import write_csv

    if table is not None:
        write_csv(document, table)
    if as_json:
        output.data(document)
        return
    d = document
    output.text(
        f"{d['id']}: {d['model']} v{d['version']} answered {d['kept']:,} predictions for {d['units']:,} units from "
        f"{d['from']} to {d['to']}\n{d['notified']:,} notified, {d['reread']:,} read again; {d['gone']['text']}"
    )
    if d["copies"]:
        output.text(f"{d['copies']:,} more were copies for a shadow: nobody saw them")
    for line in d["predictions"][:SHOWN]:
        done = " · ".join(f"{kind} {line[kind]}" for kind in ("notified", "reread") if line[kind])
        score = "" if line["score"] is None else f" score {line['score']:.4g}"
        named = f"{line['request_id']}:{line['row']} {line['unit'] or '-'} {line['served_level']}"
        output.text(f"  {line['time']} {named}{score} {done}".rstrip())
    if len(d["predictions"]) > SHOWN:
        output.note(f"{len(d['predictions']) - SHOWN:,} more: --csv FILE or --json has all of them.")
