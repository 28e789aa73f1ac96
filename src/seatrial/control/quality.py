"""ML CI of a project: its pipeline is run, what it found is recorded, and a release is held to it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from seatrial.ci.candidate import scores_of
from seatrial.ci.golden import Golden, read_scores
from seatrial.ci.green import not_green
from seatrial.ci.pipeline import PIPELINE_FILE, CIStep, Event, Pipeline, planned, read_pipeline
from seatrial.ci.results import Run, StepResult, run_document, run_of
from seatrial.ci.runner import Bench, run_steps
from seatrial.ci.tables import Table
from seatrial.control.changes.test_sets import count_uses
from seatrial.control.project import Project
from seatrial.errors import Conflict, UsageError
from seatrial.registry.version import ModelVersion
from seatrial.store.alert import Alert
from seatrial.store.artifacts import ArtifactStore
from seatrial.store.canonical import canonical, iso_z
from seatrial.store.db import Store, Transaction


def pipeline_of_project(project: Project) -> Pipeline | None:
    """The project's ``ci.yaml``, if it has one."""
    path = project.root / PIPELINE_FILE
    return read_pipeline(path) if path.exists() else None


def digest_of_version(version: ModelVersion) -> str | None:
    """What a version's CI results hold for: its artifact, or the model that its lineage names."""
    if version.serving.artifact is not None:
        return version.serving.artifact
    model = None if version.lineage is None else version.lineage.model
    return None if model is None else model.digest


def run_pipeline(
    project: Project,
    store: Store,
    pipeline: Pipeline,
    event: Event,
    *,
    model: str | None = None,
    version: int | None = None,
    changed: Sequence[str] = (),
    require_gpu: bool = False,
    commit: str | None = None,
    now: datetime,
    begins: Callable[[CIStep], None] = lambda step: None,
    ended: Callable[[StepResult], None] = lambda result: None,
) -> Run:
    """Run what the event asks for, about one version or none. Nothing is recorded yet (:func:`record_run`)."""
    with store.read() as tx:
        candidate = None if model is None or version is None else tx.models.get_version(model, version)
        champion = None
        if model is not None and (number := tx.models.pointers(model).get("champion")) is not None:
            champion = tx.models.get_version(model, number)
        spent = _gpu_spent(tx, now)
    steps = []
    (project.state / "ci").mkdir(parents=True, exist_ok=True, mode=0o700)
    directory = Path(tempfile.mkdtemp(prefix=f"{now:%Y%m%dT%H%M%S}-", dir=project.state / "ci"))
    bench = Bench(
        project.root, directory, ArtifactStore(project.artifacts), candidate, champion,
        gpu_spent=spent, gpu_budget=pipeline.gpu_budget, require_gpu=require_gpu,
    )  # fmt: skip
    for result in run_steps(planned(pipeline, event, changed), bench, begins=begins):
        ended(result)
        steps.append(result)
    digest = None if candidate is None else digest_of_version(candidate)
    return Run(
        id="", event=event, started_at=now, actor="", model=model, version=version, digest=digest, commit=commit,
        steps=tuple(steps),
    )  # fmt: skip


def record_run(store: Store, run: Run, *, actor: str) -> Run:
    """Keep a run under the next id; it is audited, and a nightly one that failed is told once until one is green.

    The digest is that of the version as it is registered, whatever the run says.
    """
    with store.begin() as tx:
        digest = None
        if (run.model is None) != (run.version is None):
            raise UsageError("ST1221", "a CI run is about a version, or about none.", remedy="Give both, or neither.")
        if run.model is not None and run.version is not None:
            digest = digest_of_version(tx.models.get_version(run.model, run.version))
        before = [run_of(json.loads(text)) for text in tx.ci_runs.list(run.model)]
        kept = replace(run, id=tx.ci_runs.next_id(), actor=actor, digest=digest)
        tx.ci_runs.add(kept.id, kept.model, kept.started_at, canonical(run_document(kept)))
        count_uses(tx, kept)
        told = {"model": kept.model, "version": kept.version, "event": kept.event, "status": kept.status}
        tx.audit.append(actor, "ci.run", kept.id, told, kept.started_at)
        if kept.event == "nightly" and kept.status == "failed":
            tx.alerts.put(_alert(kept, before))
    return kept


