"""Exercise 29.1b: one training run a week, also where the control plane is killed in the hour that it is due.

On a simulated clock with the real loop and a store that is opened anew after every kill; and in real processes, where
``seatrial up`` gets SIGKILL in the middle of a run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from outage import Rig
from seatrial import processes
from seatrial.control.operations import Operations
from seatrial.control.project import Project
from seatrial.control.retraining import documents
from seatrial.control.retraining.desk import RetrainingDesk
from seatrial.control.retraining.loop import Loop
from seatrial.store.db import Store
from trainings import HOUR, MODEL, TRAIN, Hands, Instant, Readings, operations_of, policy

DUE = datetime(2026, 3, 7, 2, tzinfo=UTC)  # Saturdays; the clocks of New York change in the second night
WEEK, MINUTE = timedelta(days=7), timedelta(minutes=1)


class Kill(BaseException):
    """This process is gone."""


def kill(*given: Any) -> None:
    raise Kill


class Killed(Instant):
    """Is killed before or after it has started what it was told to."""

    def __init__(self, *, after: bool) -> None:
        super().__init__()
        self.after = after

    def start(self, job: Any) -> None:
        if self.after:
            super().start(job)
        kill()


class Plane:
    """The control plane on a clock that is moved by hand. ``begun``: every training that was really started."""

    def __init__(self, root: Path) -> None:
        self.root, self.clock, self.begun = root, Hands(DUE - timedelta(days=2)), list[str]()
        self.operations = operations_of(root)
        self.operations.clock = self.clock
        RetrainingDesk(self.operations).set(policy(self.operations.project), actor="ann")
        self.up()

    def up(self, launcher: Instant | None = None) -> None:
        """A new process: nothing but what is stored is known."""
        self.operations.store.close()
        project = Project.open(self.root)
        self.operations = Operations(project, Store.open(project.store_url))
        self.operations.clock = self.clock
        self.launcher = launcher or Instant()
        self.launcher.begun = self.begun
        self.loop = Loop(self.operations, {"process": self.launcher}, clock=self.clock, sensor=Readings())

    def at(self, moment: datetime) -> None:
        self.clock.time = moment
        self.loop.tick()

    def runs(self) -> list[dict[str, Any]]:
        with self.operations.store.read() as tx:
            return list(documents.runs_document(tx)["runs"])

    def told(self, what: str) -> list[str]:
        with self.operations.store.read() as tx:
            assert tx.audit.verify().ok
            return [event.document["reason"] for event in tx.training.events(MODEL) if event.what == what]

    def alerts(self) -> list[str]:
        with self.operations.store.read() as tx:
            return [one.alert.kind for one in tx.alerts.after(0)]


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[Plane]:
    made = Plane(tmp_path / "project")
    yield made
    made.operations.store.close()


def die_in(plane: Plane, week: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In turn: before anything is recorded, before the run is started, after it, after its version is registered."""
    with monkeypatch.context() as patch:
        if week % 4 == 0:
            patch.setattr(Loop, "_record", kill)
        elif week % 4 == 3:
            register = Operations.register

            def registers(*given: Any, **named: Any) -> None:
                register(*given, **named)
                kill()

            patch.setattr(Operations, "register", registers)
        else:
            plane.up(Killed(after=week % 4 == 2))
        with pytest.raises(Kill):
            plane.at(DUE + week * WEEK)


