"""``seatrial ci``: code, data and model are tested before anybody meets a version."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from seatrial.ci.pipeline import PIPELINE_FILE, Event
from seatrial.cli import output
from seatrial.cli.session import actor, opened, project_of
from seatrial.errors import Conflict, Exit, UsageError

if TYPE_CHECKING:
    from seatrial.ci.pipeline import CIStep, Pipeline
    from seatrial.ci.results import Run, StepResult
    from seatrial.control.project import Project

app = typer.Typer(help="ML CI: tests of code, data and model.", no_args_is_help=True)

Changed = Annotated[list[str] | None, typer.Option("--changed", metavar="FILE", help="A changed file; may repeat.")]
Since = Annotated[str | None, typer.Option(metavar="REF", help="What changed since this commit, as git knows it.")]
EventOption = Annotated[Event, typer.Option(help="What happened.")]
Model = Annotated[str | None, typer.Argument(help="The model.")]
Version = Annotated[int | None, typer.Argument(help="Its version, the candidate.")]

MARKS = {"passed": "✔", "failed": "✖", "skipped": "○", "left_out": "·"}

TEMPLATE = """\
# ML CI of this project: `seatrial ci run MODEL VERSION`. A release needs every blocking step green for its very model.
steps:
  - name: unit-tests
    group: code
    run: python -m pytest -q tests
    timeout: 10m
