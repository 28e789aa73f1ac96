"""Which steps an event asks for, and what a pipeline may not say."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from seatrial.ci.export import github, gitlab
from seatrial.ci.pipeline import Pipeline, pipeline_of, planned, read_pipeline
from seatrial.cli.ci import TEMPLATE
from seatrial.errors import NotFound, UsageError

GPU = {
    "name": "gpu-tests", "group": "model", "run": "pytest -m gpu", "gpu": True, "events": ["nightly"],
    "schedule": "0 2 * * *", "timeout": "30m", "maxAge": "36h", "paths": ["serving/**", "models/**"],
}  # fmt: skip
UNITS = {"name": "units", "group": "code", "run": "pytest"}


def pipeline(*steps: dict[str, Any], **more: Any) -> Pipeline:
    return pipeline_of({"steps": list(steps or (UNITS, GPU)), **more})


def included(event: Any, *changed: str) -> dict[str, str]:
    return {p.step.name: p.reason for p in planned(pipeline(), event, changed) if p.included}


def test_a_nightly_step_is_left_out_of_a_commit_unless_its_files_changed() -> None:
    assert included("commit") == {"units": "runs on commit"}
    assert included("nightly") == {"gpu-tests": "runs on nightly"}
    assert included("commit", "docs/index.md") == {"units": "runs on commit"}
    assert included("commit", "serving/deep/host.py") == {"units": "runs on commit", "gpu-tests": "serving/** changed"}
    left = [p for p in planned(pipeline(), "commit") if not p.included]
    assert [p.reason for p in left] == ["runs on nightly, not on commit"], "and it says why it is out"


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ({}, "nothing to do"),
        ({"run": "x", "golden": {"file": "g"}}, "run and golden"),
        ({"rn": "x"}, "did you mean 'run'"),
        ({"run": "x", "timeout": "0s"}, "leaves no time"),
        ({"run": "x", "timeout": "soon"}, "a duration"),
        ({"run": "x", "events": []}, "no event"),
        ({"run": "x", "events": ["weekly"]}, "nightly"),
        ({"run": "x", "schedule": "at night"}, "cron has five"),
        ({"run": "x", "events": ["nightly"], "schedule": "99 2 * * *"}, "minute"),
        ({"run": "x", "schedule": "0 2 * * *"}, "does not run on nightly"),
        ({"run": "x", "group": "docs"}, "code"),
        ({"run": "x", "name": "../x"}, "name of a file"),
        ({"data": {"file": "f", "columns": {"a": {"tpye": "number"}}}}, "did you mean 'type'"),
        ({"validate": {"file": "f", "label": "y", "metric": "auc"}}, "required"),
        ({"golden": {"file": "f", "precision": ["bfloat16"]}}, "threshold"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_its_name(step: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        pipeline({"name": "one", "group": "code", **step})


def test_a_pipeline_of_nothing_and_one_with_a_name_twice_are_refused() -> None:
    for steps in ([], [UNITS, UNITS]):
        with pytest.raises(UsageError):
            pipeline_of({"steps": steps})
    with pytest.raises(UsageError):
        pipeline_of([])


def test_files(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no '.*ci\.yaml'"):
        read_pipeline(tmp_path / "ci.yaml")
    (tmp_path / "ci.yaml").write_text("steps: [")
    with pytest.raises(UsageError, match="not YAML"):
        read_pipeline(tmp_path / "ci.yaml")
    (tmp_path / "ci.yaml").write_text(TEMPLATE)
    assert [step.name for step in read_pipeline(tmp_path / "ci.yaml").steps] == ["unit-tests"]
    everything = "\n".join(line.removeprefix("#") for line in TEMPLATE.splitlines()[1:])
    assert len(pipeline_of(yaml.safe_load(everything)).steps) == 5, "what is commented out can be used as it stands"


def test_exports_run_each_event_where_it_can() -> None:
    exported = yaml.safe_load(github(pipeline()))
    assert exported["on"]["schedule"] == [{"cron": "0 2 * * *"}]
    assert exported["jobs"]["nightly"]["runs-on"] == ["self-hosted", "gpu"]
    commands = {name: [s["run"] for s in job["steps"] if "run" in s][-1] for name, job in exported["jobs"].items()}
    assert "--event commit" in commands["commit"]
    assert "--require-gpu" not in commands["commit"]
    assert "--event nightly --require-gpu" in commands["nightly"]
    other = gitlab(pipeline())
    assert "0 2 * * *" in other.splitlines()[0]
    assert yaml.safe_load(other)["nightly"]["tags"] == ["gpu"]
    alone = yaml.safe_load(github(pipeline(UNITS)))
    assert list(alone["jobs"]) == ["commit"]


def test_exports_are_about_the_version_that_somebody_names() -> None:
    released = pipeline(UNITS, {**UNITS, "name": "last", "events": ["release"]})
    exported = yaml.safe_load(github(released))
    assert set(exported["on"]["workflow_dispatch"]["inputs"]) == {"model", "version"}
    assert exported["env"]["VERSION"] == "${{ inputs.version || vars.VERSION }}"
    assert list(exported["jobs"]) == ["commit", "release"]
    assert yaml.safe_load(gitlab(released))["release"]["rules"] == [{"if": '$CI_PIPELINE_SOURCE == "web"'}]
    (command,) = (step["run"] for step in exported["jobs"]["release"]["steps"] if "ci run" in step.get("run", ""))
    for model, version, words in (("fraud", "3", ["fraud", "3"]), ("", "", [])):
        shell = subprocess.run(
            ["sh", "-c", command.replace("seatrial", "printf '%s\n'", 1)], check=True, capture_output=True, text=True,
            env={"MODEL": model, "VERSION": version, "PATH": os.environ["PATH"]},
        )  # fmt: skip
        assert shell.stdout.split() == ["ci", "run", *words, "--event", "release", "--junit", "ci.xml"]
