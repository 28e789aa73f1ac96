"""``seatrial model card`` and ``declare``: what is known of a version, and what only people know of a model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from seatrial.cli import output
from seatrial.cli.session import actor, opened, project_of
from seatrial.cli.written import one_form, written
from seatrial.errors import UsageError


def card(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The model.")],
    version: Annotated[int, typer.Argument(help="The version.")],
    html: Annotated[bool, typer.Option("--html", help="One page that needs nothing else.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Into a file.", show_default="stdout")] = None,
    as_json: output.Json = False,
) -> None:
    """The model card of a version as Markdown: use, data, metrics by slice, limits, releases, approvals."""
    from seatrial.control import cards

    one_form(html=html, json=as_json)
    with opened(project_of(context)) as store, store.read() as tx:
        document = cards.card(tx, name, version)
    if as_json:
        output.data(document)
    else:
        written((cards.as_html if html else cards.as_markdown)(document), out)


def declare(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The model.", show_default="with --template, none")] = "",
    file: Annotated[Path | None, typer.Argument(help="YAML; without it, what is declared is shown.")] = None,
    template: Annotated[bool, typer.Option("--template", help="An empty file with every field.")] = False,
    as_json: output.Json = False,
) -> None:
    """Say what a model is for, what it is not for, who depends on it, and which rules it falls under."""
    from datetime import UTC, datetime

    from seatrial.control import declarations
    from seatrial.control.retention.keeping import keeping

    if template:
        sys.stdout.write(declarations.TEMPLATE)
        return
    if not name:
        raise UsageError("ST1511", "a declaration is about a model.", remedy="`seatrial model declare MODEL FILE`")
    project = project_of(context)
    with opened(project) as store:
        if file is not None:
            said = declarations.read_declaration(file)
            with store.begin() as tx:
                declarations.declare(tx, name, said, actor=actor(), now=datetime.now(UTC))
                keeping(tx, project, tx.models.get_model(name)).require()
        with store.read() as tx:
            tx.models.get_model(name)
            document = declarations.declaration_of(tx, name).document()
    if as_json:
        output.data({"schema": "seatrial.declaration.v1", "model": name, **document})
    elif file is not None:
        output.text(f"✔ {name} is declared: " + (", ".join(k for k, v in document.items() if v) or "nothing"))
    else:
        _show(document)


def _show(document: dict[str, object]) -> None:
    import yaml

    sys.stdout.write(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))
