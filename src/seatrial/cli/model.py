"""``seatrial model``: models and their versions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from seatrial.cli import output
from seatrial.cli.session import actor, opened, project_of
from seatrial.errors import UsageError

if TYPE_CHECKING:
    from seatrial.control.project import Project

app = typer.Typer(help="Models and their versions.", no_args_is_help=True)

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
    as_json: output.Json = False,
) -> None:
    """Make what serves today the first champion of a model."""
    body = {"url": url, "unitHeader": unit_header, "owner": owner, "purpose": purpose}
    document = _register(project_of(context), f"/v1/models/{name}/adopt", body)
    _say(document, as_json, f"✔ {name} v{document['version']} at {url} is the champion")


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
    data_rows: Annotated[int | None, typer.Option(min=0)] = None,
    data_start: Annotated[str | None, typer.Option(help="First event time in the data (ISO 8601).")] = None,
    data_end: Annotated[str | None, typer.Option(help="End of event time in the data, exclusive.")] = None,
    model_digest: Annotated[str | None, typer.Option(help="sha256:... of what the URL serves.")] = None,
    model_framework: Annotated[str | None, typer.Option(help="e.g. scikit-learn 1.7")] = None,
    param: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="A hyperparameter; may repeat.")] = None,
    metric: Annotated[
        list[str] | None, typer.Option(metavar="KEY=NUMBER", help="A training metric; may repeat.")
    ] = None,
    features: Annotated[str | None, typer.Option(metavar="A,B,C", help="Columns in the model's order.")] = None,
    output_: Annotated[Literal["predict_proba", "predict"], typer.Option("--output", help="What it answers.")] = (
        "predict_proba"
    ),
    trust_pickle: Annotated[bool, typer.Option("--trust-pickle", help="Loading a joblib file runs code.")] = False,
    trusted_type: Annotated[list[str] | None, typer.Option(help="A skops type to load; may repeat.")] = None,
    tag: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="May repeat.")] = None,
    unit_header: UnitHeader = "x-unit-id",
    as_json: output.Json = False,
) -> None:
    """Add a version: what serves it, and where it came from (code, data, model)."""
    from seatrial.cli import lineage as given

    project = project_of(context)
    if (artifact is None) == (url is None):
        raise UsageError("ST0870", f"model '{name}': give either --artifact or --url.")
    if artifact is not None and format is None:
        raise UsageError("ST0871", f"model '{name}': --artifact needs --format.", remedy="skops, joblib or onnx.")
    if artifact is not None and not features:
        raise UsageError(
            "ST0875", f"model '{name}': --artifact needs --features.", remedy="Name the columns in the model's order."
        )
    digest = None if artifact is None else given.put_artifact(project, artifact, str(format))
    serving = {
        "kind": "url" if artifact is None else "artifact",
        "url": url,
        "artifact": digest,
        "format": format,
        "features": [part.strip() for part in features.split(",")] if features else [],
        "output": output_,
        "trust_pickle": trust_pickle,
        "trusted_types": trusted_type or [],
    }
    flags = given.Flags(
        code_commit=code_commit, data=data, data_digest=data_digest, data_rows=data_rows, data_start=data_start,
        data_end=data_end, model_digest=model_digest or (digest if lineage is None else None),
        model_framework=model_framework,
        params=given.pairs(param, "--param"), metrics=given.numbers(metric, "--metric"),
    )  # fmt: skip
    body = {
        "serving": serving,
        "lineage": given.document(lineage, flags, Path.cwd(), same=given.digests(artifact, digest)),
        "tags": {key: str(value) for key, value in given.texts(tag, "--tag").items()},
        "unitHeader": unit_header,
    }
    made = _register(project, f"/v1/models/{name}/versions", body)
    _say(made, as_json, f"✔ {name} v{made['version']} is registered; "
         f"`seatrial rollout start {name} {made['version']} --plan PLAN.yaml` brings it to users")  # fmt: skip


@app.command("list")
def list_models(context: typer.Context, as_json: output.Json = False) -> None:
    """All models."""
    from seatrial.cli import tables
    from seatrial.control import catalog

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
    from seatrial.control import catalog, views

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


def _register(project: Project, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """By the control plane if it runs, which brings up hosts and routes; else straight into the store."""
    from seatrial.cli.client import Client, NotRunning

    try:
        return Client(project).post(path, body)
    except NotRunning:
        project.prepare()
        return _directly(project, path, body)


def _directly(project: Project, path: str, body: dict[str, Any]) -> dict[str, Any]:
    from seatrial.api.bodies import read_lineage, read_serving
    from seatrial.control.operations import Operations
    from seatrial.control.views import version_document

    name, verb = path.split("/")[3:5]
    with opened(project) as store:
        operations = Operations(project, store)
        if verb == "adopt":
            made = operations.adopt(
                name, body["url"], unit_header=body["unitHeader"], actor=actor(),
                owner=body["owner"], purpose=body["purpose"],
            )  # fmt: skip
        else:
            made = operations.register(
                name, read_serving(body["serving"]), read_lineage(body["lineage"]),
                tags=body["tags"], actor=actor(), unit_header=body["unitHeader"],
            )  # fmt: skip
    return version_document(made)


def _say(document: dict[str, Any], as_json: bool, text: str) -> None:
    if as_json:
        output.data(document)
    else:
        output.text(text)


def _show_model(m: dict[str, Any]) -> None:
    from seatrial.cli import tables

    output.text(f"{'Name:':<14}{m['name']}\n{'Owner:':<14}{m['owner'] or '-'}\n{'Purpose:':<14}{m['purpose'] or '-'}")
    output.text(f"{'Unit header:':<14}{m['unitHeader']}")
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
