"""Exercise 29.20: hot, warm and cold standbys as they are, their measured time, and a plan that insists on a minute."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from livesystem import Live
from seatrial.control.documents import catalog
from seatrial.control.way_home.proof import StandbyProof, prove_standby, standby_of
from seatrial.control.way_home.upkeep import standby_document
from seatrial.errors import Conflict, PlanError
from seatrial.registry.safety import Safety, StandbyPolicy
from seatrial.rollout.plan import Plan
from seatrial.rollout.standby import Served, too_slow, unproven
from seatrial.rollout.validate import problems
from seatrial.serving.spec import HostSpec
from seatrial.store.plans import parse_plan

NOW = datetime(2026, 5, 1, tzinfo=UTC)
MONTH = timedelta(days=30)
PLAN = parse_plan("""
name: back-in-a-minute
timeBucket: 1h
lookEvery: 1s
deadline: 10d
backWithin: 60s
metrics: [{name: errors, kind: error_rate, margin: 20pp}]
steps:
  - setWeight: 25%
  - pause: {duration: 1s}
  - analysis: {minUnits: 20, tolerance: 4x}
  - setWeight: 50%
  - pause: {duration: 1s}
  - analysis: {minUnits: 20, tolerance: 4x}
  - setWeight: 75%
  - pause: {duration: 2d}