#  - name: training-data
#    group: data
#    data: {file: data/train.parquet, rows: 1000, columns: {amount: {type: number, nulls: 1%, min: 0}}}
#  - name: holdout
#    group: model
#    validate: {file: data/holdout.parquet, label: fraud, metric: auc, required: 0.8, margin: 0.01, slices: [country]}
#  - name: golden
#    group: model
#    golden: {file: golden.json, tolerance: 1e-5, threshold: 0.5, precision: [bfloat16]}
#  - name: gpu-tests
#    group: model
#    run: python -m pytest -q tests -m gpu
#    gpu: true
#    events: [nightly]
#    schedule: "0 2 * * *"
#    timeout: 30m
#    maxAge: 36h
#    paths: ["serving/**", "models/**"]
"""


@app.command("init")
def init(context: typer.Context) -> None:
    """Write a commented ci.yaml."""
    path = project_of(context).root / PIPELINE_FILE
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(TEMPLATE)
    except FileExistsError:
        raise Conflict("ST1230", f"there is a '{path}' already.", remedy="Edit it.") from None
    output.text(f"✔ {path}")


@app.command("schema")
def schema() -> None:
    """The JSON Schema of ci.yaml."""
    from seatrial.ci.pipeline import pipeline_schema

    output.data({"schema": "seatrial.json_schema.v1", "document": pipeline_schema()})


@app.command("plan")
def plan(
    context: typer.Context,
    event: EventOption = "commit",
    changed: Changed = None,
    since: Since = None,
    as_json: output.Json = False,
) -> None:
    """Which steps an event asks for, and why."""
    from seatrial.ci.pipeline import planned

    project = project_of(context)
    found = planned(_pipeline(project), event, _changed(project, changed, since))
    document = {
        "schema": "seatrial.ci_plan.v1",
        "event": event,
        "steps": [
            {"name": p.step.name, "group": p.step.group, "included": p.included, "reason": p.reason} for p in found
        ],
    }
    if as_json:
        output.data(document)
    else:
        for p in found:
            output.text(f"{'✔' if p.included else '·'} {p.step.name:<24}{p.step.group:<8}{p.reason}")


@app.command("run")
def run(
    context: typer.Context,
    model: Model = None,
    version: Version = None,
    event: EventOption = "commit",
    changed: Changed = None,
    since: Since = None,
    require_gpu: Annotated[bool, typer.Option("--require-gpu", help="A missing accelerator is a failure.")] = False,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write JUnit XML, too.")] = None,
    as_json: output.Json = False,
) -> None:
    """Run the steps, and keep what they found. Exit code 3 if a blocking one failed."""
    from seatrial.ci.junit import junit as junit_of
    from seatrial.ci.results import run_document
    from seatrial.control import quality

    if (model is None) != (version is None):
        raise UsageError("ST1231", "a run is about a version, or about none.", remedy="Give MODEL and VERSION.")
    project = project_of(context)
    project.prepare()
    with opened(project) as store:
        found = quality.run_pipeline(
            project, store, _pipeline(project), event, model=model, version=version,
            changed=_changed(project, changed, since), require_gpu=require_gpu, commit=_commit(project),
            now=datetime.now(UTC), begins=_begins, ended=_ended,
        )  # fmt: skip
        kept = _record(project, store, found)
        with store.read() as tx:
            last = quality.last_gpu_step(tx)
    if junit is not None:
        junit.write_text(junit_of(kept), encoding="utf-8")
    if as_json:
        output.data(run_document(kept, last))
    else:
        _summary(kept, last)
    if kept.status == "failed":
        raise typer.Exit(Exit.GATE_FAILED)


@app.command("list")
def list_runs(
    context: typer.Context,
    model: Annotated[str | None, typer.Option(help="Only of this model.")] = None,
    as_json: output.Json = False,
) -> None:
    """All runs, oldest first."""
    from seatrial.control import quality

    with opened(project_of(context)) as store, store.read() as tx:
        document = quality.runs_document(tx, model)
    if as_json:
        output.data(document)
        return
    for r in document["runs"]:
        about = f"{r['model']} v{r['version']}" if r["model"] else "-"
        counts = _counts(r["counts"])
        output.text(f"{r['id']:<10}{r['startedAt'][:16]:<18}{r['event']:<9}{about:<20}{r['status']:<8}{counts}")


@app.command("show")
def show(
    context: typer.Context,
    run: Annotated[str, typer.Argument(metavar="ID", help="A run, e.g. ci-0001.")],
    as_json: output.Json = False,
) -> None:
    """One run, step by step."""
    from seatrial.ci.results import run_of

    with opened(project_of(context)) as store, store.read() as tx:
        document = json.loads(tx.ci_runs.get(run))
    if as_json:
        output.data(document)
        return
    found = run_of(document)
    for step in found.steps:
        output.text(_line(step))
    _summary(found, None)


@app.command("green")
def green(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="The model.")],
    version: Annotated[int, typer.Argument(help="Its version.")],
    as_json: output.Json = False,
) -> None:
    """What a version still needs to be released. Exit code 3 if anything."""
    from seatrial.control import quality

    project = project_of(context)
    with opened(project) as store, store.read() as tx:
        document = quality.green_document(tx, project, model, version, datetime.now(UTC))
    if as_json:
        output.data(document)
    else:
        for problem in document["missing"]:
            output.text(f"✖ {problem}")
        output.text(f"{model} v{version} " + ("is green" if document["green"] else "is not green"))
    if not document["green"]:
        raise typer.Exit(Exit.GATE_FAILED)


@app.command("golden")
def golden(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="The model.")],
    version: Annotated[int, typer.Argument(help="Its version.")],
    rows: Annotated[Path, typer.Option(metavar="FILE", help="Inputs: Parquet or CSV, columns as the model's.")],
    to: Annotated[Path, typer.Option(metavar="FILE", help="The golden file; an old one is replaced.")] = Path(
        "golden.json"
    ),
    device: Annotated[str, typer.Option(help="What it is recorded on, for those who read it.")] = "cpu",
    scores: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Answers that an accelerator gave elsewhere: one number a line."),
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Record what a version answers to given inputs, on this machine or as an accelerator answered elsewhere."""
    from seatrial.control import quality

    project = project_of(context)
    with opened(project) as store:
        recorded = quality.record_golden(
            project, store, model, version, rows, device=device, scores=scores, now=datetime.now(UTC)
        )
    to.write_text(recorded.text(), encoding="utf-8")
    document = {
        "schema": "seatrial.golden_recorded.v1", "file": str(to), "model": model, "version": version,
        "digest": recorded.digest, "rows": len(recorded.rows), "device": device,
    }  # fmt: skip
    if as_json:
        output.data(document)
    else:
        output.text(f"✔ {to}: {len(recorded.rows)} answers of {model} v{version} on {device}")


