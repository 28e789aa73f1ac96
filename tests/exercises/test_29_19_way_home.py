"""Exercise 29.19: rollback under load, its four times apart, and what it refuses. The numbers: tests/cli."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from livesystem import Live
from seatrial.client import Client
from seatrial.control.documents import catalog
from seatrial.control.documents.ways_home import way_home_text
from seatrial.errors import Conflict, Unavailable
from seatrial.registry.safety import Safety
from seatrial.rollout.way_home import affected
from seatrial.store.plans import parse_plan

QUARTER = parse_plan("""
name: quarter
timeBucket: 1h
lookEvery: 1s
deadline: 10d
metrics: [{name: errors, kind: error_rate, margin: 5pp, limit: 20%}]
steps: [{setWeight: 25%}, {pause: {duration: 2d}}]
""")


@contextmanager
def users(live: Live) -> Iterator[list[tuple[int, str]]]:
    """Four people who ask all the time; status and version of every answer."""
    seen: list[tuple[int, str]] = []
    stopping = threading.Event()

    def ask(name: int) -> None:
        client, n = Client(live.project.config.gateway.url, timeout_s=10), 0
        while not stopping.is_set():
            n += 1
            unit = f"user-{name}-{n % 200}"
            answer = client.predict(live.model, {"dataframe_records": [{"unit": unit}]}, unit=unit)
            seen.append((answer.status, answer.version))
            stopping.wait(0.01)
        client.close()

    threads = [threading.Thread(target=ask, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        stopping.set()
        for thread in threads:
            thread.join()


def way_home(live: Live, rollout: str) -> dict[str, Any]:
    """The last one of a rollout, once it is recorded."""

    def last() -> dict[str, Any] | None:
        with live.store.read() as tx:
            ways: list[dict[str, Any]] = catalog.rollout(tx, rollout, {})["waysHome"]
        return ways[-1] if ways else None

    found: dict[str, Any] = live.wait_for(last)
    return found


def entries(live: Live, action: str) -> list[dict[str, Any]]:
    with live.store.read() as tx:
        return [json.loads(entry.detail) for entry in tx.audit.log(1000) if entry.action == action]


@pytest.mark.live
@pytest.mark.slow
def test_a_rollback_under_load_loses_nobody_and_tells_its_times_apart(make: Any) -> None:
    live = make(clock="wall")
    live.adopt(live.server("champion"))
    second = live.register(live.server("second"))
    rollout = live.begin(second, QUARTER)
    with users(live) as seen:
        live.wait_for(lambda: {version for _, version in seen} == {"1", "2"})
        noticed = datetime.now(UTC) - timedelta(seconds=60)
        told = live.operations.rollback("fraud", reason="p99 is 120 ms", actor="ann", since=noticed)
        mark = len(seen)
        live.wait_for(lambda: len(seen) > mark + 100)
        way = way_home(live, rollout)
    assert (told.to, told.split, told.changed) == ("v1", {"v1": 1.0}, True)
    assert "v1 answered" in told.proven
    assert {status for status, _ in seen} == {200}, "nobody met an error"
    assert {version for _, version in seen[mark + 4 :]} == {"1"}, "those in flight apart, nobody met v2 any more"
    seconds = way["seconds"]
    assert seconds["detection"] >= 60, "counted from when somebody noticed"
    assert all(seconds[part] is not None and seconds[part] >= 0 for part in ("decision", "switch", "drain"))
    assert seconds["switch"] < seconds["detection"]
    assert way["affected"] == pytest.approx(affected(way["ratePerHour"], 0.25, sum(seconds.values())))
    assert way["ratePerHour"] > 0
    assert "detection 60" in way_home_text(way)
    assert entries(live, "traffic.home")[0]["seconds"] == seconds

    again = live.operations.rollback("fraud", reason="twice", actor="bob")
    assert (again.changed, again.split) == (False, {"v1": 1.0})
    assert live.actions().count("rollout.abort") == 1


@pytest.mark.live
@pytest.mark.slow
def test_an_automatic_way_home_counts_detection_from_the_first_error(make: Any) -> None:
    live = make(clock="wall")
    candidate = live.server("candidate")
    live.adopt(live.server("champion"))
    version = live.register(candidate)
    live.run()
    rollout = live.begin(version, QUARTER)
    with users(live) as seen:
        live.wait_for(lambda: sum(version == "2" for _, version in seen) > 40)
        candidate.mode = "500"
        live.wait_for(lambda: live.status(rollout) == "aborted", 60)
        way = way_home(live, rollout)
    assert {status for status, _ in seen} == {200}, "the chain answered"
    seconds = way["seconds"]
    assert way["actor"] == "seatrial"
    assert 0 <= seconds["detection"] < (live.decisions(rollout)[-1].at - live.decisions(rollout)[0].at).total_seconds()
    assert seconds["decision"] > 0, "the look was due before it was taken"
    assert seconds["drain"] is not None


@pytest.mark.live
@pytest.mark.slow
def test_nobody_is_sent_to_a_dead_standby_while_the_champion_answers(make: Any) -> None:
    live = make(clock="wall")
    first, second = live.server("first"), live.server("second")
    live.adopt(first)
    rollout = live.begin(live.register(second), QUARTER)
    live.operations.by_hand(rollout, "promote", full=True, reason="agreed", actor="ann")
    live.send(live.people(0, 10), datetime.now(UTC))
    first.die()
    with pytest.raises(Unavailable, match="v1 does not answer, and v2 does"):
        live.operations.rollback("fraud", reason="complaints", actor="ann")
    assert live.operations.split("fraud") == {"v2": 1.0}, "traffic stays where somebody answers"
    assert live.pointers() == {"champion": 2, "previous": 1}
    with pytest.raises(Unavailable, match="v1 does not answer"):
        live.operations.undo(rollout, actor="ann")

    first.start()
    told = live.operations.undo(rollout, reason="second thoughts", actor="ann")
    assert (told.to, told.split) == ("v1", {"v1": 1.0}), "once it answers, it is the way home"
    assert way_home(live, rollout)["action"] == "rollback", "told with the rollout that it undoes"
    assert not live.operations.undo(rollout, actor="ann").changed
    assert not live.operations.rollback("fraud", actor="ann").changed


@pytest.mark.live
@pytest.mark.slow
def test_where_neither_answers_the_chain_decides_and_force_goes_anyway(make: Any) -> None:
    live = make(clock="wall")
    first, second = live.server("first"), live.server("second")
    live.adopt(first)
    rollout = live.begin(live.register(second), QUARTER)
    live.operations.by_hand(rollout, "promote", full=True, reason="agreed", actor="ann")
    live.send(live.people(0, 10), datetime.now(UTC))
    first.die()
    assert live.operations.rollback("fraud", actor="ann", force=True).split == {"v1": 1.0}

    third = live.register(live.server("third"))
    rollout = live.begin(third, QUARTER)
    live.servers[-1].die()
    told = live.operations.rollback("fraud", actor="ann")
    assert (told.split, live.status(rollout)) == ({"v1": 1.0}, "aborted")
    assert "neither v1 nor v3 answers" in told.proven


@pytest.mark.live
@pytest.mark.slow
def test_a_promotion_is_undone_for_as_long_as_its_champion_stands_by(make: Any) -> None:
    live = make(clock="wall", more="standby: {retention: 1s}")
    live.adopt(live.server("first"))
    one = live.begin(live.register(live.server("second")), QUARTER)
    live.operations.by_hand(one, "promote", full=True, reason="agreed", actor="ann")
    live.wait_for(lambda: live.controller.standbys.take() or "previous" not in live.pointers())
    assert live.stages()[1] == "Archived"
    with pytest.raises(Conflict, match="v1 does not stand by any more"):
        live.operations.undo(one, actor="ann")
    assert "nothing to roll back" in live.operations.rollback("fraud", actor="ann").text

    live.operations.secure("fraud", Safety(standby="warm"), actor="ann")
    two = live.begin(live.register(live.server("third")), QUARTER)
    aborted = live.operations.rollback("fraud", actor="ann")
    assert (aborted.to, live.status(two)) == ("v2", "aborted")
    assert not live.operations.undo(two, actor="ann").changed
