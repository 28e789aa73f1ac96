"""``seatrial audit``: who did what, and whether the log is as it was written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seatrial.cli import output
from seatrial.cli.audit import bundle
from seatrial.cli.audit import retention as keeping
from seatrial.cli.session import opened, project_of

if TYPE_CHECKING:
    from seatrial.store.audit import AuditReport

app = typer.Typer(help="Who did what, and whether the log is as it was written.", no_args_is_help=True)
app.command("export")(bundle.export)
app.command("verify-bundle")(bundle.verify_bundle)
app.command("retention")(keeping.retention)


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
    anchors: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="A file of signed anchors; may repeat.",
                                        show_default="those of seatrial.yaml")
    ] = None,
    public_key: Annotated[
        str, typer.Option(metavar="KEY|FILE", help="Who signed them.", show_default="audit.key and audit.trusted")
    ] = "",
    as_json: output.Json = False,
) -> None:  # fmt: skip
    """Read the whole chain; exit 6 names the first entry that was changed, removed or added.

    Whoever can rewrite the whole log can make it fit again, up to the last entry that was anchored elsewhere. How many
    entries come after that is said.
    """
    from seatrial.control.anchoring.checking import anchors_in, kept_anchors
    from seatrial.control.anchoring.keys import public_keys, trusted_keys
    from seatrial.control.documents import views
    from seatrial.store.audit import Anchor

    project = project_of(context)
    given = [Anchor.parse(anchor)] if anchor else []
    trusted = public_keys(public_key) if public_key else trusted_keys(project)
    with opened(project) as store, store.read() as tx:
        kept = kept_anchors(tx, project, trusted) if anchors is None else anchors_in(anchors, trusted, project)
        report = tx.audit.verify(*given, *kept)
        head = tx.audit.head()
    if as_json:
        output.data(views.audit_report_document(report))
    elif report.ok:
        output.text(f"✔ {report.entries:,} entries, unbroken; the last one is {head}")
        output.text(_anchored(report))
    report.require_ok()


@app.command("anchor")
def anchor(context: typer.Context, as_json: output.Json = False) -> None:
    """Sign the end of the log now, and take it to every target of seatrial.yaml. Exit 6 where the log is broken."""
    from datetime import UTC, datetime

    from seatrial.control.anchoring.anchoring import require_kept, take_anchor

    project = project_of(context)
    with opened(project) as store:
        taken = take_anchor(project, store, datetime.now(UTC))
    said = taken.anchor.statement
    if as_json:
        anchored = taken.anchor.document()
        output.data({"schema": "seatrial.audit-anchored.v1", "anchor": anchored, "kept": [*taken.kept],
                     "failed": dict(taken.failed)})  # fmt: skip
    elif taken.kept:
        output.text(f"✔ entry {said.seq} and all before it are anchored at {', '.join(taken.kept)}: {said.anchor}")
    require_kept(taken)


@app.command("public-key")
def public_key(context: typer.Context, as_json: output.Json = False) -> None:
    """The key that anchors and bundles are held against: give it to whoever is to check them."""
    from seatrial.control.anchoring.keys import signing_key

    key = signing_key(project_of(context)).public
    if as_json:
        output.data({"schema": "seatrial.public-key.v1", "id": key.id, "key": key.text})
    else:
        output.text(key.text)


def _anchored(report: AuditReport) -> str:
    if not report.anchored:
        return "⚠ no entry is anchored: whoever owns the database could have rewritten all of them"
    if not report.unanchored:
        return "✔ every entry is anchored"
    one = report.unanchored == 1
    return (
        f"◌ {report.unanchored:,} {'entry' if one else 'entries'} after entry {report.anchored}, since "
        f"{report.unanchored_since}, {'is' if one else 'are'} not anchored yet: whoever owns the database could have "
        f"rewritten {'it' if one else 'them'}"
    )
