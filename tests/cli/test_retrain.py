"""``seatrial retrain`` and ``seatrial trigger set | list | show | test`` on a project where nothing runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seatrial.control.operations import Operations
from seatrial.control.project import Project
from seatrial.control.retraining.loop import Loop
from seatrial.store.db import Store
from trainings import Instant, Readings, policy


@pytest.fixture
def file(shop: Path) -> Path:
    path = shop / "policy.yaml"
    path.write_text(policy(Project.open(shop)))
    return path


def _tick(place: Path, *, psi: float = 0.0) -> None:
    project = Project.open(place)
    with Store.open(project.store_url) as store:
        sensor = Readings()
        sensor.psi = {"x": psi}
        Loop(Operations(project, store), {"process": Instant()}, sensor=sensor).tick()


def test_a_policy_is_set_listed_shown_and_tried(shop: Path, file: Path, run: Any) -> None:
    said = run("trigger", "set", "fraud", "policy.yaml")
    assert "fraud is trained by inputs, weekly, by-hand, feature-store as soon as the control plane is up" in said.out
    assert "inputs (drift)" in run("trigger", "list").out
    assert run("trigger", "show", "fraud").out == file.read_text()
    assert run("trigger", "show", "fraud", "--json").json["triggers"][0] == {
        "name": "inputs",
        "kind": "drift",
        "measure": "psi",
    }
    tried = run("trigger", "test", "fraud", "--json").json
    assert (tried["reading"]["rows"], tried["dataFailure"], tried["would"]) == (0, None, [])
    assert "nothing would start" in run("trigger", "test", "fraud").out


def test_a_run_by_hand_is_kept_until_somebody_begins_it(shop: Path, file: Path, run: Any) -> None:
    run("trigger", "set", "fraud", "policy.yaml")
    assert "when the control plane is up" in run("retrain", "run", "fraud").out
    assert run("retrain", "list", "--json").json["runs"] == []
    _tick(shop)
    listed = run("retrain", "list").out
    assert "✔ t-0001 fraud v3 registered (by-hand: asked for by" in listed
    assert "together 3.00" in listed
    status = run("retrain", "status", "fraud")
    assert "fraud: champion v1, serves for" in status.out
    assert "✔ t-0001" in status.out
    timeline = run("retrain", "status", "fraud", "--timeline", "--json").json
    assert [entry["lane"] for entry in timeline["entries"]] == ["runs", "triggers", "triggers"]
    assert run("retrain", "status", "fraud", "--chart", "loop.svg").code == 0
    assert "t-0001" in (shop / "loop.svg").read_text()
    assert run("retrain", "log", "t-0001", "--json").json == {
        "schema": "seatrial.training-log.v1", "run": "t-0001", "text": "",
    }  # fmt: skip
    assert "ST1307" in run("retrain", "cancel", "t-0001").err


def test_waiting_for_a_run_needs_somebody_who_begins_it(shop: Path, file: Path, run: Any) -> None:
    run("trigger", "set", "fraud", "policy.yaml")
    said = run("retrain", "run", "fraud", "--wait")
    assert (said.code, "ST0800" in said.err, "seatrial up" in said.err) == (1, True, True)
