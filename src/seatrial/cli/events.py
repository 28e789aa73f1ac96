"""``seatrial events``: what was captured, how much there is, and how it goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seatrial.cli import output
from seatrial.cli.session import actor, opened, project_of
from seatrial.errors import UsageError

if TYPE_CHECKING:
    from seatrial.control.capture.housekeeping import Housekeeping
    from seatrial.control.project import Project

PATIENCE_S = 3600.0
"""Erasing and compacting read everything there is of a model."""

Document = Mapping[str, Any]

app = typer.Typer(help="What was captured: predictions and their outcomes.", no_args_is_help=True)


@app.command("list")
def list_events(context: typer.Context, as_json: output.Json = False) -> None:
    """How much is kept of each model, since when, and for how long."""
    from seatrial.control.documents.stock import stock

    project = project_of(context)
    with opened(project) as store, store.read() as tx:
        document = stock(project, tx)
    if as_json:
        output.data(document)
    else:
        output.show(_table(document))


@app.command()
def compact(
    context: typer.Context,
    model: Annotated[str | None, typer.Argument(help="Of this model only.", show_default="all")] = None,
    as_json: output.Json = False,
) -> None:
    """Merge small parts into large ones now; the control plane does it by itself, at a calm pace."""
    from seatrial.control.documents.stock import compacted_document

    project = project_of(context)
    done = _by(
        project, "/v1/events/compact", {"model": model}, lambda keeper: compacted_document(keeper.compact(model))
    )  # fmt: skip
    if as_json:
        output.data(done)
    else:
        output.text(f"✔ {done['rows']:,} rows of {done['parts']:,} parts are in {done['merges']:,} now")


@app.command()
def erase(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="The model.")],
    unit: Annotated[str, typer.Option("--unit", help="The unit id, as clients send it.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: output.Json = False,
) -> None:
    """Take everything of a unit out of a model's predictions and outcomes, and out of the logs. Cannot be undone."""
    from seatrial.control.documents.stock import erased_document

    project = project_of(context)
    if not yes:
        _confirm(f"Erase everything that is kept of this unit of '{model}'?")
    done = _by(
        project, f"/v1/models/{model}/erase", {"unit": unit},
        lambda keeper: erased_document(keeper.erase(model, unit, actor=actor())),
    )  # fmt: skip
    if as_json:
        output.data(done)
    else:
        output.text(
            f"✔ {model}: {done['predictions']:,} predictions and {done['outcomes']:,} outcomes "
            f"of unit {done['unit']} are erased"
        )


def _confirm(question: str) -> None:
    import sys

    if not sys.stdin.isatty():
        raise UsageError("ST0522", "erasing cannot be undone, and nobody is here to ask.", remedy="Say --yes.")
    typer.confirm(question, abort=True, err=True)


def _by(project: Project, path: str, body: object, directly: Callable[[Housekeeping], Document]) -> Document:
    """By the control plane if it runs, else here, in its place."""
    from seatrial.cli.client import Client
    from seatrial.control.offline import in_its_place

    client = Client(project, timeout_s=PATIENCE_S)
    if client.running():
        return client.post(path, body)
    with opened(project) as store, in_its_place(project, store) as controller:
        return directly(controller.housekeeping)


def _table(document: Document) -> Any:
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    for name in ("model", "rows", "parts", "size", "first", "last", "outcomes", "unparsed", "kept for"):
        table.add_column(name, justify="right" if name in ("rows", "parts", "size", "outcomes", "unparsed") else "left")
    for held in document["models"]:
        table.add_row(held["model"], *_cells(held), f"{held['outcomes']['rows']:,}", "-", held["retention"])
    rest = document["unattributed"]
    if rest["rows"]:
        table.add_row("(none)", *_cells(rest), "-", f"{rest['unparsed']:,}", rest["retention"])
    return table


def _cells(held: Document) -> list[str]:
    times = [(held[name] or "-").replace("T", " ")[:16] for name in ("first", "last")]
    return [f"{held['rows']:,}", f"{held['parts']:,}", _size(held["bytes"]), *times]


def _size(number: int) -> str:
    size, unit = float(number), "B"
    for larger in ("KiB", "MiB", "GiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:.3g} {unit}"
