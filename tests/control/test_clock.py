"""Clocks that are set back, set forward or wrong: looks and leases go on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from seatrial.control import controller as controlling
from seatrial.control.clock import WallClock
from seatrial.store import fenced
from seatrial.store.db import Store
from seatrial.store.fenced import FencedStore
from seatrial.store.leases import LeaseHeld
from seatrial.store.plans import parse_plan

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOURS = timedelta(hours=3)
SECOND = timedelta(seconds=1)


class Machine:
    """A machine's two clocks: one that people set, one that only counts."""

    def __init__(self) -> None:
        self.wall, self.steady = NOON, 100.0

    def pass_by(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.steady += seconds

    def clock(self) -> WallClock:
        return WallClock(lambda: self.wall, lambda: self.steady)


def test_time_goes_on_when_the_clock_is_set_back() -> None:
    machine = Machine()
    clock = machine.clock()
    assert clock.now() == NOON
    machine.pass_by(10)
    assert clock.now() == NOON + 10 * SECOND
    machine.wall -= HOURS
    assert clock.now() == NOON + 10 * SECOND
    machine.pass_by(5)
    assert clock.now() == NOON + 15 * SECOND, "at its own pace"
    machine.wall += 2 * HOURS
    assert clock.now() == machine.wall, "and again the machine's when that is ahead"


def test_a_small_step_back_is_caught_up_with() -> None:
    machine = Machine()
    clock = machine.clock()
    clock.now()
    machine.wall -= SECOND
    seen = []
    for _ in range(100):
        machine.pass_by(0.25)
        machine.wall += timedelta(milliseconds=20)  # NTP slews
        seen.append(clock.now())
    assert seen == sorted(seen)
    assert seen[-1] == machine.wall


def test_many_readings_do_not_make_time_run() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.wall -= HOURS
    clock.not_before(NOON)
    for _ in range(1000):
        machine.pass_by(0.001)
        clock.now()
    assert clock.now() == NOON + SECOND


def test_a_restart_does_not_set_time_back() -> None:
    machine = Machine()
    machine.wall -= HOURS
    clock = machine.clock()
    clock.not_before(NOON)
    machine.pass_by(1)
    assert clock.now() == NOON + SECOND
    clock.not_before(NOON - HOURS)
    assert clock.now() == NOON + SECOND


# ── looks ──────────────────────────────────────────────────────────────────────────────────────────────────────────

PLAN = parse_plan("""
name: clocks
lookEvery: 30s
deadline: 10d
metrics: [{name: errors, kind: error_rate, margin: 10pp}]
steps: [{setWeight: 25%}, {pause: {duration: 5d}}]
""")


@pytest.mark.live
def test_no_look_is_left_out_or_taken_twice(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine()
    machine.wall = datetime.now(UTC)  # Envoy stamps events with the real one
    monkeypatch.setattr(controlling, "WallClock", machine.clock)
    live = make(clock="wall")
    looks: list[datetime] = []
    candidate = live.server("candidate")
    live.adopt(live.server("champion"))
    rollout = live.begin(live.register(candidate), PLAN)

    def watch() -> None:
        real = live.controller.looks.act

        def act(release: Any, looked: Any, *more: Any) -> None:
            looks.append(looked.decision.at)
            real(release, looked, *more)

        monkeypatch.setattr(live.controller.looks, "act", act)

    def minutes(n: int) -> None:
        for _ in range(n):
            machine.pass_by(60)
            live.controller.tick()

    watch()
    minutes(2)
    machine.wall -= HOURS
    minutes(2)
    live.start()
    watch()
    minutes(2)
    assert len(looks) == 11, "six minutes, less what is not captured for sure"
    machine.wall += HOURS + timedelta(minutes=10)
    minutes(1)
    assert len(looks) == 11 + 22, "a step forward is made up for, look by look"
    candidate.mode = "500"
    live.send(live.people(0, 400))
    live.wait_for(lambda: live.controller.tick() or live.captured(rollout).total() >= 400)
    minutes(2)
    since = live.decisions(rollout)[0].at
    assert looks == [since + (n + 1) * PLAN.look_every.delta for n in range(len(looks))], "each on its tick, once"
    assert live.status(rollout) == "aborted", "harm is found whatever the clock says"


# ── leases ─────────────────────────────────────────────────────────────────────────────────────────────────────────

TTL = timedelta(seconds=20)


class Clocks:
    """Stands for the modules ``datetime`` and ``time`` of the lease."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall, self.steady = NOON, 0.0
        monkeypatch.setattr(fenced, "datetime", self)
        monkeypatch.setattr(fenced, "time", self)

    def now(self, zone: Any) -> datetime:
        return self.wall

    def monotonic(self) -> float:
        return self.steady


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    return Clocks(monkeypatch)


@pytest.mark.parametrize("jump", [timedelta(0), HOURS, -HOURS])
def test_a_lease_is_kept_whatever_the_clock_says(clocks: Clocks, tmp_path: Path, jump: timedelta) -> None:
    with Store.open(tmp_path / "store.db") as store:
        first, second = (FencedStore(store, "controller", name, TTL) for name in ("first", "second"))
        first.take()
        clocks.wall += jump
        for _ in range(10):
            clocks.steady += 11
            clocks.wall += timedelta(seconds=11)
            first.renew()
            with pytest.raises(LeaseHeld):
                second.take()
        with first.begin() as tx:
            assert tx.leases.last("controller").expires_at <= clocks.wall + TTL


@pytest.mark.parametrize("ahead", [timedelta(0), HOURS])
def test_the_lease_of_one_that_died_runs_out_even_if_its_clock_was_ahead(
    clocks: Clocks, tmp_path: Path, ahead: timedelta
) -> None:
    with Store.open(tmp_path / "store.db") as store:
        first, second = (FencedStore(store, "controller", name, TTL) for name in ("first", "second"))
        clocks.wall += ahead
        first.take()
        clocks.wall -= ahead
        for _ in range(19):
            clocks.steady += 1
            clocks.wall += SECOND
            with pytest.raises(LeaseHeld):
                second.take()
        clocks.steady += 3
        clocks.wall += 3 * SECOND
        second.take()
        with second.begin() as tx:
            assert tx.leases.last("controller").holder == "second"