""")


# ── what a plan asks for ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("policy", "refused"), [("hot", False), ("warm", False), ("cold", True)])
def test_a_minute_is_not_enough_for_what_has_to_be_pulled_and_loaded(policy: str, refused: bool) -> None:
    served = Served(model="fraud", policy=policy, valid_for=MONTH)
    assert bool(too_slow(served, 60)) is refused


def test_what_was_measured_counts_more_than_what_is_usual() -> None:
    quick = Served(model="fraud", policy="cold", valid_for=MONTH, measured=True, seconds=12.0, version=1, at=NOW)
    assert too_slow(quick, 60) == ""
    assert "90.5 s" in too_slow(replace(quick, seconds=90.5), 60)
    assert "no answer" in too_slow(replace(quick, seconds=None), 60)


def test_a_measurement_holds_for_a_month() -> None:
    served = Served(model="fraud", policy="hot", valid_for=MONTH, measured=True, seconds=0.1, version=1, at=NOW)
    assert unproven(served, 60, NOW + MONTH) == ""
    held = unproven(served, 60, NOW + MONTH + timedelta(seconds=1))
    assert "more than 30 days ago" in held
    assert "seatrial model standby fraud --measure" in held
    assert "never measured" in unproven(Served(model="fraud", policy="hot", valid_for=MONTH), 60, NOW)


def test_nothing_is_faster_than_a_change_of_routes() -> None:
    assert problems(PLAN) == []
    (problem,) = problems(parse_plan("name: x\nbackWithin: 1s\n" + "\n".join(_rest(PLAN))))
    assert (problem.code, problem.where) == ("ST0351", "backWithin")


def _rest(plan: Plan) -> list[str]:
    from seatrial.store.plans import plan_to_yaml

    text = plan_to_yaml(replace(plan, back_within=None))
    return [line for line in text.splitlines() if not line.startswith("name:")]


# ── policies as they run ───────────────────────────────────────────────────────────────────────────────────────────


def promoted(live: Live, policy: StandbyPolicy) -> str:
    """v1 stands by behind v2 under a policy."""
    live.adopt(live.server("first"))
    live.operations.secure("fraud", Safety(standby=policy), actor="ann")
    rollout = live.begin(live.register(live.server("second")), replace(PLAN, back_within=None))
    live.operations.by_hand(rollout, "promote", full=True, reason="agreed", actor="ann")
    return rollout


def spec_of(live: Live, number: int) -> HostSpec:
    return HostSpec.read(live.project.host_directory("fraud", number) / "spec.json")


def prove(live: Live, **how: Any) -> StandbyProof:
    with live.store.read() as tx:
        found = standby_of(tx, "fraud")
    assert found is not None
    return prove_standby(live.project, *found, **how)


def measured(live: Live) -> list[Mapping[str, Any]]:
    """The audited measurements, oldest first."""
    with live.store.read() as tx:
        return [json.loads(e.detail) for e in reversed(tx.audit.log(1000)) if e.action == "model.standby"]


@pytest.mark.live
@pytest.mark.slow
def test_a_cold_standby_has_no_host_until_it_is_needed(make: Any) -> None:
    live = make(clock="wall")
    promoted(live, "cold")
    live.wait_for(lambda: "fraud-1" not in live.pids())
    live.send(live.people(0, 10), datetime.now(UTC))
    live.controller.standbys.take()
    live.controller.standbys.take()
    (kept,) = measured(live)
    assert (kept["occasion"], kept["policy"], kept["answered"]) == ("promotion", "cold", "prediction")
    assert kept["seconds"] > 0
    assert "fraud-1" not in live.pids(), "the rehearsal is over"
    with live.store.read() as tx:
        assert catalog.model(tx, live.project, "fraud")["standby"]["seconds"] == kept["seconds"]
        assert "way home is slow" in standby_document(tx, live.project, "fraud", datetime.now(UTC))["warning"]

    told = live.operations.rollback("fraud", reason="complaints", actor="ann")
    assert (told.to, told.split) == ("v1", {"v1": 1.0})
    assert {s.answer.version for s in live.send(live.people(1, 10), datetime.now(UTC))} == {"1"}


@pytest.mark.live
@pytest.mark.slow
def test_a_warm_standby_is_scaled_down_until_traffic_comes(make: Any) -> None:
    live = make(clock="wall")
    promoted(live, "warm")
    assert (spec_of(live, 1).limit, spec_of(live, 2).limit) == (4, None)
    live.send(live.people(0, 10), datetime.now(UTC))
    pid = live.pids()["fraud-1"]
    assert live.operations.rollback("fraud", actor="ann").split == {"v1": 1.0}
    assert spec_of(live, 1).limit is None
    assert live.pids()["fraud-1"] == pid, "nothing was restarted"
    assert {s.answer.status for s in live.send(live.people(1, 40), datetime.now(UTC))} == {200}


@pytest.mark.live
@pytest.mark.slow
def test_what_a_standby_can_take_is_found_out_past_the_users(make: Any) -> None:
    live = make(clock="wall")
    promoted(live, "hot")
    live.send(live.people(0, 20), datetime.now(UTC))
    live.send(live.people(1, 5), datetime.now(UTC))
    enough = prove(live, load_s=0.5, rate=20.0)
    assert (enough.ready, enough.answered, enough.carries) == (True, "prediction", True), enough.text
    assert enough.sustained_rps is not None
    assert enough.sustained_rps >= 20
    short = prove(live, load_s=0.2, rate=50_000.0)
    assert short.carries is False, short.text

    def requests() -> int:
        live.controller.tick()
        return sum(1 for row in live.events().to_pylist() if row["row"] == 0)

    live.wait_for(lambda: requests() >= 25)
    assert requests() == 25, "only what users sent is in the log"


@pytest.mark.live
@pytest.mark.slow
def test_a_plan_that_insists_on_a_minute(make: Any) -> None:
    live = make(clock="wall")
    live.adopt(live.server("first"))
    second = live.register(live.server("second"))
    live.operations.secure("fraud", Safety(standby="cold"), actor="ann")
    with pytest.raises(PlanError, match="ST0350") as refused:
        live.begin(second, PLAN)
    assert "cold, about 90 s" in str(refused.value)
    assert live.pointers() == {"champion": 1}, "nothing began"

    live.operations.secure("fraud", Safety(standby="hot"), actor="ann")
    live.begin(second, PLAN)
    (kept,) = measured(live)
    assert (kept["occasion"], kept["version"]) == ("start", 1), "measured before it began"


@pytest.mark.live
@pytest.mark.slow
def test_an_expired_measurement_holds_the_next_stage(make: Any) -> None:
    live = make(clock="replay", more="standby: {provenFor: 30m}")
    live.adopt(live.server("first"))
    plan = replace(PLAN, look_every=parse_plan("name: x\nlookEvery: 15m\nmetrics: []\nsteps: []").look_every)
    rollout = live.begin(live.register(live.server("second")), plan)
    live.hour(0, live.people(0, 160))
    live.hour(1, live.people(1, 160))
    told = live.told(rollout)
    assert ("advance", 1, "advance") in told, "at 30 minutes it still held"
    assert told[-1] == ("hold", 1, "frozen")
    assert "seatrial model standby fraud --measure" in live.decisions(rollout)[-1].reason

    live.operations.prove_standby("fraud", actor="ann")
    assert measured(live)[-1]["occasion"] == "by hand"
    live.send(live.people(2, 160), live.t0 + 2 * live.hour_long)
    live.operations.advance(live.t0 + 2 * live.hour_long + timedelta(minutes=15))
    assert live.told(rollout)[-1] == ("advance", 2, "advance"), "it goes on"


@pytest.mark.live
@pytest.mark.slow
def test_that_the_fast_path_is_not_there_is_said_before_anything_begins(make: Any) -> None:
    live = make(clock="wall")
    first = live.server("first")
    live.adopt(first)
    with live.store.read() as tx:
        assert standby_document(tx, live.project, "fraud", datetime.now(UTC))["warning"] == ""
    first.die()

    def warning() -> str:
        with live.store.read() as tx:
            return str(standby_document(tx, live.project, "fraud", datetime.now(UTC))["warning"])

    assert "the fast way home is not available: the host of fraud v1 does not answer" in live.wait_for(warning)


@pytest.mark.live
def test_a_model_without_a_champion_has_no_way_home(make: Any) -> None:
    live = make(clock="wall")
    live.register(live.server("first"))
    with pytest.raises(Conflict, match="has no standby"):
        live.operations.prove_standby("fraud", actor="ann")
