"""What is made of a drill: its verdict from a file, its report, and its review."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from seatrial.cli import output
from seatrial.cli.session import opened, project_of
from seatrial.errors import Exit, UsageError

EVIDENCE = "`seatrial drill report ID --evidence FILE` writes it."
TEMPLATE = "`seatrial drill template` is an empty one."

Drill = Annotated[str, typer.Argument(help="Its id, e.g. d-0001.")]


def add_to(app: typer.Typer) -> None:
    for name, command in (
        ("judge", judge), ("report", report), ("template", template), ("review", review), ("close", close)
    ):  # fmt: skip
        app.command(name)(command)


def judge(
    file: Annotated[Path, typer.Argument(help="Evidence, as `drill report --evidence` writes it.")],
    as_json: output.Json = False,
) -> None:
    """Judge a drill again, from its evidence alone. Exit 0 passed, 3 failed."""
    from seatrial.control.drills.documents import verdict_document
    from seatrial.governance.drills.judge import judge as judged

    document = verdict_document(judged(_read_json(file)))
    if as_json:
        output.data(document)
    else:
        output.text(f"{'✔' if document['passed'] else '✖'} {document['drill']}")
        for criterion in document["criteria"]:
            mark = "✔" if criterion["passed"] else "✖"
            output.text(f"  {mark} {criterion['name']}: {criterion['measured']} (target {criterion['target']})")
    if not document["passed"]:
        raise typer.Exit(Exit.GATE_FAILED)


def report(
    context: typer.Context,
    drill: Drill,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it, as .md or .html.")] = None,
    evidence: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write its evidence, for `drill judge`.")
    ] = None,
    as_json: output.Json = False,
) -> None:
    """A drill with its timeline, criteria, review and actions; Markdown unless it is written into a file."""
    from seatrial.control.drills.documents import drill_document, evidence_of, line, trend_row
    from seatrial.control.drills.report import markdown, write

    with opened(project_of(context)) as store, store.read() as tx:
        stored = tx.drills.get(drill)
        drills = [one for one in tx.drills.list(stored.model) if one.status in ("passed", "failed")]
    document, trend = drill_document(stored), [trend_row(line(one)) for one in drills]
    if evidence is not None:
        _write(evidence, json.dumps(evidence_of(stored), indent=2, ensure_ascii=False) + "\n")
    if out is not None:
        output.note(f"✔ {write(out, document, trend)}")
    if as_json:
        output.data(document)
    elif out is None:
        output.text(markdown(document, trend))


def template() -> None:
    """An empty review, to be filled in and given to `drill review`."""
    from seatrial.control.drills.report import template as empty

    output.text(empty().rstrip("\n"))


def review(
    context: typer.Context,
    drill: Drill,
    file: Annotated[Path, typer.Argument(help="A filled template.")],
    as_json: output.Json = False,
) -> None:
    """Fill in what people learned. Actions that were carried on stay in it until they are done."""
    from seatrial.cli.client import Client

    document = Client(project_of(context)).put(f"/v1/drills/{drill}/review", _read_yaml(file))
    if as_json:
        output.data(document)
    elif document["missing"]:
        output.text(f"✔ {drill}: kept; still missing: {', '.join(document['missing'])}")
    else:
        output.text(f"✔ {drill}: complete; `seatrial drill close {drill}` closes it")


def close(context: typer.Context, drill: Drill, as_json: output.Json = False) -> None:
    """Close a review that is complete. Its open actions are carried on to the next drill of the model."""
    from seatrial.cli.client import Client

    document = Client(project_of(context)).post(f"/v1/drills/{drill}/close")
    if as_json:
        output.data(document)
    else:
        left = sum(not action["done"] for action in document["review"]["actions"])
        output.text(f"✔ {drill} is closed; {left} open actions are carried on")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError("ST0367", f"'{path}' cannot be read: {error}.", remedy=EVIDENCE) from None
    if not isinstance(document, dict):
        raise UsageError("ST0367", f"'{path}' is no evidence of a drill.", remedy=EVIDENCE)
    return document


def _read_yaml(path: Path) -> dict[str, Any]:
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
        document = yaml.load(text, yaml.BaseLoader)  # dates stay as they were written
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError("ST0378", f"'{path}' cannot be read: {error}.", remedy=TEMPLATE) from None
    if not isinstance(document, dict):
        raise UsageError("ST0378", f"'{path}' is no review.", remedy=TEMPLATE)
    return document


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError("ST0379", f"'{path}' cannot be written: {error.strerror}.", remedy="Name another.") from error
