"""The loop on a clock that is moved by hand: what starts, what is recorded first, what a crash does not change."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from seatrial.control.analyses.triggers import parse_policy
from seatrial.control.operations import Operations
from seatrial.control.retraining import documents, policies
from seatrial.control.retraining.desk import RetrainingDesk
from seatrial.control.retraining.loop import Loop
from seatrial.errors import Conflict, NotFound, UsageError
from seatrial.registry.lifecycle import Stage
from seatrial.retrain.policy import Policy
from seatrial.training.launcher import Job, Standing
from trainings import HOUR, MODEL, T0, Hands, Instant, Readings, operations_of, policy


class Crash(BaseException):
    """This process is gone."""


class Scene:
    """A model with a policy, and a loop over it that can be made anew, as after a restart."""

    def __init__(self, root: Path) -> None:
        self.operations = operations_of(root)
        self.clock = self.operations.clock = Hands()
        self.sensor, self.launcher = Readings(), Instant()
        self.desk = RetrainingDesk(self.operations, {"process": self.launcher})
        self.restart()

    def restart(self, launcher: Any = None) -> None:
        known = {"process": launcher or self.launcher}
        self.loop = Loop(self.operations, known, clock=self.clock, sensor=self.sensor)

    def set(self, **parts: str) -> None:
        self.desk.set(policy(self.operations.project, **parts), actor="ann")

    def tick(self, hours: float = 0.0) -> None:
        self.clock.time += timedelta(hours=hours)
        self.loop.tick()

    def runs(self) -> list[dict[str, Any]]:
        with self.operations.store.read() as tx:
            found: list[dict[str, Any]] = documents.runs_document(tx)["runs"]
            return found

    def events(self) -> list[tuple[str, str]]:
        with self.operations.store.read() as tx:
            return [(event.what, event.document["trigger"]) for event in tx.training.events(MODEL)]

    def alerts(self) -> list[str]:
        with self.operations.store.read() as tx:
            return [one.alert.kind for one in tx.alerts.after(0)]

    def actions(self) -> list[str]:
        with self.operations.store.read() as tx:
            assert tx.audit.verify().ok
            return [entry.action for entry in reversed(tx.audit.log(1000))]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path / "project")
    yield made
    made.operations.store.close()


def test_a_fleets_policies_are_parsed_once_and_anew_when_one_is_set(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def parse(text: str, source: str) -> Policy:
        read.append(text)
        return parse_policy(text, source)

    monkeypatch.setattr(policies, "parse_policy", parse)
    scene.set()
    scene.tick(1)
    read.clear()
    scene.tick(1)
    assert read == []
    scene.desk.set(policy(scene.operations.project).replace("interval: 6h", "interval: 7h"), actor="ann")
    scene.tick(1)
    assert len(read) == 2, "when it is set, and by the loop"
    assert "interval: 7h" in read[-1]


def test_without_drift_nothing_is_trained_and_with_it_a_version_is_registered(scene: Scene) -> None:
    scene.set()
    for _ in range(5):
        scene.tick(1)
    assert (scene.events(), scene.runs()) == ([], [])
    scene.sensor.psi = {"x": 0.35}
    scene.tick(1)
    (run,) = scene.runs()
    assert (run["status"], run["cause"], run["version"]) == ("registered_only", "inputs", 1)
    assert run["detail"] == "PSI of x is 0.35"
    assert run["cost"] == pytest.approx(2 + 36 * 100 / 3600)
    assert scene.events() == [("started", "inputs"), ("finished", "inputs")]
    with scene.operations.store.read() as tx:
        version = tx.models.get_version(MODEL, 1)
    assert version.tags == {"retraining": "t-0001"}
    assert version.lineage is not None
    assert version.lineage.data is not None
    assert version.lineage.data.end == scene.clock.time - HOUR  # the horizon and the holdout
    assert {"retrain.started", "retrain.finished", "trigger.set"} <= set(scene.actions())


def test_the_same_drift_waits_for_the_interval_and_critical_drift_does_not(scene: Scene) -> None:
    scene.set()
    scene.sensor.psi = {"x": 0.35}
    scene.tick(1)
    scene.tick(1)
    assert len(scene.runs()) == 1
    assert scene.events()[-1] == ("suppressed", "inputs")
    scene.sensor.psi = {"x": 0.51}
    scene.tick(1)
    assert [run["bypassed"] for run in scene.runs()] == [False, True]


def test_failing_data_block_a_run_and_page_once_and_sound_data_let_it_go(scene: Scene) -> None:
    scene.set()
    scene.sensor.psi, scene.sensor.failure = {"x": 0.35}, "column 'x': 40% are missing"
    scene.tick(1)
    scene.tick(1)
    assert scene.runs() == []
    assert scene.alerts() == ["retrain.blocked"]
    with scene.operations.store.read() as tx:
        (model,) = documents.status_document(tx, scene.clock.now())["models"]
    assert model["dataFailure"] == "column 'x': 40% are missing"
    scene.sensor.failure = None
    scene.tick(1)
    assert len(scene.runs()) == 1


def test_a_weekly_schedule_asks_once_a_week_also_across_restarts_and_tells_of_missed_weeks(scene: Scene) -> None:
    scene.set()
    scene.tick(2)
    for _ in range(3 * 7 * 4 - 1):
        scene.tick(6)
        scene.restart()
        scene.tick()  # once more within the hour
    assert [run["trigger"] for run in scene.runs()] == ["weekly"] * 3
    assert [run["started"][:16] for run in scene.runs()] == ["2026-03-07T02:00", "2026-03-14T02:00", "2026-03-21T02:00"]
    assert scene.alerts() == []
    scene.restart()
    scene.tick(3 * 7 * 24)
    assert len(scene.runs()) == 4
    assert scene.alerts() == ["retrain.missed"]


class _CrashesBefore(Instant):
    def start(self, job: Job) -> None:
        raise Crash


class _CrashesAfter(Instant):
    def start(self, job: Job) -> None:
        super().start(job)
        raise Crash


@pytest.mark.parametrize("crashing", [_CrashesBefore, _CrashesAfter])
def test_a_crash_where_a_run_begins_loses_nothing_and_starts_nothing_twice(
    scene: Scene, crashing: type[Instant]
) -> None:
    scene.set()
    scene.sensor.psi = {"x": 0.35}
    first = crashing()
    scene.restart(first)
    with pytest.raises(Crash):
        scene.tick(1)
    assert [run["status"] for run in scene.runs()] == ["recorded"]
    scene.restart()
    scene.tick()
    scene.tick()
    assert [run["status"] for run in scene.runs()] == ["registered_only"]
    assert first.begun + scene.launcher.begun == ["t-0001"]


def test_a_crash_after_registering_does_not_register_again(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.set()
    scene.sensor.psi = {"x": 0.35}
    register = Operations.register

    def crashes(*args: Any, **kwargs: Any) -> Any:
        register(*args, **kwargs)
        raise Crash

    with monkeypatch.context() as patched:
        patched.setattr(Operations, "register", crashes)
        with pytest.raises(Crash):
            scene.tick(1)
    assert [run["status"] for run in scene.runs()] == ["trained"]
    scene.restart()
    scene.tick()
    assert [(run["status"], run["version"]) for run in scene.runs()] == [("registered_only", 1)]
    with scene.operations.store.read() as tx:
        assert len(tx.models.list_versions(MODEL)) == 1


def test_what_nobody_can_compare_is_rejected_unless_the_policy_says_otherwise(scene: Scene) -> None:
    scene.set(unproven="keep")
    scene.desk.ask(MODEL, actor="bob")
    scene.tick(1)
    (run,) = scene.runs()
    assert run["status"] == "kept"
    assert "nobody can say whether it is better" in run["reason"]
    with scene.operations.store.read() as tx:
        assert tx.models.get_version(MODEL, 1).stage is Stage.ARCHIVED


class _Fails(Instant):
    def poll(self, job: Job) -> Standing:
        return Standing(status="failed", reason="exit code 1: no such table", seconds=36.0)


def test_a_run_that_fails_is_told_and_paid_for_and_the_next_one_may_start(scene: Scene) -> None:
    scene.set()
    scene.restart(_Fails())
    scene.desk.ask(MODEL, actor="bob")
    scene.tick(1)
    (run,) = scene.runs()
    assert (run["status"], run["reason"], run["cost"]) == ("failed", "exit code 1: no such table", 2.36)
    assert scene.alerts() == ["retrain.failed"]
    scene.restart()
    scene.desk.ask(MODEL, "feature-store", actor="feature store")
    scene.tick(1)
    assert [one["status"] for one in scene.runs()] == ["failed", "registered_only"]


class _Endless(Instant):
    ended = False

    def poll(self, job: Job) -> Standing:
        return Standing(status="cancelled" if self.ended else "running", progress=0.3)

    def cancel(self, job: Job) -> None:
        self.ended = True


def test_a_run_that_is_cancelled_ends_and_only_one_runs_at_a_time(scene: Scene) -> None:
    scene.set()
    scene.restart(_Endless())
    scene.desk.ask(MODEL, actor="bob")
    scene.tick(1)
    scene.desk.ask(MODEL, actor="bob")
    scene.tick(24)
    assert [(run["status"], run["progress"]) for run in scene.runs()] == [("training", 0.3)]
    assert scene.events()[-1] == ("waiting", "by-hand")
    scene.desk.cancel("t-0001", actor="ann")
    scene.loop.carry()
    assert scene.runs()[0]["reason"] == "cancelled by ann"
    with pytest.raises(Conflict, match="ST1307"):
        scene.desk.cancel("t-0001", actor="ann")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (("run:", "ran:"), "ST0390"),
        (("primary: inputs", "primary: inputs\nextra: 1"), "ST0390"),
        (("drift: 0.25", "drift: -1"), "ST0391"),
        (("model: fraud", "model: frauds"), "ST0631"),
        (("plan: null", "plan: strict"), "ST0290"),
        (("minRows: 100", "minRows: 100, checks: [rows]"), "ST1305"),
    ],
)
def test_a_policy_that_cannot_be_honoured_is_refused(scene: Scene, change: tuple[str, str], code: str) -> None:
    text = policy(scene.operations.project)
    with pytest.raises((UsageError, NotFound)) as raised:
        scene.desk.set(text.replace(*change), actor="ann")
    assert raised.value.code == code


def test_a_policy_without_a_command_is_refused(scene: Scene) -> None:
    text = "\n".join(line for line in policy(scene.operations.project).splitlines() if not line.startswith("run:"))
    with pytest.raises(UsageError, match="ST1303"):
        scene.desk.set(text, actor="ann")


def test_a_new_policy_keeps_what_the_manager_knows(scene: Scene) -> None:
    scene.set()
    scene.sensor.psi = {"x": 0.35}
    scene.tick(1)
    scene.set()
    scene.tick(1)
    assert len(scene.runs()) == 1
    assert scene.events()[-1][0] == "suppressed"


def test_asking_needs_a_policy_and_a_trigger_that_people_may_pull(scene: Scene) -> None:
    with pytest.raises(NotFound, match="ST1300"):
        scene.desk.ask(MODEL, actor="bob")
    scene.set()
    with pytest.raises(Conflict, match="ST1304"):
        scene.desk.ask(MODEL, "weekly", actor="bob")
    assert scene.desk.ask(MODEL, actor="bob")["trigger"] == "by-hand"


def test_the_timeline_has_triggers_and_runs_in_order(scene: Scene) -> None:
    scene.set()
    scene.sensor.psi = {"x": 0.35}
    scene.tick(1)
    with scene.operations.store.read() as tx:
        entries = documents.timeline(tx, MODEL)["entries"]
    assert [(entry["lane"], entry["what"]) for entry in entries] == [
        ("runs", "registered_only"), ("triggers", "started"), ("triggers", "finished"),
    ]  # fmt: skip
    assert T0.date().isoformat() in entries[0]["start"]
