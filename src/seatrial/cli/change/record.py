"""``seatrial change record``: one change of a model with all that is on record about it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seatrial.cli import output
from seatrial.cli.session import opened, project_of
from seatrial.cli.written import one_form, written


def add_to(app: typer.Typer) -> None:
    app.command("record")(record)


def record(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="The model.")],
    version: Annotated[int, typer.Argument(help="The version that changed it.")],
    html: Annotated[bool, typer.Option("--html", help="One page that needs nothing else.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Into a file.", show_default="stdout")] = None,
    as_json: output.Json = False,
) -> None:
    """What differs, why, whether it is material, how it was tested and released, who signed; as Markdown."""
    from seatrial.control import change_record as made

    one_form(html=html, json=as_json)
    project = project_of(context)
    with opened(project) as store, store.read() as tx:
        document = made.change_record(tx, project, model, version)
    if as_json:
        output.data(document)
    else:
        written((made.as_html if html else made.as_markdown)(document), out)
