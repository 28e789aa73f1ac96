"""``seatrial fallback``: who answers for a model when none of its versions does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from seatrial.cli import output
from seatrial.cli.model.safety import secured
from seatrial.cli.session import opened, project_of
from seatrial.errors import Exit, UsageError

app = typer.Typer(help="Who answers for a model when none of its versions does.", no_args_is_help=True)

Model = Annotated[str, typer.Argument(help="The model.")]


@app.command("set")
def set_chain(
    context: typer.Context,
    model: Model,
    rules: Annotated[str | None, typer.Option(help="A scorecard in YAML, or 'none'.")] = None,
    reviewed_by: Annotated[str | None, typer.Option(help="Who has read the scorecard; not who sets it.")] = None,
    last: Annotated[
        Literal["review", "banner", "none"] | None,
        typer.Option(help="Below the rules: a queue that people decide, or an answer that says there is none."),
    ] = None,
    review_limit: Annotated[int | None, typer.Option(help="From so many waiting requests on, people are told.")] = None,
    as_json: output.Json = False,
) -> None:
    """Put levels below the previous version, or take them out. What is given is changed and audited, the rest stays."""
    from seatrial.control.levels import fallbacks

    if all(value is None for value in (rules, last, review_limit)):
        raise UsageError("ST0708", f"nothing is to change in the chain of '{model}'.", remedy="--rules, --last, ...")
    project = project_of(context)
    changes: dict[str, Any] = {} if review_limit is None else {"review_limit": review_limit}
    if rules == "none":
        changes |= {"rules": None, "reviewed_by": None}
    elif rules is not None:
        changes |= {"rules": fallbacks.put_rules(project, Path(rules)), "reviewed_by": reviewed_by}
    if last is not None:
        changes["last"] = None if last == "none" else last
    document = secured(project, model, lambda known: replace(known, fallback=replace(known.fallback, **changes)))
    if as_json:
        output.data(document)
    else:
        told = ", ".join(f"{name} {value}" for name, value in document["safety"]["fallback"].items())
        output.text(f"✔ {model}: {told or 'no level below the previous version'}")


@app.command("show")
def show(context: typer.Context, model: Model, as_json: output.Json = False) -> None:
    """The chain as it is in force, level by level, and how each of them is."""
    from seatrial.control.levels import fallbacks

    project = project_of(context)
    with opened(project) as store, store.read() as tx:
        known = tx.models.get_model(model)
    document = fallbacks.chain(project, known)
    if as_json:
        output.data(document)
        return
    killed = document["killed"]
    if killed is not None:
        output.text(f"⚠ {model} is killed to {killed['to']} by {killed['actor']}: {killed['reason']}")
    for arm in document["arms"]:
        output.text(f"{arm['arm']}: {document['attempt']:g} s each, {document['request']:g} s together")
        for level in arm["levels"]:
            icon = "✔" if level["state"] == "up" else "✖"
            output.text(f"  {icon} {level['level']:<9} {level['version']:<16} {level['state']}")
    if document["last"] == "review":
        output.text(
            f"{document['waiting']} requests wait for review; people are told from {document['reviewLimit']} on"
        )


@app.command("test")
def ask_every_level(
    context: typer.Context,
    model: Model,
    body: Annotated[
        Path | None, typer.Option(help="A request that the model takes; made up from features if none.")
    ] = None,
    path: Annotated[str, typer.Option(help="Where the model takes it.")] = "/invocations",
    content_type: Annotated[str, typer.Option(help="Of the body.")] = "application/json",
    as_json: output.Json = False,
) -> None:
    """Ask every level once, past the gateway: exit code 0 if each gives an answer that is valid for this model."""
    from seatrial.control.levels import fallbacks

    project = project_of(context)
    with opened(project) as store, store.read() as tx:
        known = tx.models.get_model(model)
        features = fallbacks.champion_features(tx, model)
    try:
        request = fallbacks.invented(project, known, features) if body is None else body.read_bytes()
    except OSError as error:
        raise UsageError("ST0709", f"{body}: {error.strerror}.", remedy="Name a file with a request.") from None
    document = fallbacks.probe(project, known, request, path=path, content_type=content_type)
    if as_json:
        output.data(document)
    else:
        for level in document["levels"]:
            icon, reasons = "✔" if level["ok"] else "✖", f" ({level['reasons']})" if level["reasons"] else ""
            output.text(f"{icon} {level['level']:<9} {level['version']:<16} {level['tookMs']:>7} ms{reasons}")
            if level["problem"]:
                output.text(f"    {level['problem']}")
    if not document["ok"]:
        raise typer.Exit(Exit.ERROR)
