"""The pipeline as a workflow of a CI server: events become triggers, seatrial runs the steps."""

from __future__ import annotations

from typing import Any

import yaml

from seatrial.ci.pipeline import CIStep, Event, Pipeline

INSTALL = "pip install seatrial"
NIGHT = "0 2 * * *"
CANDIDATE = '${MODEL:+"$MODEL" "$VERSION"}'
"""In a shell: the version that a run is about, as two words, or nothing."""


def github(pipeline: Pipeline) -> str:
    """A GitHub Actions workflow. A job with a step that needs an accelerator runs where one is, labelled *gpu*.

    What it is about is said where it is started by hand, or by the variables of the repository, MODEL and VERSION.
    """
    asked = {name: {"description": f"The {name} that it is about", "required": False} for name in ("model", "version")}
    events: dict[str, Any] = {"push": {}, "workflow_dispatch": {"inputs": asked}}
    if nights := _schedules(pipeline):
        events["schedule"] = [{"cron": cron} for cron in nights]
    jobs = {"commit": _github_job("commit", "github.event_name != 'schedule'", _on(pipeline, "commit"))}
    if nightly := _on(pipeline, "nightly"):
        jobs["nightly"] = _github_job("nightly", "github.event_name == 'schedule'", nightly)
    if release := _on(pipeline, "release"):
        jobs["release"] = _github_job("release", "github.event_name == 'workflow_dispatch'", release)
    about = {name: f"${{{{ inputs.{name.lower()} || vars.{name} }}}}" for name in ("MODEL", "VERSION")}
    return _text({"name": "seatrial", "on": events, "env": about, "jobs": jobs})


def _github_job(event: Event, when: str, steps: tuple[CIStep, ...]) -> dict[str, Any]:
    gpu = any(step.gpu for step in steps)
    return {
        "if": when,
        "runs-on": ["self-hosted", "gpu"] if gpu else "ubuntu-latest",
        "timeout-minutes": _minutes(steps),
        "steps": [
            {"uses": "actions/checkout@v4", "with": {"fetch-depth": 0}},
            {"uses": "actions/setup-python@v5", "with": {"python-version": "3.11"}},
            {"run": INSTALL},
            {"run": _command(event, "${{ github.event.before }}", gpu=gpu)},
            {"uses": "actions/upload-artifact@v4", "if": "always()", "with": {"name": f"ci-{event}", "path": "ci.xml"}},
        ],
    }


def gitlab(pipeline: Pipeline) -> str:
    """A GitLab pipeline, about MODEL and VERSION if these variables are set; the schedule itself is made in GitLab, at
    the times in the comment.
    """
    document: dict[str, Any] = {"commit": _gitlab_job("commit", '$CI_PIPELINE_SOURCE != "schedule"', pipeline)}
    if _on(pipeline, "nightly"):
        document["nightly"] = _gitlab_job("nightly", '$CI_PIPELINE_SOURCE == "schedule"', pipeline)
    if _on(pipeline, "release"):
        document["release"] = _gitlab_job("release", '$CI_PIPELINE_SOURCE == "web"', pipeline)
    nights = ", ".join(_schedules(pipeline))
    head = f"# Make a pipeline schedule in GitLab with cron {nights} (UTC).\n" if nights else ""
    return head + _text(document)


def _gitlab_job(event: Event, when: str, pipeline: Pipeline) -> dict[str, Any]:
    steps = _on(pipeline, event)
    gpu = any(step.gpu for step in steps)
    return {
        "image": "python:3.11",
        **({"tags": ["gpu"]} if gpu else {}),
        "rules": [{"if": when}],
        "timeout": f"{_minutes(steps)} minutes",
        "script": [INSTALL, _command(event, "$CI_COMMIT_BEFORE_SHA", gpu=gpu)],
        "artifacts": {"when": "always", "reports": {"junit": "ci.xml"}},
    }


def _command(event: Event, before: str, *, gpu: bool) -> str:
    since = f' --since "{before}"' if event == "commit" else ""
    return f"seatrial ci run {CANDIDATE} --event {event}{since}{' --require-gpu' if gpu else ''} --junit ci.xml"


def _on(pipeline: Pipeline, event: Event) -> tuple[CIStep, ...]:
    return tuple(step for step in pipeline.steps if event in step.events)


def _schedules(pipeline: Pipeline) -> list[str]:
    steps = _on(pipeline, "nightly")
    return sorted({step.schedule or NIGHT for step in steps})


def _minutes(steps: tuple[CIStep, ...]) -> int:
    """Time for all of them, and ten minutes for what is around them."""
    return int(sum(step.timeout.seconds for step in steps) // 60) + 10


def _text(document: dict[str, Any]) -> str:
    return yaml.safe_dump(document, sort_keys=False, width=120)
