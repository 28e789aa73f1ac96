"""Exercise 29.21 (b), (c): a drill on real processes; judged again from its evidence; a sabotaged standby fails it."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from livesystem import Live
from seatrial.control.drills.documents import drill_document, evidence_of
from seatrial.errors import Conflict
from seatrial.governance.drills.judge import judge
from seatrial.governance.drills.steps import STEPS
from seatrial.registry.fallback import Fallback
from seatrial.registry.safety import Safety
from seatrial.rollout.plan import Plan
from seatrial.store.plans import parse_plan

pytestmark = [pytest.mark.live, pytest.mark.slow]

BODY = {"dataframe_records": [{"unit": "somebody"}]}
PLAN: Plan = parse_plan("""
name: quick
metrics: [{name: errors, kind: error_rate, margin: 10pp}]
steps: [{setWeight: 10%}, {pause: {duration: 1h}}]
""")
SCHEDULE = "drills: {owner: ann, participants: [ann, bob], share: 5%}"


def promoted(make: Any, **settings: str) -> Live:
    """Version 1 was the champion, version 2 is."""
    live: Live = make(more=SCHEDULE, **settings)
    live.adopt(live.server("first"))
    rollout = live.begin(live.register(live.server("second")), PLAN)
    live.operations.by_hand(rollout, "promote", full=True, reason="it is fine", actor="ann")
    assert live.pointers() == {"champion": 2, "previous": 1}
    return live


def drilled(live: Live, *, until: int = len(STEPS)) -> Any:
    document = live.operations.drills.begin(live.model, [BODY], actor="ann")
    for number in range(1, until + 1):
        document = live.operations.drills.step(document["id"], number, actor="ann")
    return document


def evidence(live: Live, id: str) -> Any:
    with live.store.read() as tx:
        return json.loads(json.dumps(evidence_of(tx.drills.get(id))))


def test_a_drill_finds_the_fault_brings_everybody_home_and_puts_everything_back(make: Any) -> None:
    live = promoted(make)
    before = live.pointers()
    done = drilled(live)
    criteria = {c["name"]: c for c in done["verdict"]["criteria"]}
    assert done["status"] == "passed", [c for c in criteria.values() if not c["passed"]]
    steps = {step["name"]: step["evidence"] for step in done["steps"]}
    assert [step["number"] for step in done["steps"]] == [1, 2, 3, 4, 5, 6]
    assert steps["detect"]["rule"] == "guardrail_harm", "by the gates, not by a clock"
    assert steps["detect"]["arms"]["canary"] > 0, "users were on the faulty version"
    assert steps["detect"]["levels"]["champion"] == steps["detect"]["arms"]["canary"], "and its champion answered"
    assert criteria["user_errors"]["measured"].startswith("0 of")
    assert criteria["share"]["measured"] == "5%"
    assert steps["verify"]["answeredBy"] == {"2": 100}
    assert steps["verify"]["standby"]["serves"]
    assert steps["verify"]["counted"] == steps["verify"]["logged"] > 0
    assert live.pointers() == before
    assert live.stages()[3] == "Archived"
    assert done["verdict"]["criteria"] == [
        {"name": c.name, "measured": c.measured, "target": c.target, "passed": c.passed}
        for c in judge(evidence(live, done["id"])).criteria
    ], "from the evidence alone"
    assert {"drill.start", "drill.step", "drill.finish"} <= set(live.actions())
    with pytest.raises(Conflict, match="ST0366"):
        live.operations.drills.step(done["id"], 6, actor="ann")


def test_a_sabotaged_standby_fails_the_drill_by_its_own_criterion(make: Any) -> None:
    live = promoted(make)
    live.servers[0].mode = "500"  # the version that nobody needs, until somebody does
    done = drilled(live)
    assert done["status"] == "failed"
    assert done["verdict"]["failed"] == ["standby"]
    assert "does not serve" in next(c["measured"] for c in done["verdict"]["criteria"] if c["name"] == "standby")


def test_the_banner_that_no_model_decided_is_part_of_the_drill(make: Any) -> None:
    live = promoted(make, request="10s")
    live.operations.secure(live.model, Safety(fallback=Fallback(last="banner")), actor="ann")
    done = drilled(live)
    asked = {step["name"]: step["evidence"] for step in done["steps"]}["verify"]["fallback"]
    assert asked == [{"level": "banner", "answers": True, "problem": None}]
    assert done["status"] == "passed", done["verdict"]
    (pid,) = (pid for key, pid in live.controller.hosts.pids().items() if key == (live.model, "banner"))
    os.kill(pid, signal.SIGSTOP)
    try:
        again = drilled(live)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert again["verdict"]["failed"] == ["fallback"]


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_a_drill_is_aborted_at_any_step_and_nothing_is_left(make: Any, steps: int) -> None:
    live = promoted(make)
    before, id = live.pointers(), drilled(live, until=steps)["id"]
    with pytest.raises(Conflict, match="ST0366"):
        live.operations.drills.step(id, steps + 2, actor="ann")
    assert (live.weight() > 0) == (steps == 2)
    assert live.operations.drills.abort(id, reason="enough", actor="ann")["status"] == "aborted"
    assert live.operations.drills.abort(id, reason="enough", actor="ann")["status"] == "aborted", "once more is fine"
    assert live.weight() == 0
    assert live.pointers() == before
    assert live.stages().get(3, "Archived") == "Archived"
    assert all(sent.answer.version == "2" for sent in live.send(live.people(0, 20)))


def test_a_drill_goes_on_after_a_restart_of_the_control_plane(make: Any) -> None:
    live = promoted(make)
    id = drilled(live, until=2)["id"]
    live.start()  # the server of the faulty version is a thread of the dead one
    again = live.operations.drills.begin(live.model, [BODY], actor="bob")
    assert (again["id"], again["next"]["number"]) == (id, 3)
    for number in (3, 4, 5, 6):
        again = live.operations.drills.step(id, number, actor="bob")
    assert again["status"] == "passed", again["verdict"]


def test_on_the_wall_clock_it_asks_what_users_sent_last(make: Any, tmp_path: Path) -> None:
    live = promoted(make, clock="wall")
    live.run()
    live.send(live.people(0, 30))
    live.wait_for(lambda: (live.project.gateway / "log" / "live.jsonl").stat().st_size > 0)
    document = live.operations.drills.begin(live.model, actor="ann")
    for number in range(1, 7):
        document = live.operations.drills.step(document["id"], number, actor="ann")
    with live.store.read() as tx:
        assert drill_document(tx.drills.get(document["id"])) == document
    assert document["status"] == "passed", document["verdict"]


def test_a_drill_does_not_come_on_top_of_a_release(make: Any) -> None:
    live = promoted(make)
    live.begin(live.register(live.server("third")), PLAN)
    with pytest.raises(Conflict, match="ST0375"):
        drilled(live)
