"""``seatrial alerts``: what people were told, and whether it reached them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from seatrial.cli import output
from seatrial.cli.session import actor, opened, project_of
from seatrial.errors import Exit

app = typer.Typer(help="What people were told, and whether it reached them.", no_args_is_help=True)


@app.command("list")
def list_alerts(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, help="How many of the latest.")] = 50,
    undelivered: Annotated[bool, typer.Option("--undelivered", help="Only those that some target lacks.")] = False,
    as_json: output.Json = False,
) -> None:
    """The latest alerts, newest first, and what became of each at each target."""
    from seatrial.cli import tables
    from seatrial.control.alerting import notices

    with opened(project_of(context)) as store, store.read() as tx:
        document = notices.listed(tx, limit=limit, undelivered=undelivered)
    if as_json:
        output.data(document)
    else:
        output.show(tables.alerts(document))


@app.command("test")
def send_test(
    context: typer.Context,
    target: Annotated[str, typer.Argument(help="A name under `alerts` in seatrial.yaml.")],
    as_json: output.Json = False,
) -> None:
    """Send a test alert now and say what came back. By the control plane, if it runs: it has the keys."""
    from seatrial.cli.client import Client, NotRunning
    from seatrial.control.alerting import notices

    project = project_of(context)
    try:
        document = Client(project).post("/v1/alerts/test", {"target": target})
    except NotRunning:
        document = notices.send_test(project, target, actor=actor())
    if as_json:
        output.data(document)
    else:
        output.text(_said(document))
    if not document["ok"]:
        raise typer.Exit(Exit.ERROR)


@app.command("retry")
def retry(
    context: typer.Context,
    target: Annotated[str | None, typer.Argument(help="One target.", show_default="all")] = None,
    as_json: output.Json = False,
) -> None:
    """Deliver at once what failed or waits for its next attempt."""
    from seatrial.cli.client import Client, NotRunning
    from seatrial.control.alerting import notices

    project = project_of(context)
    try:
        document = Client(project).post("/v1/alerts/retry", {"target": target})
    except NotRunning:
        with opened(project) as store:
            document = notices.retry(project, store, target=target, actor=actor())
        output.note("The control plane is not running: they go out when it is.")
    if as_json:
        output.data(document)
    else:
        output.text(f"✔ {document['deliveries']:,} deliveries are tried again")


def _said(document: dict[str, Any]) -> str:
    icon = "✔" if document["ok"] else "✖"
    answer = f"{document['status'] or 'no answer'} {document['reply']}".strip()
    return f"{icon} {document['target']}: {answer} ({document['tookMs']:.0f} ms)"
