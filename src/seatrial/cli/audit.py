"""``seatrial audit``: who did what, and whether the log is as it was written."""

from __future__ import annotations

from typing import Annotated

import typer

from seatrial.cli import output
from seatrial.cli.session import opened, project_of

app = typer.Typer(help="Who did what, and whether the log is as it was written.", no_args_is_help=True)


@app.command("log")
def log(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, help="How many of the latest entries.")] = 50,
    as_json: output.Json = False,
) -> None:
    """The latest entries, newest first."""
    from seatrial.cli import tables
    from seatrial.control.documents import catalog

    with opened(project_of(context)) as store, store.read() as tx:
        document = catalog.audit(tx, limit)
    if as_json:
        output.data(document)
    else:
        output.show(tables.audit(document))


@app.command("verify")
def verify(
    context: typer.Context,
    anchor: Annotated[
        str, typer.Option(metavar="SEQ:HASH", help="What an earlier verify said of the last entry.")
    ] = "",
    as_json: output.Json = False,
) -> None:
    """Read the whole chain; exit 6 names the first entry that was changed, removed or added.

    Whoever can rewrite the whole log can make it fit again, up to an entry that was noted down elsewhere: --anchor.
    """
    from seatrial.control.documents import views
    from seatrial.store.audit import Anchor

    noted = Anchor.parse(anchor) if anchor else None
    with opened(project_of(context)) as store, store.read() as tx:
        report = tx.audit.verify(noted)
        head = tx.audit.head()
    if as_json:
        output.data(views.audit_report_document(report))
    elif report.ok:
        output.text(f"✔ {report.entries:,} entries, unbroken; the last one is {head}")
    report.require_ok()
