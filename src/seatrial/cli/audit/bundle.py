"""``audit export`` and ``audit verify-bundle``: a model's history for somebody who has no store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seatrial.cli import output
from seatrial.cli.session import actor, opened, project_of


def export(
    context: typer.Context,
    model: Annotated[str, typer.Option(help="Whose history.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR|FILE.zip", help="Where it is written.")],
    version: Annotated[int | None, typer.Option(help="Of one version only.")] = None,
    as_json: output.Json = False,
) -> None:
    """Everything that is known of a model as one signed bundle: a device history file.

    Intended use, lineage, tests, approvals, decisions with their evidence, drills, incidents, and the model's audit
    entries, each with its proof. The audit log is verified first: exit 6 where it is broken.
    """
    from datetime import UTC, datetime

    from seatrial.control.bundle.write import export_bundle

    project = project_of(context)
    with opened(project) as store:
        document = export_bundle(project, store, model, version, out, actor=actor(), now=datetime.now(UTC))
    if as_json:
        output.data(document)
        return
    parts = ", ".join(f"{count} {name}" for name, count in document["parts"].items() if count)
    empty = ", ".join(name for name, count in document["parts"].items() if not count)
    output.text(
        f"✔ {document['path']}: {document['records']} records ({parts}), {document['entries']} audit entries"
        + (f"\n  nothing recorded of: {empty}" if empty else "")
        + f"\n  check it: seatrial audit verify-bundle {document['path']} --public-key {document['key']}"
    )


def verify_bundle(
    bundle: Annotated[Path, typer.Argument(metavar="DIR|FILE.zip", help="What was exported.")],
    public_key: Annotated[
        str, typer.Option(metavar="KEY|FILE", help="Of who exported it; have it from them, not from the bundle.")
    ],
    as_json: output.Json = False,
) -> None:
    """Check every record of a bundle. Needs no project and no store; exit 6 names the record that was changed."""
    from seatrial.control.anchoring.keys import public_keys
    from seatrial.control.bundle.verify import verify_bundle as verified
    from seatrial.control.documents.views import plain

    report = verified(bundle, public_keys(public_key))
    if as_json:
        output.data({"schema": "seatrial.bundle-report.v1", "ok": report.ok, **plain(report)})
    elif report.ok:
        versions = ", ".join(f"v{number}" for number in report.versions)
        output.text(
            f"✔ {report.records} records of {report.model} ({versions}) are as {report.key} exported them on "
            f"{report.made_at[:10]}\n✔ {report.entries} audit entries are in the log that ends with {report.anchor}"
        )
    report.require_ok()
