"""When a model is drilled: by its tier, once, at a time that a seed chooses; and what an overdue drill holds up."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from seatrial.control.drills.calendar import DrillWatch, calendar, drills_document, hold
from seatrial.control.operations import Operations
from seatrial.control.project import Project
from seatrial.control.states import Given, given_to_json
from seatrial.errors import Conflict, UsageError
from seatrial.governance.drills.policy import DrillPolicy
from seatrial.governance.drills.schedule import due, unannounced
from seatrial.governance.drills.steps import STEPS, progress
from seatrial.ids import ModelName, RolloutId, VersionNumber
from seatrial.registry.safety import Safety
from seatrial.rollout.decide import decide
from seatrial.rollout.start import start
from seatrial.rollout.verdicts import Judgement, Signals
from seatrial.store.db import Store
from seatrial.store.plans import parse_plan
from seatrial.values import Duration

T0 = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY = timedelta(days=1)
POLICY = DrillPolicy()
ENOUGH = Judgement(units=10_000, outcomes=10_000)


class At:
    """A clock that is set by hand."""

    def __init__(self, time: datetime) -> None:
        self.time = time

    def now(self) -> datetime:
        return self.time


@pytest.mark.parametrize(("tier", "days"), [(1, 30), (2, 91), (3, 365)])
def test_the_tier_says_how_often(tier: int, days: int) -> None:
    at = T0 + days * DAY
    assert not due(POLICY, "m", tier, last=None, since=T0, now=at).overdue, "on the day itself it is in time"
    late = due(POLICY, "m", tier, last=None, since=T0, now=at + timedelta(seconds=1))
    assert late.overdue
    assert late.blocks == (tier == 1)
    again = due(POLICY, "m", tier, last=at, since=T0, now=at + DAY)
    assert (again.overdue, again.due) == (False, at + days * DAY)


def test_an_unannounced_drill_is_within_business_hours_and_follows_from_the_seed() -> None:
    policy = replace(POLICY, unannounced=True, business_hours="10:30-12:00")
    times = {unannounced(replace(policy, seed=seed), "m", T0) for seed in range(200)}
    assert len(times) > 100
    for time in times:
        assert time.weekday() < 5
        assert (10, 30) <= (time.hour, time.minute) < (12, 0)
        assert T0 - 7 * DAY <= time < T0
    assert unannounced(policy, "m", T0) == unannounced(policy, "m", T0)
    assert unannounced(policy, "m", T0) != unannounced(policy, "another", T0)


@pytest.mark.parametrize(
    "wrong",
    [{"business_hours": "17:00-09:00"}, {"business_hours": "9-17"}, {"tier1": Duration.parse("1h")}],
)
def test_a_schedule_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"drill|business|day"):
        DrillPolicy(**wrong)


def test_an_unknown_setting_is_refused_with_the_nearest_one(tmp_path: Path) -> None:
    (tmp_path / "seatrial.yaml").write_text("project: x\ndrills: {participant: [ann]}\n")
    with pytest.raises(UsageError, match=r"ST0803.*did you mean 'participants'"):
        Project.open(tmp_path)


def test_no_step_is_skipped_and_none_is_taken_twice() -> None:
    fresh = progress("d-1", "running", [])
    assert fresh.require(1) == "ready"
    for number in (0, 2, 3, 6, 7):
        with pytest.raises(Conflict, match=r"ST0366.*step 1 \(ready\) is"):
            fresh.require(number)
    with pytest.raises(Conflict, match="ST0366"):
        progress("d-1", "running", STEPS[:3]).require(3)
    for over in (progress("d-1", "aborted", STEPS[:2]), progress("d-1", "passed", STEPS)):
        assert over.next is None
        with pytest.raises(Conflict, match="ST0366"):
            over.require(len(over.done) + 1)
    with pytest.raises(ValueError, match="out of order"):
        progress("d-1", "running", ["ready", "detect"])


# ── in a project ───────────────────────────────────────────────────────────────────────────────────────────────────


def made(root: Path, more: str = "{}", tier: int = 1) -> tuple[Project, Store]:
    root.mkdir(exist_ok=True)
    (root / "seatrial.yaml").write_text(f"project: x\nclock: replay\ndrills: {more}\n")
    project = Project.open(root)
    project.prepare()
    store = Store.open(project.store_url)
    operations = Operations(project, store)
    operations.clock = At(T0)
    operations.adopt("fraud", "http://127.0.0.1:9/", actor="ann")
    operations.secure("fraud", Safety(tier=tier), actor="ann")
    return project, store


def alerts(store: Store, kind: str) -> list[Any]:
    with store.read() as tx:
        return [one.alert for one in tx.alerts.latest(100) if one.alert.kind == kind]


def test_a_missed_drill_is_told_once(tmp_path: Path) -> None:
    project, store = made(tmp_path)
    with store:
        clock = At(T0 + 29 * DAY)
        watch = DrillWatch(project, store, clock)
        watch.turn()
        assert alerts(store, "drill.missed") == []
        for days in (31, 32, 90):
            clock.time = T0 + days * DAY
            watch.turn()
            DrillWatch(project, store, clock).turn()  # after a restart as well
        (alert,) = alerts(store, "drill.missed")
        assert "seatrial drill run fraud" in alert.text


def test_an_unannounced_drill_is_in_the_audit_log_before_its_time(tmp_path: Path) -> None:
    project, store = made(tmp_path, "{unannounced: true, seed: 3}")
    with store:
        clock = At(T0 + 20 * DAY)
        watch = DrillWatch(project, store, clock)
        watch.turn()
        with store.read() as tx:
            assert [e for e in tx.audit.log() if e.action == "drill.plan"] == [], "not yet"
            planned = calendar(tx, project, clock.time)[0].planned
        assert planned is not None
        clock.time = T0 + 23 * DAY + timedelta(minutes=1)
        for _ in range(2):
            watch.turn()
        with store.read() as tx:
            (entry,) = (e for e in tx.audit.log() if e.action == "drill.plan")
            shown = drills_document(tx, project, clock.time)["calendar"][0]
        assert datetime.fromisoformat(json.loads(entry.detail)["at"]) == planned > clock.time
        assert (shown["unannounced"], shown["planned"]) == (True, None), "nobody else is told"
        assert alerts(store, "drill.time") == []
        clock.time = planned
        watch.turn()
        assert len(alerts(store, "drill.time")) == 1
        with store.read() as tx:
            assert drills_document(tx, project, clock.time)["calendar"][0]["planned"] is not None


def test_only_the_top_tier_waits_and_only_with_a_schedule(tmp_path: Path) -> None:
    for name, more, tier, waits in (("a", "{}", 1, True), ("b", "{}", 2, False), ("c", "null", 1, False)):
        project, store = made(tmp_path / name, more, tier)
        with store, store.read() as tx:
            assert bool(hold(tx, project, "fraud", T0 + 400 * DAY)) == waits
            assert hold(tx, project, "fraud", T0 + 3 * DAY) == ""


def test_the_promotion_waits_and_nothing_else() -> None:
    plan = parse_plan("""
name: quick
metrics: [{name: errors, kind: error_rate, margin: 1pp}]
steps: [{setWeight: 10%}, {pause: {duration: 1h}}, {setWeight: 50%}, {pause: {duration: 1h}}]
""")
    _, first = start(plan, RolloutId("r"), ModelName("m"), VersionNumber(1), VersionNumber(2), "salt", T0, "ann")
    late = Signals(drill="drill overdue")
    assert decide(plan, first, ENOUGH, late, T0 + DAY).action == "advance", "a step is no promotion"
    last = replace(first, stage=1)
    held = decide(plan, last, ENOUGH, late, T0 + DAY)
    assert (held.action, held.rule, held.reason) == ("hold", "drill_overdue", "drill overdue")
    assert decide(plan, last, ENOUGH, Signals(), T0 + DAY).action == "promote"
    assert decide(plan, last, ENOUGH, replace(late, approval="ann"), T0 + DAY).rule == "drill_overdue"
    assert decide(plan, last, ENOUGH, replace(late, killed="ann"), T0 + DAY).action == "abort"
    assert "drill" not in given_to_json(Given(first, Signals())), "what has no drills is written as before"
    assert "drill overdue" in given_to_json(Given(first, late))
