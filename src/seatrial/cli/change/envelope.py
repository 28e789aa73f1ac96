"""``seatrial change envelope``: what may change without a new submission, and whether a version stays within it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seatrial.cli import output
from seatrial.cli.change.sending import done
from seatrial.cli.session import actor, opened, project_of
from seatrial.errors import Exit

if TYPE_CHECKING:
    from seatrial.control.changes.desk import ChangeDesk

app = typer.Typer(help="Changes that were agreed on before they happen.", no_args_is_help=True)

Model = Annotated[str, typer.Argument(help="The model.")]
MARKS = {"inside": "✔", "unmet": "✖", "outside": "✖"}


@app.command("set")
def set_envelope(
    context: typer.Context,
    model: Model,
    file: Annotated[Path, typer.Argument(help="envelope.yaml, as it was authorised.")],
    reason: Annotated[str, typer.Option(help="Who authorised it, and where that is on record.")],
    as_json: output.Json = False,
) -> None:
    """Declare the envelope of a model; the one before stays on record."""
    from seatrial.control.changes.envelopes import envelope_in
    from seatrial.control.changes.reading import read_text

    text = read_text(file)
    envelope_in(text, source=str(file))

    def directly(desk: ChangeDesk) -> dict[str, Any]:
        return desk.set_envelope(model, text, source=str(file), reason=reason, actor=actor(), own=False)

    document = done(context, "PUT", f"/v1/changes/{model}/envelope", {"text": text, "reason": reason}, directly)
    if as_json:
        output.data(document)
    else:
        output.text(f"✔ {model} is held to '{document['envelope']['name']}' ({document['digest'][:19]})")


@app.command("show")
def show(context: typer.Context, model: Model, as_json: output.Json = False) -> None:
    """The envelope in force."""
    import sys

    import yaml

    from seatrial.control.changes.envelopes import envelope_document

    with opened(project_of(context)) as store, store.read() as tx:
        document = envelope_document(tx, model)
    if as_json:
        output.data(document)
    else:
        output.text(f"{document['digest']}, set by {document['setBy']} {document['setAt'][:10]}: {document['reason']}")
        sys.stdout.write(yaml.safe_dump(document["envelope"], sort_keys=False, allow_unicode=True))


@app.command("check")
def check(
    context: typer.Context,
    model: Model,
    version: Annotated[int, typer.Argument(min=1, help="The version that is to be released.")],
    as_json: output.Json = False,
) -> None:
    """Is a version within the envelope, and is every criterion met? With the traceability table; exit 3 if not."""
    from seatrial.control.changes.envelopes import check_document

    with opened(project_of(context)) as store, store.read() as tx:
        document = check_document(tx, model, version)
    if as_json:
        output.data(document)
    else:
        output.text("\n".join(_lines(document)))
    if document["status"] != "inside":
        raise typer.Exit(Exit.GATE_FAILED)


def _lines(d: dict[str, Any]) -> Iterator[str]:
    before = "nothing" if d["from"] is None else f"v{d['from']}"
    said = {"inside": "inside", "unmet": "declared, but a criterion is not met", "outside": "outside"}[d["status"]]
    yield f"{MARKS[d['status']]} {d['model']} {before} → v{d['to']}: {said}"
    yield from (f"  ✖ not declared: {text}" for text in d["outside"])
    if d["file"]:
        yield f"  to file: {d['file']}"
    for line in d["traceability"]:
        yield f"  {line['modification']}"
        yield from (f"    {part}: {text}" for part, text in line["protocol"].items())
        found = ", ".join(f"{e['source']} {e['slice']}" for e in line["evidence"]) or "no evidence"
        yield f"    {'✔' if line['met'] else '✖'} {line['criterion']} [{found}]{_because(line)}"


def _because(line: dict[str, Any]) -> str:
    return f": {line['problem']}" if line["problem"] else ""
