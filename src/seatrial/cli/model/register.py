"""``seatrial model register``: a version, what serves it, and where it came from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from seatrial.cli import output
from seatrial.cli.model import contract as contracts
from seatrial.cli.model.arguments import Name, UnitHeader
from seatrial.cli.model.sending import said, say, send
from seatrial.cli.session import actor, opened, project_of
from seatrial.errors import UsageError
from seatrial.registry.provenance import InputType

if TYPE_CHECKING:
    from seatrial.control.operations import Operations
    from seatrial.control.project import Project
    from seatrial.registry.version import ModelVersion


@contracts.options
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
    data_type: Annotated[
        InputType | None, typer.Option(help="What kind of input it is; each kind has facts that must be told.")
    ] = None,
    fact: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="device, site, labeler, labelVersion or language; may repeat."),
    ] = None,
    model_digest: Annotated[str | None, typer.Option(help="sha256:... of what the URL serves.")] = None,
    model_file: Annotated[
        Path | None, typer.Option(help="What the URL serves, if it is one file: the digest is computed.")
    ] = None,
    model_framework: Annotated[str | None, typer.Option(help="e.g. scikit-learn 1.7")] = None,
    algorithm: Annotated[str | None, typer.Option(help="How it learns: gradient-boosted trees.")] = None,
    target: Annotated[str | None, typer.Option(help="What is predicted: default within 12 months.")] = None,
    population: Annotated[str | None, typer.Option(help="Whom the rows stand for: personal loans, EU.")] = None,
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
    as_json: output.Json = False,
    *,
    given: contracts.Given,
) -> None:
    """Add a version: what serves it, and where it came from (code, data, model)."""
    from seatrial.cli.model import lineage as origins

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
    contract = contracts.agreed(project, name, given)
    columns = [part.strip() for part in features.split(",")] if features else []
    dtypes = origins.dtypes(columns, origins.texts(dtype, "--dtype"))
    digest = None if artifact is None else origins.put_artifact(project, artifact, str(format))
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
    flags = origins.Flags(
        code_commit=code_commit, data=data, data_digest=data_digest, data_rows=data_rows, data_start=data_start,
        data_end=data_end, model_digest=model_digest or (digest if lineage is None else None),
        model_file=model_file, model_framework=model_framework,
        params=origins.pairs(param, "--param"), metrics=origins.numbers(metric, "--metric"),
        importances=origins.numbers(importance, "--importance"), sources=origins.texts(source, "--source"),
        target=target, population=population, algorithm=algorithm,
        data_type=data_type, facts=origins.texts(fact, "--fact"),
    )  # fmt: skip
    if data is not None:
        _require_apart(project, name, data)
    came_from = origins.document(lineage, flags, Path.cwd(), same=origins.digests(artifact, digest))
    origins.require(came_from, name)
    tags = origins.texts(tag, "--tag")

    signature = origins.signature(project, name, serving, came_from)

    def directly(operations: Operations) -> ModelVersion:
        from seatrial.api.bodies import read_lineage, read_serving

        return operations.register(
            name, read_serving(serving), read_lineage(came_from),
            tags=tags, actor=actor(), unit_header=unit_header, contract=contract, signature=signature,
        )  # fmt: skip

    body = {"serving": serving, "lineage": came_from, "tags": tags, "unitHeader": unit_header, **said(contract)}
    body |= {"signature": signature} if signature else {}
    made = send(project, "POST", f"/v1/models/{name}/versions", body, directly)
    say(made, as_json, f"✔ {name} v{made['version']} is registered; "
         f"`seatrial rollout start {name} {made['version']} --plan PLAN.yaml` brings it to users")  # fmt: skip


def _require_apart(project: Project, model: str, data: Path) -> None:
    """Raises Conflict where rows of a locked test set are among the training data."""
    from seatrial.control.changes.test_sets import require_apart

    if not data.is_file():
        return  # its absence is told where it is read
    with opened(project) as store, store.read() as tx:
        require_apart(tx, project, model, data)