def test_4_one_run_a_week_also_where_it_is_killed_within_the_hour(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    weeks = 8
    for week in range(weeks):
        due = DUE + week * WEEK
        plane.at(due - HOUR)
        assert len(plane.runs()) == week, "none before it is due"
        die_in(plane, week, monkeypatch)
        for minutes in (1, 10, 59, 61):
            plane.up()
            plane.at(due + minutes * MINUTE)
            plane.at(due + minutes * MINUTE)
        for hours in range(6, 162, 12):
            plane.at(due + hours * HOUR)
    runs = plane.runs()
    assert [(run["trigger"], run["status"]) for run in runs] == [("weekly", "registered_only")] * weeks
    starts = [datetime.fromisoformat(run["started"]) for run in runs]
    assert all(timedelta(0) <= at - (DUE + n * WEEK) <= MINUTE for n, at in enumerate(starts)), "within the hour, once"
    assert plane.begun == [run["id"] for run in runs], "each was started once"
    assert [run["version"] for run in runs] == list(range(1, weeks + 1)), "and registered once"
    assert (plane.told("missed"), plane.alerts()) == ([], [])


def test_4_weeks_that_nobody_saw_are_reported_and_run_once(plane: Plane) -> None:
    plane.at(DUE)
    assert len(plane.runs()) == 1
    plane.up()
    back = DUE + 4 * WEEK + timedelta(days=2)
    for _ in range(3):
        plane.at(back)
        plane.up()
    assert len(plane.runs()) == 2
    assert plane.runs()[-1]["detail"] == "due at 2026-04-04 02:00"
    assert plane.told("missed") == ["nobody was there 3 times when it was due: 2026-03-14 02:00 to 2026-03-28 02:00"]
    assert plane.alerts() == ["retrain.missed"]
    with plane.operations.store.read() as tx:
        lane = [entry["what"] for entry in documents.timeline(tx, MODEL)["entries"] if entry["lane"] == "triggers"]
        assert "retrain.missed" in {entry.action for entry in tx.audit.log(1000)}
    assert lane.count("missed") == 1
    plane.at(DUE + 5 * WEEK)
    assert len(plane.runs()) == 3, "and then once a week again"


WAITS = """
import pathlib, time
project = pathlib.Path(sys.argv[2])
with (project / "begun").open("a") as begun:
    print(os.environ["SEATRIAL_RUN"], file=begun)
while not (project / ("go-" + os.environ["SEATRIAL_RUN"])).exists():
    time.sleep(0.1)
"""


@pytest.mark.live
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_4_a_control_plane_that_is_killed_loses_no_run_and_begins_none_twice(tmp_path: Path) -> None:
    """The first run ends under the next control plane, the second one while there is none."""
    rig = Rig(tmp_path / "live", clock="wall")
    try:
        rig.up()
        rig.adopt(rig.server("champion"))
        text = policy(rig.project, plan="null").replace(", right]", f', right, "{rig.project.root}"]')
        head, rest = TRAIN.split("right =", 1)
        (rig.project.root / "train.py").write_text(f"{head}{WAITS}right ={rest}")
        rig.client.call("PUT", f"/v1/retraining/policies/{MODEL}", {"text": text})

        first = trains(rig, 1)
        rig.strike("control")
        assert processes.running(*first), "it does not need the control plane"
        rig.up()
        stands = rig.client.call("GET", "/v1/retraining/runs")["runs"]
        assert [(run["id"], run["status"]) for run in stands] == [("t-0001", "training")]
        assert child(rig, 1) == first, "adopted, not begun again"
        (rig.project.root / "go-t-0001").touch()
        assert ended(rig, 1)["status"] == "registered_only"

        second = trains(rig, 2)
        rig.strike("control")
        (rig.project.root / "go-t-0002").touch()
        rig.wait_for(lambda: not processes.running(*second), 120)
        rig.up()
        assert ended(rig, 2)["status"] == "registered_only"

        runs = rig.client.call("GET", "/v1/retraining/runs")["runs"]
        assert [(run["id"], run["version"]) for run in runs] == [("t-0001", 2), ("t-0002", 3)]
        assert (rig.project.root / "begun").read_text().split() == ["t-0001", "t-0002"]
        with rig.store.read() as tx:
            assert tx.audit.verify().ok
    finally:
        rig.close()


def trains(rig: Rig, number: int) -> tuple[int, Any]:
    """Ask for a run; the process that trains, once it does."""
    rig.client.call("POST", f"/v1/retraining/models/{MODEL}/run", {})
    begun = rig.project.root / "begun"
    rig.wait_for(lambda: begun.exists() and len(begun.read_text().split()) == number, 120)
    return child(rig, number)


def child(rig: Rig, number: int) -> tuple[int, Any]:
    path = rig.project.state / "training" / "runs" / f"t-{number:04}" / "child.json"
    told = rig.wait_for(lambda: path.exists() and json.loads(path.read_text()), 60)
    return told["pid"], told["started"]


def ended(rig: Rig, number: int) -> Any:
    def over() -> Any:
        run = rig.client.call("GET", f"/v1/retraining/runs/t-{number:04}")
        return run if run["status"] not in documents.UNDERWAY else None

    return rig.wait_for(over, 120)