def last_gpu_step(tx: Transaction) -> StepResult | None:
    """The latest step that ran on an accelerator."""
    for text in reversed(tx.ci_runs.list()):
        for step in reversed(run_of(json.loads(text)).steps):
            if step.gpu and step.seconds:  # a machine without one fails a step that is required, and takes no time
                return step
    return None


def require_green(
    tx: Transaction, project: Project, candidate: ModelVersion, now: datetime, *, override: str
) -> tuple[str, ...]:
    """Every blocking step that is not green for this very model, where somebody answers for it by ``override``.

    Raises Conflict that names them where nobody does.
    """
    problems = missing_green(tx, project, candidate, now)
    if problems and not override.strip():
        raise Conflict(
            "ST1222",
            f"{candidate.name} is not green: {'; '.join(problems)}.",
            remedy=f"`seatrial ci run {candidate.model} {candidate.number}`, or start with --override REASON.",
        )
    return problems


def missing_green(tx: Transaction, project: Project, candidate: ModelVersion, now: datetime) -> tuple[str, ...]:
    """What keeps a version from being released; nothing in a project without a pipeline."""
    pipeline = pipeline_of_project(project)
    if pipeline is None:
        return ()
    runs = [run_of(json.loads(text)) for text in tx.ci_runs.list(candidate.model)]
    return not_green(pipeline, runs, digest_of_version(candidate), now)


def runs_document(tx: Transaction, model: str | None = None) -> dict[str, Any]:
    """Runs as JSON (``seatrial.ci_runs.v1``), oldest first."""
    if model is not None:
        tx.models.get_model(model)
    return {"schema": "seatrial.ci_runs.v1", "runs": [json.loads(text) for text in tx.ci_runs.list(model)]}


def green_document(tx: Transaction, project: Project, model: str, version: int, now: datetime) -> dict[str, Any]:
    """Whether a version may be released, and what is missing (``seatrial.ci_green.v1``)."""
    candidate = tx.models.get_version(model, version)
    missing = missing_green(tx, project, candidate, now)
    return {
        "schema": "seatrial.ci_green.v1", "model": model, "version": version,
        "digest": digest_of_version(candidate), "green": not missing, "missing": list(missing),
    }  # fmt: skip


def record_golden(
    project: Project,
    store: Store,
    model: str,
    version: int,
    rows: Path,
    *,
    device: str,
    scores: Path | None = None,
    now: datetime,
) -> Golden:
    """What a version answers to the rows of a table: asked here, or read from a file where somebody else asked.

    Raises UsageError for a version without an artifact (nobody could say later whether it is the same one), and for
    scores that are not one number a row.
    """
    with store.read() as tx:
        asked = tx.models.get_version(model, version)
    digest = asked.serving.artifact
    if digest is None:
        raise UsageError(
            "ST1223", f"{asked.name} has no artifact: its answers may change at any time.",
            remedy="Register the model file (--artifact), not a URL.",
        )  # fmt: skip
    table = Table(rows)
    given = table.records(tuple(asked.serving.features))
    if scores is None:
        with tempfile.TemporaryDirectory() as directory:
            answers = scores_of(asked, ArtifactStore(project.artifacts), given, Path(directory))
    else:
        answers = read_scores(scores, len(given))
    return Golden(model, digest, device, iso_z(now), tuple(given), answers)


def _gpu_spent(tx: Transaction, now: datetime) -> float:
    """What accelerators cost since the first of the month."""
    month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    runs = [run_of(json.loads(text)) for text in tx.ci_runs.list(since=month)]
    return sum(step.cost for run in runs for step in run.steps if step.gpu)


def _alert(run: Run, before: Sequence[Run]) -> Alert:
    """Of one failure there is one alert: its key names the last green run, and the next failure has another one."""
    nightly = [one for one in before if one.event == "nightly" and one.status == "passed"]
    failed = [step.name for step in run.steps if step.status == "failed" and step.blocking]
    about = run.model or "project"
    return Alert(
        key=f"ci.failed:{about}:{nightly[-1].id if nightly else 'never-green'}",
        kind="ci.failed",
        severity="warning",
        object=run.id,
        text=f"nightly CI of {about} failed: {', '.join(failed) or 'nothing passed'}; no release until it is green",
        at=run.started_at,
        model=run.model,
        detail={"steps": failed},
    )
