"""``seatrial trigger set | list | show | test``: policies in force on this project."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from seatrial.cli import output
from seatrial.cli.session import actor, opened, project_of
from seatrial.cli.training_desk import call
from seatrial.errors import NotFound, UsageError

Model = Annotated[str, typer.Argument(help="The model.")]


def add_to(app: typer.Typer) -> None:
    app.command("set")(set_policy)
    app.command("list")(list_policies)
    app.command("show")(show)
    app.command("test")(try_policy)


def set_policy(
    context: typer.Context,
    model: Model,
    policy: Annotated[Path, typer.Argument(metavar="POLICY", help="A policy's YAML file, which says what trains.")],
    as_json: output.Json = False,
) -> None:
    """Put a policy in force, or another one in its place. What its triggers know is kept."""
    text = _text(policy)
    document, runs = call(
        project_of(context), "PUT", f"/v1/retraining/policies/{model}", {"text": text},
        lambda desk: desk.set(text, model=model, actor=actor()),
    )  # fmt: skip
    if as_json:
        output.data(document)
        return
    names = ", ".join(trigger["name"] for trigger in document["triggers"])
    rest = "" if runs else " as soon as the control plane is up (`seatrial up`)"
    output.text(f"✔ {model} is trained by {names}{rest}")


def list_policies(context: typer.Context, as_json: output.Json = False) -> None:
    """Models with a policy, and what starts their training."""
    from seatrial.control.retraining import documents

    with opened(project_of(context)) as store, store.read() as tx:
        document = documents.policies_document(tx)
    if as_json:
        output.data(document)
        return
    for one in document["policies"]:
        triggers = ", ".join(f"{trigger['name']} ({_kind(trigger)})" for trigger in one["triggers"])
        released = "registered" if one["plan"] is None else f"released by plan {one['plan']}"
        output.text(f"{one['model']}: {triggers}; {released}")


def show(context: typer.Context, model: Model, as_json: output.Json = False) -> None:
    """The policy in force, as it was written."""
    from seatrial.control.retraining import documents

    with opened(project_of(context)) as store, store.read() as tx:
        document = documents.policy_document(tx, model)
    if as_json:
        output.data(document)
    else:
        typer.echo(document["text"], nl=not document["text"].endswith("\n"))


def try_policy(context: typer.Context, model: Model, as_json: output.Json = False) -> None:
    """Measure now, and say what the triggers would do. Nothing is changed."""
    from seatrial.control.operations import Operations
    from seatrial.control.retraining.desk import RetrainingDesk

    project = project_of(context)
    with opened(project) as store:
        document = RetrainingDesk(Operations(project, store)).test(model)
    if as_json:
        output.data(document)
    else:
        _tell(document)


def _kind(trigger: dict[str, Any]) -> str:
    return "drift by KS" if trigger["measure"] == "ks" else str(trigger["kind"])


def _tell(document: dict[str, Any]) -> None:
    reading = document["reading"]
    for line in _inputs(reading):
        output.text(f"inputs: {line}")
    for one in document["unmeasured"]:
        what = "is no captured column of numbers" if one["measure"] == "ks" else "is not captured"
        output.text(f"⚠ {one['trigger']}: '{one['feature']}' {what}, so it is not measured")
    if reading["loss"] is None:
        output.text("performance: too few matured outcomes, or no outcome named")
    else:
        output.text(f"performance: worse by {reading['loss']:.1%} on {reading['mature']:,} matured outcomes")
    output.text(f"rows: {reading['rows']:,} since the last run")
    output.text(f"✖ data: {document['dataFailure']}" if document["dataFailure"] else "✔ data: nothing is wrong")
    for event in document["would"]:
        output.text(f"would be {event['what']}: {event['trigger']}: {event['reason']}")
    if not document["would"]:
        output.text("nothing would start")


def _inputs(reading: dict[str, Any]) -> list[str]:
    """The five that are furthest away, by each measure."""
    psi = sorted(reading["psi"].items(), key=lambda item: (-item[1], item[0]))[:5]
    ks = sorted(reading["ks"].items(), key=lambda item: (-item[1]["distance"], item[0]))[:5]
    if not (psi or ks):
        return ["too few rows to compare, or no reference yet"]
    lines = ["PSI " + ", ".join(f"{name} {value:.3f}" for name, value in psi)] if psi else []
    told = [f"{name} {one['distance']:.3f} (p {one['pValue']:.2g}, {one['nCur']:,} values against {one['nRef']:,})"
            for name, one in ks]  # fmt: skip
    return [*lines, "KS " + ", ".join(told)] if told else lines


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, IsADirectoryError):
        raise NotFound(
            "ST0390", f"there is no policy '{path}'.", remedy="`seatrial trigger templates` shows some."
        ) from None
    except UnicodeDecodeError:
        raise UsageError("ST0390", f"'{path}' is not text.") from None
