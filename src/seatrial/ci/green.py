"""What a release still needs to be green: a pure function of the pipeline, the runs so far, and the time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from seatrial.ci.pipeline import CIStep, Pipeline
from seatrial.ci.results import Run, StepResult


def not_green(pipeline: Pipeline, runs: Sequence[Run], digest: str | None, now: datetime) -> tuple[str, ...]:
    """Every blocking step whose latest result for the model ``digest`` is not a pass, or too old, and why.

    ``runs``: oldest first. A skipped or left-out step leaves the result before it standing. Empty: all is green.
    """
    return tuple(why for step in pipeline.blocking if (why := _why(step, runs, digest, now)))


def _why(step: CIStep, runs: Sequence[Run], digest: str | None, now: datetime) -> str:
    told = [(run, result) for run in runs for result in run.steps if result.name == step.name and _ran(result)]
    mine = [(run, result) for run, result in told if digest is not None and run.digest == digest]
    if not mine:
        others = f"; it last ran for {told[-1][0].digest or 'no model'}" if told else ""
        return f"step '{step.name}' never ran for this model ({digest or 'which has no digest'}){others}"
    run, result = mine[-1]
    if result.status == "failed":
        return f"step '{step.name}' failed in {run.id}: {result.reason}"
    if step.max_age is not None and now - run.started_at > step.max_age.delta:
        return (
            f"step '{step.name}' was green in {run.id} at {run.started_at:%Y-%m-%d %H:%M}, more than {step.max_age} ago"
        )
    return ""


def _ran(result: StepResult) -> bool:
    return result.status in ("passed", "failed")
