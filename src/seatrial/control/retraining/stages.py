"""From one status of a training run to the next: each stage does one thing, and may be begun again after a crash."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from seatrial.ci.pipeline import Event
from seatrial.control.changes.test_sets import require_apart
from seatrial.control.quality import missing_green, pipeline_of_project, record_run, run_pipeline
from seatrial.control.render import active_release
from seatrial.control.retraining.comparing import Comparison, compare
from seatrial.control.retraining.policies import plan_of
from seatrial.control.retraining.runs import TrainingRun
from seatrial.errors import SeatrialError, Unavailable
from seatrial.ids import Digest
from seatrial.registry.lifecycle import Stage
from seatrial.registry.lineage import ArtifactLineage, DataRef, ModelRef
from seatrial.registry.version import ModelVersion, Serving
from seatrial.retrain.policy import Policy
from seatrial.store.artifacts import ArtifactStore
from seatrial.training.launcher import Job, Launcher
from seatrial.training.result import Result, read_result, rows_of

if TYPE_CHECKING:
    from seatrial.control.operations import Operations

ACTOR = "seatrial"
TAG = "retraining"
"""The tag of a version that names its run: by it a registration is found again after a crash."""

WHOLE_SEASON = 0.99
"""The part of a season that counts as one: the first row of a window comes some time after it begins."""

_CI_EVENTS: tuple[Event, ...] = ("release", "commit", "nightly")


class Stages:
    """What is done about a run at each status. Whatever is wrong with the run itself ends it, with the reason."""

    def __init__(self, operations: Operations, launchers: Mapping[str, Launcher]) -> None:
        self._operations, self._launchers = operations, launchers
        self._project, self._store = operations.project, operations.store

    def next(self, id: str, run: TrainingRun, policy: Policy, now: datetime) -> TrainingRun:
        """The run as it is now; the very same if there is nothing to do but wait.

        Raises what passes (``Unavailable``): then nothing is concluded, and the stage is begun again.
        """
        if run.cancelled_by and run.status not in ("recorded", "training"):
            return self._reject(run.to("cancelled", now, f"cancelled by {run.cancelled_by}"))
        stage = {
            "recorded": self._begin,
            "training": self._follow,
            "trained": self._register,
            "registered": self._check,
            "checked": self._compare,
            "compared": self._release,
        }[run.status]
        try:
            return stage(id, run, policy, now)
        except Unavailable:
            raise
        except SeatrialError as error:
            return run.to("failed", now, f"{error.code} {error.message} {error.remedy}".strip())

    def job(self, id: str, run: TrainingRun, policy: Policy) -> Job:
        """The run as launchers know it. Variables are handed on by name: their values are in no store."""
        command = policy.run
        passed = {name: os.environ[name] for name in command.pass_environment if name in os.environ} if command else {}
        told = {
            "SEATRIAL_PROJECT": str(self._project.root),
            "SEATRIAL_TRAIN_START": "" if run.since is None else run.since.isoformat(),
            "SEATRIAL_TRAIN_END": run.until.isoformat(),
            "SEATRIAL_WINDOW": run.window,
            "SEATRIAL_HALF_LIFE": "" if run.half_life_s is None else f"{run.half_life_s:g}",
            "SEATRIAL_CAUSE": run.cause,
        }
        root = str(self._project.root)
        return Job(
            run=id, model=run.model, command=tuple(part.replace("{project}", root) for part in run.command),
            directory=self._project.state / "training" / "runs" / id, timeout_s=run.timeout_s,
            environment={**passed, **(command.environment if command else {}), **told},
        )  # fmt: skip

    def launcher(self, run: TrainingRun) -> Launcher:
        """Raises SeatrialError (ST1306) for one that this installation lacks."""
        found = self._launchers.get(run.launcher)
        if found is None:
            raise SeatrialError(
                "ST1306", f"there is no launcher '{run.launcher}' here.",
                remedy=f"There are: {', '.join(self._launchers)}.",
            )  # fmt: skip
        return found

    # ── the stages ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _begin(self, id: str, run: TrainingRun, policy: Policy, now: datetime) -> TrainingRun:
        if run.cancelled_by:
            return run.to("cancelled", now, f"cancelled by {run.cancelled_by} before it began")
        self.launcher(run).start(self.job(id, run, policy))
        return run.to("training", now)

    def _follow(self, id: str, run: TrainingRun, policy: Policy, now: datetime) -> TrainingRun:
        launcher, job = self.launcher(run), self.job(id, run, policy)
        if run.cancelled_by:
            launcher.cancel(job)
        standing = launcher.poll(job)
        known = replace(run, progress=standing.progress, message=standing.message)
        if not standing.ended:
            return known
        known = replace(known, seconds=standing.seconds, cost=_cost(policy, standing.seconds))
        if standing.status == "succeeded":
            return known.to("trained", now)
        if standing.status == "cancelled":
            return known.to("cancelled", now, f"cancelled by {run.cancelled_by or 'somebody beside seatrial'}")
        return known.to("failed", now, standing.reason)

    def _register(self, id: str, run: TrainingRun, policy: Policy, now: datetime) -> TrainingRun:
        made = self._version_of(id, run.model)
        if made is None:
            job = self.job(id, run, policy)
            result, artifact = read_result(job.result, since=run.since, until=run.until)
            if (rows := rows_of(result, job.directory)) is not None:
                with self._store.read() as tx:
                    require_apart(tx, self._project, run.model, rows)
            store = ArtifactStore(self._project.artifacts)
            digest = store.put_tree(artifact) if artifact.is_dir() else store.put_file(artifact)
            trust = policy.run is not None and policy.run.trust_pickle
            made = self._operations.register(
                run.model, _serving(result, digest, trust), _lineage(result, digest), tags={TAG: id}, actor=ACTOR
            )
        return run.to("registered", now, _learned(made, policy), version=made.number)

    def _check(self, id: str, run: TrainingRun, policy: Policy, now: datetime) -> TrainingRun:
        """ML CI, as far as a release of this version needs it."""
        pipeline = pipeline_of_project(self._project)
        if pipeline is None:
            return run.to("checked", now, "there is no ci.yaml")
        version, done = self._candidate(run), list(run.ci)
        for event in _CI_EVENTS:
            if not self._not_green(version, now):
                break
            ran = run_pipeline(
                self._project, self._store, pipeline, event, model=run.model, version=version.number, now=now
            )
            done.append(record_run(self._store, ran, actor=ACTOR).id)
            if ran.status == "failed":
                break
        missing = self._not_green(version, now)
        if missing:
            text = f"ML CI is not green: {'; '.join(missing)}"
            return self._reject(run.to("kept", now, text, ci=tuple(done)))
        return run.to("checked", now, "ML CI is green", ci=tuple(done))

    def _compare(self, id: str, run: TrainingRun, policy: Policy, now: datetime) -> TrainingRun:
        champion = self._champion(run.model)
        if champion is None:
            found = Comparison(verdict="unknown", text="there is no champion to compare with")
        else:
            found = compare(self._project, policy, self._candidate(run), champion, run.until, now)
        told = {"against": None if champion is None else champion.number, **asdict(found)}
        if found.verdict == "better" or (found.verdict == "unknown" and policy.release.unproven == "start"):
            return run.to("compared", now, found.text, comparison=told)
        why = found.text if found.verdict == "not_better" else f"nobody can say whether it is better: {found.text}"
        return self._reject(run.to("kept", now, f"the champion is kept: {why}", comparison=told))

    def _release(self, id: str, run: TrainingRun, policy: Policy, now: datetime) -> TrainingRun:
        """A rollout by the model's plan; while the model is in another one, it waits."""
        version = self._candidate(run)
        plan = plan_of(policy, self._project)
        if plan is None:
            return run.to("registered_only", now, f"{version.name} is registered; the policy releases nothing")
        if not policy.release.start:
            return run.to("requested", now, f"`seatrial rollout start {run.model} {version.number}` is up to a person")
        with self._store.read() as tx:
            if tx.changes.envelope(run.model) is not None:  # its changes were declared: nothing of it deploys itself
                why = f"`seatrial change envelope check {run.model} {version.number}`, then a person starts it"
                return run.to("requested", now, why)
            mine = [one.id for one in tx.rollouts.list(run.model) if one.candidate == version.number]
            busy = active_release(tx, run.model)
        if mine:
            return run.to("released", now, f"rollout {mine[-1]}", rollout=mine[-1])
        if busy is not None:
            return replace(run, message=f"waits for the end of rollout {busy.state.rollout}")
        try:
            rollout = self._operations.start_rollout(run.model, version.number, plan, actor=ACTOR)
        except Unavailable:
            raise
        except SeatrialError as error:  # approvals, a drill that is overdue, a kill: what a person has to see to
            return run.to("requested", now, f"{error.code} {error.message} {error.remedy}".strip())
        return run.to("released", now, f"rollout {rollout} by plan {plan.name}", rollout=rollout)

    # ── parts ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _version_of(self, id: str, model: str) -> ModelVersion | None:
        with self._store.read() as tx:
            return next((one for one in tx.models.list_versions(model) if one.tags.get(TAG) == id), None)

    def _candidate(self, run: TrainingRun) -> ModelVersion:
        assert run.version is not None, "a run is registered before it is checked"
        with self._store.read() as tx:
            return tx.models.get_version(run.model, run.version)

    def _champion(self, model: str) -> ModelVersion | None:
        with self._store.read() as tx:
            number = tx.models.pointers(model).get("champion")
            return None if number is None else tx.models.get_version(model, number)

    def _not_green(self, version: ModelVersion, now: datetime) -> tuple[str, ...]:
        with self._store.read() as tx:
            return missing_green(tx, self._project, version, now)

    def _reject(self, run: TrainingRun) -> TrainingRun:
        """What will not be released is archived, and says why; what a person may still want is left alone."""
        if run.version is not None:
            with self._store.begin() as tx:
                if tx.models.get_version(run.model, run.version).stage is Stage.NONE:
                    at, reason = run.steps[-1].at, run.reason
                    tx.models.set_stage(run.model, run.version, Stage.ARCHIVED, actor=ACTOR, now=at, reason=reason)
        return run


