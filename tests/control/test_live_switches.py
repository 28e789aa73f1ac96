"""Kill, revive and rollback while everything runs; a crash between routing a protective move and recording it."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from seatrial.control.ledger import Ledger
from seatrial.control.way_home import emergency
from seatrial.errors import Conflict, UsageError
from seatrial.gateway.kill import KillLatch, write_latch
from seatrial.store.db import Store
from seatrial.store.plans import parse_plan

pytestmark = pytest.mark.live

CANARY = parse_plan("""
name: canary
timeBucket: 1h
lookEvery: 15m
deadline: 10d
metrics: [{name: errors, kind: error_rate, margin: 10pp}]
steps: [{setWeight: 25%}, {pause: {duration: 2d}}]
""")


def test_kill_revive_and_rollback_in_a_rollout_and_after_promotion(make: Any) -> None:
    live = make()
    live.adopt(live.server("champion"))
    second, third = live.register(live.server("second")), live.register(live.server("third"))
    operations = live.operations

    # In a rollout: the candidate is out, and the kill outlives the controller.
    rollout = live.begin(second, CANARY)
    assert operations.split("fraud") == {"v1": 0.75, "v2": 0.25}
    told = operations.kill("fraud", mode="champion", reason="fire", actor="ann")
    assert told.split == {"v1": 1.0}
    assert told.took_ms > 0
    assert live.status(rollout) == "aborted"
    assert live.decisions(rollout)[-1].reason == "kill switch: fire"
    assert {s.answer.version for s in live.send(live.people(0, 20))} == {"1"}
    with pytest.raises(Conflict, match="is killed"):
        live.begin(third, CANARY)

    told = operations.kill("fraud", mode="off", reason="worse", actor="ann")
    assert told.split == {"off": 1.0}
    live.start()
    assert {s.answer.status for s in live.send(live.people(1, 5))} == {503}, "a new controller respects the latch"
    told = live.operations.revive("fraud", reason="over", actor="ann")
    assert told.split == {"v1": 1.0}
    assert {s.answer.status for s in live.send(live.people(2, 5))} == {200}
    assert live.actions().count("model.kill") == 2, "each kill once, whoever looks again"

    # A rollback in a rollout aborts it; traffic is where it was before.
    operations = live.operations
    rollout = live.begin(second, CANARY)
    told = operations.rollback("fraud", reason="complaints", actor="ann")
    assert (told.to, told.split) == ("v1", {"v1": 1.0})
    assert told.took_ms > 0
    assert live.status(rollout) == "aborted"
    again = operations.rollback("fraud", actor="ann")
    assert (again.changed, again.split) == (False, {"v1": 1.0}), "everybody is home already"
    assert "nothing to roll back" in again.text

    # After a promotion it brings the standby back; so does the kill of mode previous, for as long as it is there.
    rollout = live.begin(second, CANARY)
    with pytest.raises(UsageError, match="overrides the gates"):
        operations.by_hand(rollout, "promote", full=True, actor="ann")
    operations.by_hand(rollout, "promote", full=True, reason="agreed", actor="ann")
    assert operations.split("fraud") == {"v2": 1.0}
    assert {s.answer.version for s in live.send(live.people(3, 20))} == {"2"}
    assert operations.kill("fraud", mode="previous", reason="fire", actor="ann").split == {"v1": 1.0}
    assert operations.revive("fraud", reason="over", actor="ann").split == {"v2": 1.0}
    told = operations.rollback("fraud", reason="complaints", actor="ann")
    assert (told.to, told.split) == ("v1", {"v1": 1.0})
    assert told.took_ms > 0
    assert live.pointers()["champion"] == 1
    assert live.stages()[1] == "Production"
    assert live.stages()[second] == "Archived"
    assert {s.answer.version for s in live.send(live.people(4, 20))} == {"1"}
    live.start()
    assert live.operations.split("fraud") == {"v1": 1.0}


def test_an_abort_that_was_routed_but_not_recorded_is_made_good(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    live = make()
    candidate = live.server("candidate")
    live.adopt(live.server("champion"))
    rollout = live.begin(live.register(candidate), CANARY)
    live.hour(0, live.people(0, 120))
    assert live.weight() == 2500

    candidate.mode = "500"
    live.send(live.people(1, 240), live.t0 + live.hour_long)
    break_record_once(monkeypatch, "abort")
    with pytest.raises(RuntimeError, match="crash"):
        live.operations.advance(live.t0 + 2 * live.hour_long)
    assert (live.weight(), live.status(rollout)) == (0, "running"), "routed, not recorded"

    live.controller.reconcile()
    assert live.weight() == 0, "whatever makes routes anew, traffic does not return"
    live.start()
    assert (live.weight(), live.status(rollout)) == (0, "aborted")
    last = live.decisions(rollout)[-1]
    assert (last.action, last.rule) == ("abort", "guardrail_harm")
    assert live.actions().count("rollout.abort") == 1
    assert {s.answer.version for s in live.send(live.people(2, 40))} == {"1"}
    live.start()
    assert len(live.decisions(rollout)) == len({d.look for d in live.decisions(rollout)}), "recorded once"


@pytest.mark.parametrize("move", ["abort", "rollback"])
def test_by_hand_too_what_is_routed_stays_routed(make: Any, monkeypatch: pytest.MonkeyPatch, move: str) -> None:
    live = make()
    live.adopt(live.server("champion"))
    rollout = live.begin(live.register(live.server("candidate")), CANARY)
    if move == "abort":
        break_record_once(monkeypatch, "abort")
        with pytest.raises(RuntimeError, match="crash"):
            live.operations.by_hand(rollout, "abort", reason="wrong", actor="ann")
        live.start()
        assert live.status(rollout) == "aborted"
        assert live.decisions(rollout)[-1].actor == "ann"
    else:
        live.operations.by_hand(rollout, "promote", full=True, reason="agreed", actor="ann")
        crash_once(monkeypatch, "record_homecoming")
        with pytest.raises(RuntimeError, match="crash"):
            live.operations.rollback("fraud", reason="wrong", actor="ann")
        assert live.pointers()["champion"] == 2, "not recorded"
        assert {s.answer.version for s in live.send(live.people(0, 20))} == {"1"}, "but routed"
        live.start()
        assert live.pointers()["champion"] == 1
    assert {s.answer.version for s in live.send(live.people(1, 20))} == {"1"}


@pytest.mark.parametrize("past_the_controller", [False, True])
def test_a_latch_that_anybody_wrote_is_in_force_and_in_the_audit_log(make: Any, past_the_controller: bool) -> None:
    live = make()
    live.adopt(live.server("champion"))
    rollout = live.begin(live.register(live.server("candidate")), CANARY)
    if past_the_controller:
        assert emergency.kill(live.project, "fraud", "off", reason="smoke", actor="bob").split == {"off": 1.0}
    else:
        write_latch(live.project.kill_latches, KillLatch("fraud", "off", "bob", "smoke", live.t0))
    live.controller.tick()
    assert {s.answer.status for s in live.send(live.people(0, 5))} == {503}
    assert live.status(rollout) == "aborted"
    with live.store.read() as tx:
        (entry,) = [entry for entry in tx.audit.log(1000) if entry.action == "model.kill"]
    assert (entry.actor, entry.object) == ("bob", "fraud")


def test_a_kill_needs_no_store(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    live = make()
    live.adopt(live.server("champion"))
    rollout = live.begin(live.register(live.server("candidate")), CANARY)

    def broken(self: Store) -> Any:
        from seatrial.errors import Unavailable

        raise Unavailable("ST0611", "the store does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "begin", broken)
        patch.setattr(Store, "read", broken)
        assert live.operations.kill("fraud", mode="off", reason="fire", actor="ann").split == {"off": 1.0}
        assert {s.answer.status for s in live.send(live.people(0, 5))} == {503}
    live.controller.tick()
    assert live.status(rollout) == "aborted", "what the kill means is recorded when the store is back"
    assert live.operations.revive("fraud", reason="over", actor="ann").split == {"v1": 1.0}


def test_a_kill_does_not_wait_for_a_candidate_that_is_slow_to_come_up(make: Any) -> None:
    live = make()
    live.adopt(live.server("champion"))
    version = live.register(live.server("candidate", started=False))
    failed: list[Exception] = []

    def begin() -> None:
        try:
            live.begin(version, CANARY)
        except Conflict as error:
            failed.append(error)

    starting = threading.Thread(target=begin)
    starting.start()
    live.wait_for(lambda: f"fraud-{version}" in live.pids())
    assert live.operations.kill("fraud", mode="off", reason="fire", actor="ann").split == {"off": 1.0}
    assert starting.is_alive()
    live.servers[-1].start()
    starting.join()
    assert "is killed" in str(failed), "what was allowed when it began is not any more"
    live.wait_for(lambda: f"fraud-{version}" not in live.pids())


def break_record_once(monkeypatch: pytest.MonkeyPatch, action: str) -> None:
    crash_once(monkeypatch, "record", lambda move: f'"action":"{action}"' in move.decision)


def crash_once(monkeypatch: pytest.MonkeyPatch, name: str, when: Any = lambda *given: True) -> None:
    """The method raises where it would have acted, once."""
    real, left = getattr(Ledger, name), [1]

    def broken(self: Ledger, move: Any, *given: Any, **named: Any) -> Any:
        if left and when(move):
            left.clear()
            raise RuntimeError("crash")
        return real(self, move, *given, **named)

    monkeypatch.setattr(Ledger, name, broken)