@app.command("export")
def export(
    context: typer.Context,
    server: Annotated[Literal["github", "gitlab"], typer.Argument(help="Whose workflow.")],
) -> None:
    """The pipeline as a workflow file of a CI server, on stdout."""
    from seatrial.ci import export as exports

    written = {"github": exports.github, "gitlab": exports.gitlab}[server]
    sys.stdout.write(written(_pipeline(project_of(context))))


# ── what the commands share ────────────────────────────────────────────────────────────────────────────────────────


def _pipeline(project: Project) -> Pipeline:
    from seatrial.ci.pipeline import read_pipeline

    return read_pipeline(project.root / PIPELINE_FILE)


def _record(project: Project, store: Any, found: Run) -> Run:
    from seatrial.ci.results import run_document, run_of
    from seatrial.cli.client import Client, NotRunning
    from seatrial.control.operations import Operations

    document = run_document(found)
    body = {name: document[name] for name in ("event", "startedAt", "steps", "model", "version", "commit")}
    try:
        return run_of(Client(project).post("/v1/ci/runs", body))
    except NotRunning:
        return Operations(project, store).record_ci(found, actor=actor())


def _changed(project: Project, changed: list[str] | None, since: str | None) -> list[str]:
    """Files that changed, as given, or as git says. Raises UsageError where git does not know.

    CI servers name the commit before the first one, or before none, by zeros or by nothing: then every file is new.
    """
    if since is None:
        return changed or []
    before = since.strip("0 ")
    told = _git(project, *(("diff", "--name-only", since, "--") if before else ("ls-files", "--full-name", ":/")))
    if told is None:
        raise UsageError(
            "ST1232", f"git does not know what changed since '{since}'.", remedy="Name the files: --changed FILE."
        )
    return [*(changed or []), *told.splitlines()]


def _commit(project: Project) -> str | None:
    told = _git(project, "rev-parse", "HEAD")
    return None if told is None else told.strip()


def _git(project: Project, *words: str) -> str | None:
    try:
        ran = subprocess.run(["git", *words], cwd=project.root, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return ran.stdout if ran.returncode == 0 else None


def _begins(step: CIStep) -> None:
    output.note(f"  … {step.name}")


def _ended(result: StepResult) -> None:
    output.note(_line(result))


def _line(result: StepResult) -> str:
    took = f" ({result.seconds:.1f} s)" if result.status in ("passed", "failed") else ""
    why = f": {result.reason}" if result.reason else ""
    warns = "" if result.blocking or result.status != "failed" else " (not blocking)"
    return f"{MARKS[result.status]} {result.group:<6}{result.name}{took}{warns}{why}"


def _counts(found: dict[str, int]) -> str:
    """What passed first, whatever order a document has them in."""
    return ", ".join(f"{found[status]} {status.replace('_', ' ')}" for status in MARKS if found[status])


def _summary(run: Run, last_gpu: StepResult | None) -> None:
    counts = _counts(run.counts())
    groups = ", ".join(f"{group} {status.replace('_', ' ')}" for group, status in run.groups().items())
    about = f"{run.model} v{run.version}" if run.model else "the project"
    output.text(f"{MARKS[run.status]} {run.id} of {about} {run.status}: {counts} ({groups})")
    if last_gpu is not None:
        output.text(f"  the last run on an accelerator took {last_gpu.seconds:.1f} s and cost {last_gpu.cost:.2f}")
