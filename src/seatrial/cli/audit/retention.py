"""``audit retention``: how long the records of each model are kept, and what would go now."""

from __future__ import annotations

from typing import Any

import typer

from seatrial.cli import output
from seatrial.cli.session import opened, project_of


def retention(context: typer.Context, as_json: output.Json = False) -> None:
    """How long each kind of record is kept, of each model; what holds it longer; and what would be deleted now.

    Exit 2 where less is declared than a regulated model must keep: nothing of that model is deleted.
    """
    from datetime import UTC, datetime

    from seatrial.control.retention.keeper import retention_document
    from seatrial.control.retention.keeping import keeping

    project = project_of(context)
    with opened(project) as store, store.read() as tx:
        document = retention_document(tx, project, datetime.now(UTC))
        found = [keeping(tx, project, model) for model in tx.models.list_models()]
    if as_json:
        output.data(document)
    else:
        output.show(_table(document))
    for keep in found:
        keep.require()


def _table(document: dict[str, Any]) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("MODEL", "AUDIT", "EVENTS", "DECISIONS", "EVIDENCE", "ARTIFACTS", "FLOORS", "HELD BY", "OUTDATED"):
        table.add_column(column)
    for line in document["models"]:
        keeps = line["keeps"]
        told = ", ".join(f"{count} {what}" for what, count in line["outdated"].items() if count)
        kinds = ("audit", "events", "decisions", "evidence", "artifacts")
        held = "; ".join(line["holds"])
        table.add_row(line["model"], *(keeps[kind] for kind in kinds), line["why"] or "-", held or "-", told or "-")
    return table