def _cost(policy: Policy, seconds: float | None) -> float | None:
    command = policy.run
    if command is None or not (command.cost or command.cost_per_hour):
        return None
    return round(command.cost + command.cost_per_hour * (seconds or 0.0) / 3600, 6)


def _serving(result: Result, digest: Digest, trust_pickle: bool) -> Serving:
    return Serving(
        kind="artifact", artifact=digest, format=result.format, features=result.features, dtypes=result.dtypes,
        output=result.output, trusted_types=result.trusted_types, trust_pickle=trust_pickle,
    )  # fmt: skip


def _learned(made: ModelVersion, policy: Policy) -> str:
    """The version, the rows that it has seen, and whether these are less than what the policy calls a season."""
    data = None if made.lineage is None else made.lineage.data
    if data is None or data.start is None or data.end is None:
        return made.name
    told = f"{made.name} on {data.rows:,} rows from {data.start:%Y-%m-%d %H:%M} to {data.end:%Y-%m-%d %H:%M}"
    season, covered = policy.training.season, data.end - data.start
    if season is None or covered >= WHOLE_SEASON * season.delta:
        return told
    return f"{told}: {covered / timedelta(days=1):.3g} days are shorter than one season, {season}"


def _lineage(result: Result, digest: Digest) -> ArtifactLineage:
    data = result.data
    trained = DataRef(
        Digest(data.digest), data.rows, data.start, data.end, data.name, dict(data.sources), data.target,
        data.population,
    )  # fmt: skip
    model = ModelRef(
        digest, result.framework, dict(result.hyperparameters), dict(result.metrics), dict(result.importances),
        result.algorithm,
    )  # fmt: skip
    return ArtifactLineage(code=result.code, data=trained, model=model)
