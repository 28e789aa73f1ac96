"""A controller that dies at any point: the next takes the same looks, on the same evidence, to the same decisions."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from seatrial.control.capture.collector import Collector
from seatrial.control.controller import Controller
from seatrial.control.looks import Looks
from seatrial.control.traffic import Traffic
from seatrial.events import parts
from seatrial.events.log import Progress
from seatrial.store.plans import parse_plan

pytestmark = pytest.mark.live

PLAN = parse_plan("""
name: restarts
timeBucket: 1h
lookEvery: 30m
deadline: 10d
metrics:
  - {name: loss, kind: loss, loss: absolute, outcome: y, horizon: 30m, margin: 20%}
  - {name: errors, kind: error_rate, margin: 10pp}
steps:
  - shadow: {share: 100%}
  - pause: {duration: 1h}
  - analysis: {minPairs: 200}
  - setWeight: 50%
  - pause: {duration: 2h}
""")
CANARY = parse_plan("""
name: canary
lookEvery: 1h
deadline: 10d
metrics: [{name: errors, kind: error_rate, margin: 10pp}]
steps: [{setWeight: 25%}, {pause: {duration: 5d}}]
""")
UNITS = (240, 100, 110, 110, 100, 100)
SICK = 3
"""The hour in which the candidate answers with errors."""


class Crash(BaseException):
    """No code gets to handle the end of its process."""


def replay(live: Any, each_hour: Any) -> list[tuple[Any, ...]]:
    """The same hours of traffic; ``each_hour(n, sent, to)`` moves the clock. Everything that was decided."""
    candidate = live.server("candidate")
    live.adopt(live.server("champion"))
    rollout = live.begin(live.register(candidate), PLAN)
    for n, count in enumerate(UNITS):
        candidate.mode = "500" if n == SICK else "good"
        sent = live.send(live.people(n, count), live.t0 + n * live.hour_long)
        assert [s.answer for s in sent if not s.answer.ok] == []
        live.report(sent)
        each_hour(n, live.t0 + (n + 1) * live.hour_long)
    with live.store.read() as tx:
        stored = tx.decisions.list(rollout)
        assert tx.audit.verify().ok
    return [(d.at, d.action, d.step, d.rule, d.evidence_digest) for d in stored]


@pytest.mark.slow
def test_restarts_change_no_decision_and_no_evidence(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    straight = make("straight")
    wanted = replay(straight, lambda n, to: straight.operations.advance(to))
    assert {action for _, action, _, _, _ in wanted} >= {"start", "hold", "advance", "step_back"}
    assert all(digest for _, action, _, _, digest in wanted if action != "start")

    live = make("broken")

    def crash(owner: Any, name: str, *, after: bool = False) -> None:
        """The named function ends the process, once."""
        real = getattr(owner, name)

        def end(*given: Any, **named: Any) -> Any:
            monkeypatch.setattr(owner, name, real)
            if after:
                real(*given, **named)
            raise Crash

        monkeypatch.setattr(owner, name, end)

    def advance_with_a_crash(to: Any) -> None:
        with pytest.raises(Crash):
            live.operations.advance(to)
        live.start()
        live.operations.advance(to)

    def each_hour(n: int, to: Any) -> None:
        before = live.pids()
        half = to - live.hour_long / 2
        if n == 0:  # after the traffic, before anything is collected
            live.start()
        if n == 1:  # a part is written, how far it reaches is not
            crash(Progress, "save")
            advance_with_a_crash(half)
        if n == 2:  # the clock has moved, no look was taken
            crash(Controller, "take_looks")
            advance_with_a_crash(half)
        if n == 3:  # between two looks, right after one was recorded
            crash(Looks, "act", after=True)
            advance_with_a_crash(half)
        if n == 4:  # everything of one log is collected, nothing of the other
            crash(Collector, "_missing")
            advance_with_a_crash(half)
        assert live.pids() == before, "Envoy and hosts went on"
        live.operations.advance(to)
        live.start()

    assert replay(live, each_hour) == wanted


def test_a_way_home_that_was_decided_and_not_routed_is_gone_on_with(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    live = make()
    candidate = live.server("candidate")
    live.adopt(live.server("champion"))
    rollout = live.begin(live.register(candidate), CANARY)
    assert live.weight() == 2500

    def end(*given: Any) -> None:
        raise Crash

    with monkeypatch.context() as patch:  # the journal has it, Envoy does not
        patch.setattr(Traffic, "reroute", end)
        with pytest.raises(Crash):
            live.operations.by_hand(rollout, "abort", reason="wrong", actor="ann")
    assert (live.weight(), live.status(rollout)) == (2500, "running")
    live.start()
    assert (live.weight(), live.status(rollout)) == (0, "aborted")
    assert live.actions().count("rollout.abort") == 1
    assert {s.answer.version for s in live.send(live.people(0, 40))} == {"1"}


def test_a_disk_that_refuses_once_loses_nothing(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    live = make()
    live.adopt(live.server("champion"))
    rollout = live.begin(live.register(live.server("candidate")), PLAN)
    sent = live.send(live.people(0, 60))
    real = parts.write_part
    left = [1]

    def full(*given: Any, **named: Any) -> Any:
        if left:
            left.clear()
            raise OSError(28, "No space left on device")
        return real(*given, **named)

    monkeypatch.setattr(parts, "write_part", full)
    with pytest.raises(OSError, match="No space"):
        live.operations.advance(live.t0 + live.hour_long)
    live.operations.advance(live.t0 + live.hour_long)
    assert sum(n for (_, arm), n in live.captured(rollout).items() if arm != "shadow") == len(sent)
    assert live.captured(rollout) == live.counted(rollout)
    found = live.controller.collector.captured(rollout)
    assert found
    assert all(c.logged == c.counted for c in found.values())


def test_a_new_controller_does_not_wait_for_what_is_over(make: Any) -> None:
    live = make()
    live.adopt(live.server("champion"))
    version = live.register(live.server("candidate"))
    first = live.begin(version, PLAN)
    live.hour(0, live.people(0, 30))
    live.operations.by_hand(first, "abort", reason="wrong", actor="ann")
    live.start()
    second = live.begin(version, PLAN)
    live.hour(1, live.people(1, 30))
    assert live.captured(second)[1, "champion"] == 30

    live.controller.stop()
    opened = [os.readlink(path) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    assert [path for path in opened if path.startswith(str(live.project.root)) and "store.db" not in path] == []
    with live.store.read() as tx:
        assert tx.leases.get("controller", datetime.now(UTC)) is None
    assert live.controller.missing() == "the controller has not started"
    assert live.send(["someone"])[0].answer.ok, "traffic goes on"


def test_an_envoy_that_dies_is_started_again_and_nothing_is_counted_as_lost(make: Any) -> None:
    live = make()
    live.adopt(live.server("champion"))
    rollout = live.begin(live.register(live.server("candidate")), PLAN)
    live.send(live.people(0, 40))
    live.wait_for(lambda: sum(live.counted(rollout).values()) >= 80)
    live.controller.envoy.stop()
    live.controller.tick()
    sent = live.hour(0, live.people(1, 40))
    assert all(s.answer.ok for s in sent)
    found = live.controller.collector.captured(rollout)
    assert found[1, "champion"].logged == found[1, "champion"].counted == 80
    assert live.captured(rollout)[1, "champion"] == 80


def test_an_envoy_that_is_killed_takes_unwritten_lines_with_it_and_the_replay_goes_on(make: Any) -> None:
    live = make()
    live.adopt(live.server("champion"))
    rollout = live.begin(live.register(live.server("candidate")), PLAN)
    sent = live.send(live.people(0, 40))
    live.wait_for(lambda: sum(live.counted(rollout).values()) >= 80)
    live.controller._drain()  # Envoy is asked for its counters
    os.kill(live.pids()["envoy"], signal.SIGKILL)
    live.wait_for(lambda: live.controller.envoy.pid is None)
    live.controller.tick()
    more = live.hour(0, live.people(1, 40))
    live.hour(1, live.people(2, 40))
    there = live.captured(rollout)[1, "champion"]
    assert len(more) + 40 <= there <= len(sent) + len(more) + 40
    found = live.controller.collector.captured(rollout)[1, "champion"]
    assert (found.logged, found.counted, found.lost) == (there, 120, 120 - there)


def test_a_host_that_dies_is_started_again_on_its_port(make: Any) -> None:
    live = make()
    live.adopt(live.server("champion"))
    before = live.pids()
    os.kill(before["fraud-1"], signal.SIGKILL)
    assert live.wait_for(lambda: live.controller.missing() == "the host of fraud v1 is not running")
    live.controller.tick()
    assert live.wait_for(lambda: live.send(["someone"])[0].answer.ok)
    live.wait_for(lambda: not live.controller.tick() and live.controller.missing() == "")
    after = live.pids()
    assert after["envoy"] == before["envoy"]
    assert after["fraud-1"] != before["fraud-1"]
