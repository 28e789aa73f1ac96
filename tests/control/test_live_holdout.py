"""A holdout: after everybody else has the new version, exactly these units stay on the old one, and nobody moves."""

from __future__ import annotations

from typing import Any

import pytest

from seatrial.errors import Conflict, NotFound, UsageError
from seatrial.gateway.assignment import POINTS, assign
from seatrial.rollout.holdout import beside
from seatrial.store.plans import parse_plan

pytestmark = [pytest.mark.live, pytest.mark.slow]

HELD = 1_000
PLAN = """
name: kept
timeBucket: 1h
lookEvery: 1h
deadline: 10d
metrics: [{name: errors, kind: error_rate, margin: 60pp}]
steps:
  - setWeight: 30%
  - pause: {duration: 1h}
"""
SLOW = parse_plan(PLAN.replace("duration: 1h", "duration: 2d"))
PLAIN, HOLDING = parse_plan(PLAN), parse_plan(PLAN + "holdout: 10%\nholdoutUntil: 8h")
UNITS = [f"unit-{n}" for n in range(400)]


def versions(live: Any, hour: int) -> dict[str, str]:
    """Who answers each unit."""
    return {one.unit: one.answer.version for one in live.send(UNITS, live.t0 + hour * live.hour_long)}


def expected(salt: str, canary: int, *, old: str, new: str, held: str) -> dict[str, str]:
    points = {unit: assign(salt, unit) for unit in UNITS}
    return {unit: held if point >= POINTS - HELD else new if point < canary else old for unit, point in points.items()}


def promoted(live: Any, name: str, plan: Any, hour: int, salt: str | None) -> int:
    """A version that its plan brings to everybody by ``hour`` + 2; returns its number."""
    number: int = live.register(live.server(name))
    live.operations.start_rollout(live.model, number, plan, actor="ann", salt=salt)
    for n in (hour, hour + 1):
        live.hour(n, UNITS)
    assert live.pointers()["champion"] == number
    return number


def test_exactly_the_holdout_stays_until_its_time_is_over(make: Any) -> None:
    live = make()
    live.adopt(live.server("first"))
    number = live.register(live.server("second"))
    rollout = live.operations.start_rollout(live.model, number, HOLDING, actor="ann", salt=live.salt)
    during = versions(live, 0)
    assert during == expected(live.salt, beside(3_000, HELD), old="1", new="2", held="1")
    for hour in (0, 1):
        live.hour(hour, UNITS)
    assert live.status(rollout) == "promoted"
    kept = expected(live.salt, POINTS, old="2", new="2", held="1")
    assert 20 < sum(version == "1" for version in kept.values()) < 60
    assert versions(live, 2) == kept, "nobody else stays, and nobody flips"
    arms = {row["arm"] for row in live.events().to_pylist() if row["unit"] and row["served_version"] == "1"}
    assert arms == {"champion", "holdout"}
    live.start()  # as after a crash
    assert versions(live, 2) == kept

    # a release beside it: the same salt, and the holdout in no arm of it
    third = live.register(live.server("third"))
    with pytest.raises(Conflict, match="ST1593"):
        live.operations.start_rollout(live.model, third, HOLDING, actor="ann")
    with pytest.raises(Conflict, match="ST1593"):
        live.operations.start_rollout(live.model, third, SLOW, actor="ann", salt="another")
    beside_it = live.operations.start_rollout(live.model, third, SLOW, actor="ann")
    live.hour(2, UNITS)
    assert versions(live, 3) == expected(live.salt, beside(3_000, HELD), old="2", new="3", held="1")
    assert {d.rule for d in live.decisions(beside_it)} <= {"start", "min_duration"}, "no sample-ratio alarm"
    live.operations.by_hand(beside_it, "abort", reason="enough", actor="ann")
    assert versions(live, 3) == kept

    # a kill passes over it, as long as it lasts
    live.operations.kill(live.model, mode="previous", reason="drill", actor="ann")
    assert set(versions(live, 3).values()) == {"1"}
    live.operations.kill(live.model, mode="off", reason="drill", actor="ann")
    assert {one.answer.status for one in live.send(UNITS, live.t0 + 3 * live.hour_long)} == {503}
    live.operations.revive(live.model, reason="over", actor="ann")
    assert versions(live, 3) == kept

    for hour in range(3, 10):
        live.operations.advance(live.t0 + (hour + 1) * live.hour_long)
    assert set(versions(live, 10).values()) == {"2"}, "its time is over"
    assert (live.actions().count("holdout.begin"), live.actions().count("holdout.end")) == (1, 1)


def test_without_a_holdout_nobody_stays_and_a_rollback_ends_one(make: Any) -> None:
    live = make()
    live.adopt(live.server("first"))
    second = promoted(live, "second", PLAIN, 0, live.salt)
    assert set(versions(live, 2).values()) == {str(second)}, "the healthy control: everybody moved"
    with pytest.raises(NotFound, match="ST1592"):
        live.operations.release_holdout(live.model, reason="over", actor="ann")

    third = promoted(live, "third", HOLDING, 2, live.salt)
    assert versions(live, 4) == expected(live.salt, POINTS, old="3", new="3", held="2")
    with pytest.raises(UsageError, match="ST1591"):
        live.operations.release_holdout(live.model, reason=" ", actor="ann")
    assert live.operations.release_holdout(live.model, reason="enough", actor="ann")["rollout"] is None
    assert set(versions(live, 4).values()) == {str(third)}

    fourth = promoted(live, "fourth", HOLDING, 4, live.salt)
    assert set(versions(live, 6).values()) == {str(third), str(fourth)}
    live.operations.rollback(live.model, reason="bad", actor="ann")
    assert set(versions(live, 6).values()) == {str(third)}, "a rollback is for everybody"
