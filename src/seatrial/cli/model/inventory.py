"""``seatrial model inventory``: every model with its owner, tier, purpose, state and dates."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from seatrial.cli import output
from seatrial.cli.session import opened, project_of
from seatrial.cli.written import one_form, written


def inventory(
    context: typer.Context,
    csv: Annotated[bool, typer.Option("--csv", help="One line a model.")] = False,
    html: Annotated[bool, typer.Option("--html", help="One page that needs nothing else.")] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --csv or --html.", show_default="stdout")
    ] = None,
    as_json: output.Json = False,
) -> None:
    """All models: owner, tier, purpose, status, versions, last validation, what is due next, limits, dependencies."""
    from datetime import UTC, datetime

    from seatrial.control import inventory as listed

    one_form(csv=csv, html=html, json=as_json)
    project = project_of(context)
    with opened(project) as store, store.read() as tx:
        document = listed.inventory(tx, project, datetime.now(UTC))
    if as_json:
        output.data(document)
    elif csv or html:
        written(listed.as_csv(document) if csv else listed.as_html(document, project.config.project), out)
    else:
        output.show(_table(document))


def _table(document: dict[str, Any]) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("NAME", "OWNER", "TIER", "STATUS", "VERSIONS", "VALIDATED", "NEXT DUE", "PURPOSE"):
        table.add_column(column)
    for line in document["models"]:
        due = line["due"][0] if line["due"] else None
        told = "-" if due is None else f"{due['at'][:10]} {due['what']}" + (" ⚠ overdue" if due["overdue"] else "")
        validated = line["lastValidation"]
        table.add_row(
            line["model"], line["owner"] or "-", str(line["tier"]), line["status"], str(len(line["versions"])),
            "never" if validated is None else validated["at"][:10], told, line["purpose"] or "-",
        )  # fmt: skip
    return table
