"""``seatrial model``: models and their versions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from seatrial.cli import output
from seatrial.cli.model import anchor as anchors
from seatrial.cli.model import contract as contracts
from seatrial.cli.model import difference as differences
from seatrial.cli.model import safety as safeties
from seatrial.cli.model import standby as standbys
from seatrial.cli.session import actor, opened, project_of
from seatrial.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from seatrial.control.operations import Operations
    from seatrial.control.project import Project
    from seatrial.registry.contract import Contract
    from seatrial.registry.version import Model, ModelVersion

app = typer.Typer(help="Models and their versions.", no_args_is_help=True)
app.command("anchor")(anchors.anchor)
app.command("safety")(safeties.safety)
app.command("diff")(differences.diff)
app.command("standby")(standbys.standby)

Name = Annotated[str, typer.Argument(help="The model.")]
UnitHeader = Annotated[str, typer.Option(help="Request header that carries the unit (user, account, device).")]


@app.command("adopt")
def adopt(
    context: typer.Context,
    name: Name,
    url: Annotated[str, typer.Option(help="Where it serves today.")],
    unit_header: UnitHeader = "x-unit-id",
    owner: Annotated[str, typer.Option(help="Who answers for it.")] = "",
    purpose: Annotated[str, typer.Option(help="What it is for.")] = "",
    wire: contracts.Wire = None,
    score: contracts.Score = None,
    label: contracts.Label = None,
    rows: contracts.Rows = None,
    output_name: contracts.OutputName = None,
    items: contracts.Items = None,
    item_scores: contracts.ItemScores = None,
    top_k: contracts.TopK = None,
    outcome_key: contracts.OutcomeKey = None,
    keep_feature: contracts.KeepFeature = None,
    retention: contracts.Retention = None,
    as_json: output.Json = False,
) -> None:
    """Make what serves today the first champion of a model."""
    project = project_of(context)
    given = contracts.changes(
        wire, score, label, rows, output_name, items, item_scores, top_k, outcome_key, keep_feature, retention
    )
    contract = contracts.agreed(project, name, given)
    document = _send(
        project, "POST", f"/v1/models/{name}/adopt",
        {"url": url, "unitHeader": unit_header, "owner": owner, "purpose": purpose, **_said(contract)},
        lambda operations: operations.adopt(
            name, url, unit_header=unit_header, contract=contract, actor=actor(), owner=owner, purpose=purpose
        ),
    )  # fmt: skip
    _say(document, as_json, f"✔ {name} v{document['version']} at {url} is the champion")


@app.command("configure")
def configure(
    context: typer.Context,
    name: Name,
    wire: contracts.Wire = None,
    score: contracts.Score = None,
    label: contracts.Label = None,
    rows: contracts.Rows = None,
    output_name: contracts.OutputName = None,
    items: contracts.Items = None,
    item_scores: contracts.ItemScores = None,
    top_k: contracts.TopK = None,
    outcome_key: contracts.OutcomeKey = None,
    keep_feature: contracts.KeepFeature = None,
    retention: contracts.Retention = None,
    reset: Annotated[bool, typer.Option("--reset", help="Begin from the defaults, not from what is agreed.")] = False,
    as_json: output.Json = False,
) -> None:
    """Change what callers and the log agree on with a model: wire format, pointers, what is kept and how long."""
    project = project_of(context)
    given = contracts.changes(
        wire, score, label, rows, output_name, items, item_scores, top_k, outcome_key, keep_feature, retention
    )
    contract = contracts.agreed(project, name, given, reset=reset)
    if contract is None:
        raise UsageError("ST0762", f"model '{name}': nothing is to change.", remedy="`seatrial model configure --help`")
    document = _send(
        project, "PUT", f"/v1/models/{name}/contract", contract.document(),
        lambda operations: operations.configure(name, contract, actor=actor()),
    )  # fmt: skip
    said = ", ".join(f"{field} {value}" for field, value in contracts.lines(document["contract"]))
    _say(document, as_json, f"✔ {name} is agreed on: {said or 'the defaults'}")


@app.command("register")
def register(
    context: typer.Context,
    name: Name,
    artifact: Annotated[Path | None, typer.Option(help="The model file, or a directory that holds it.")] = None,
    format: Annotated[Literal["skops", "joblib", "onnx"] | None, typer.Option(help="Of the artifact.")] = None,
    url: Annotated[str | None, typer.Option(help="Where it is served, if somebody else runs it.")] = None,
    lineage: Annotated[Path | None, typer.Option(help="YAML or JSON file with code, data and model.")] = None,
    code_commit: Annotated[
        str | None, typer.Option(help="Commit it was trained from.", show_default="git HEAD")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="The training data: digest and rows are computed.")] = None,
    data_digest: Annotated[str | None, typer.Option(help="sha256:... where the data is not here.")] = None,
    data_rows: Annotated[int | None, typer.Option(min=0, help="Rows of the data, where it is not here.")] = None,
    data_start: Annotated[str | None, typer.Option(help="First event time in the data (ISO 8601).")] = None,
    data_end: Annotated[str | None, typer.Option(help="End of event time in the data, exclusive.")] = None,
    model_digest: Annotated[str | None, typer.Option(help="sha256:... of what the URL serves.")] = None,
    model_file: Annotated[
        Path | None, typer.Option(help="What the URL serves, if it is one file: the digest is computed.")
    ] = None,
    model_framework: Annotated[str | None, typer.Option(help="e.g. scikit-learn 1.7")] = None,
    param: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="A hyperparameter; may repeat.")] = None,
    metric: Annotated[
        list[str] | None, typer.Option(metavar="KEY=NUMBER", help="A training metric; may repeat.")
    ] = None,
    importance: Annotated[
        list[str] | None, typer.Option(metavar="FEATURE=NUMBER", help="How much a feature weighs; may repeat.")
    ] = None,
    source: Annotated[
        list[str] | None, typer.Option(metavar="FEATURE=NAME", help="Where a feature comes from; may repeat.")
    ] = None,
    features: Annotated[str | None, typer.Option(metavar="A,B,C", help="Columns in the model's order.")] = None,
    output_: Annotated[Literal["predict_proba", "predict"], typer.Option("--output", help="What it answers.")] = (
        "predict_proba"
    ),
    trust_pickle: Annotated[bool, typer.Option("--trust-pickle", help="Loading a joblib file runs code.")] = False,
    trusted_type: Annotated[list[str] | None, typer.Option(help="A skops type to load; may repeat.")] = None,
    tag: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="May repeat.")] = None,
    dtype: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=KIND", help="number, integer, string or boolean, for every feature or for none."),
    ] = None,
    unit_header: UnitHeader = "x-unit-id",
    wire: contracts.Wire = None,
    score: contracts.Score = None,
    label: contracts.Label = None,
    rows: contracts.Rows = None,
    output_name: contracts.OutputName = None,
    items: contracts.Items = None,
    item_scores: contracts.ItemScores = None,
    top_k: contracts.TopK = None,
    outcome_key: contracts.OutcomeKey = None,
    keep_feature: contracts.KeepFeature = None,
    retention: contracts.Retention = None,
    as_json: output.Json = False,
) -> None:
    """Add a version: what serves it, and where it came from (code, data, model)."""
    from seatrial.cli.model import lineage as given

    project = project_of(context)
    if (artifact is None) == (url is None):
        raise UsageError(
            "ST0870", f"model '{name}': give either --artifact or --url.",
            remedy="--url URL of a server that you run, or --artifact FILE that seatrial serves.",
        )  # fmt: skip
    if artifact is not None and format is None:
        raise UsageError("ST0871", f"model '{name}': --artifact needs --format.", remedy="skops, joblib or onnx.")
    if artifact is not None and not features:
        raise UsageError(
            "ST0875", f"model '{name}': --artifact needs --features.", remedy="Name the columns in the model's order."
        )
    agreed = contracts.changes(
        wire, score, label, rows, output_name, items, item_scores, top_k, outcome_key, keep_feature, retention
    )
    contract = contracts.agreed(project, name, agreed)
    columns = [part.strip() for part in features.split(",")] if features else []
    dtypes = given.dtypes(columns, given.texts(dtype, "--dtype"))
    digest = None if artifact is None else given.put_artifact(project, artifact, str(format))
    serving = {
        "kind": "url" if artifact is None else "artifact",
        "url": url,
        "artifact": digest,
        "format": format,
        "features": columns,
        "dtypes": dtypes,
        "output": output_,
        "trust_pickle": trust_pickle,
        "trusted_types": trusted_type or [],
    }
    flags = given.Flags(
        code_commit=code_commit, data=data, data_digest=data_digest, data_rows=data_rows, data_start=data_start,
        data_end=data_end, model_digest=model_digest or (digest if lineage is None else None),
        model_file=model_file, model_framework=model_framework,
        params=given.pairs(param, "--param"), metrics=given.numbers(metric, "--metric"),
        importances=given.numbers(importance, "--importance"), sources=given.texts(source, "--source"),
    )  # fmt: skip
    came_from = given.document(lineage, flags, Path.cwd(), same=given.digests(artifact, digest))
    given.require(came_from, name)
    tags = given.texts(tag, "--tag")

    def directly(operations: Operations) -> ModelVersion:
        from seatrial.api.bodies import read_lineage, read_serving

        return operations.register(
            name, read_serving(serving), read_lineage(came_from),
            tags=tags, actor=actor(), unit_header=unit_header, contract=contract,
        )  # fmt: skip

    body = {"serving": serving, "lineage": came_from, "tags": tags, "unitHeader": unit_header, **_said(contract)}
    made = _send(project, "POST", f"/v1/models/{name}/versions", body, directly)
    _say(made, as_json, f"✔ {name} v{made['version']} is registered; "
         f"`seatrial rollout start {name} {made['version']} --plan PLAN.yaml` brings it to users")  # fmt: skip


@app.command("list")
def list_models(context: typer.Context, as_json: output.Json = False) -> None:
    """All models."""
    from seatrial.cli import tables
    from seatrial.control.documents import catalog

    project = project_of(context)
    with opened(project) as store, store.read() as tx:
        document = catalog.models(tx, project)
    if as_json:
        output.data(document)
    else:
        output.show(tables.models(document))


@app.command("show")
def show(
    context: typer.Context,
    name: Name,
    version: Annotated[int | None, typer.Argument(help="One version in full.")] = None,
    as_json: output.Json = False,
) -> None:
    """A model with its versions, or one version with its lineage."""
    from seatrial.control.documents import catalog, views

    project = project_of(context)
    with opened(project) as store, store.read() as tx:
        document = (
            catalog.model(tx, project, name)
            if version is None
            else views.version_document(tx.models.get_version(name, version))
        )
    if as_json:
        output.data(document)
    elif version is None:
        _show_model(document)
    else:
        _show_version(document)


def _send(
    project: Project,
    method: Literal["POST", "PUT"],
    path: str,
    body: dict[str, Any],
    directly: Callable[[Operations], Model | ModelVersion],
) -> dict[str, Any]:
    """By the control plane if it runs, which brings up hosts and routes; else straight into the store."""
    from seatrial.cli.client import Client, NotRunning
    from seatrial.control.documents import catalog, views
    from seatrial.control.operations import Operations
    from seatrial.registry.version import Model

    client = Client(project)
    try:
        return client.put(path, body) if method == "PUT" else client.post(path, body)
    except NotRunning:
        project.prepare()
    with opened(project) as store:
        made = directly(Operations(project, store))
        if not isinstance(made, Model):
            return views.version_document(made)
        with store.read() as tx:
            return catalog.model(tx, project, made.name)


def _said(contract: Contract | None) -> dict[str, Any]:
    """The contract as a part of a body; nothing where nothing was agreed on."""
    return {} if contract is None else {"contract": contract.document()}


def _say(document: dict[str, Any], as_json: bool, text: str) -> None:
    if as_json:
        output.data(document)
    else:
        output.text(text)


def _show_model(m: dict[str, Any]) -> None:
    from seatrial.cli import tables

    output.text(f"{'Name:':<14}{m['name']}\n{'Owner:':<14}{m['owner'] or '-'}\n{'Purpose:':<14}{m['purpose'] or '-'}")
    output.text(f"{'Unit header:':<14}{m['unitHeader']}")
    for place, (field, value) in enumerate(contracts.lines(m["contract"])):
        output.text(f"{'' if place else 'Contract:':<14}{field} {value}")
    told = ", ".join(f"{field} {value}" for field, value in m["safety"].items() if field != "fallback")
    output.text(f"{'Safety:':<14}{told}")
    output.text(f"{'Standby:':<14}{m['standby']['text']}")
    for pointer, number in m["pointers"].items():
        if number is not None:
            output.text(f"{pointer.capitalize() + ':':<14}v{number}")
    if m["rollout"]:
        output.text(f"{'Rollout:':<14}{m['rollout']}")
    if m["killed"]:
        output.text(f"{'Killed:':<14}✖ {m['killed']['mode']} by {m['killed']['actor']}: {m['killed']['reason']}")
    output.text("")
    output.show(tables.versions(m))


def _show_version(v: dict[str, Any]) -> None:
    import sys

    import yaml

    shown = {key: value for key, value in v.items() if key != "schema"}
    sys.stdout.write(yaml.safe_dump(shown, sort_keys=False, allow_unicode=True))
