"""The manager as a state machine: whatever happens in whatever order, its promises hold."""

from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from seatrial.retrain.manager import Reading, State, asked, checked, finished, from_start, observed, step, wakes
from seatrial.retrain.policy import Critical, Policy, Trigger
from seatrial.retrain.shift import Distance
from seatrial.values import Duration

T0 = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday
HOUR = timedelta(hours=1)
POLICY = Policy(
    model="churn",
    primary="inputs",
    interval=Duration.parse("24h"),
    critical=Critical(psi=0.5, interval=Duration.parse("6h")),
    triggers=(
        Trigger(name="inputs", drift=0.25),
        Trigger(name="distance", drift=0.1, measure="ks"),
        Trigger(name="error", performance=0.05, min_mature=100),
        Trigger(name="weekly", schedule="0 2 * * 0"),
        Trigger(name="rows", volume=10_000),
        Trigger(name="by-hand", manual=True),
        Trigger(name="upstream", webhook=True),
    ),
)


def drift(state: State, at: datetime, psi: float) -> State:
    return observed(POLICY, state, Reading(at=at, psi={"amount": psi}))


def whats(events: Any) -> list[str]:
    return [event.what for event in events]


class Manager(RuleBasedStateMachine):
    """Readings, requests, faults of data and ends of runs, at random times and in random order."""

    def __init__(self) -> None:
        super().__init__()
        self.state, self.now = from_start(T0), T0
        self.starts: list[Any] = []

    @rule(hours=st.sampled_from([0, 0.5, 1, 5, 6, 18, 24, 30]))
    def look(self, hours: float) -> None:
        self.now += timedelta(hours=hours)
        before = self.state
        self.state, events = step(POLICY, before, self.now)
        assert step(POLICY, before, self.now) == (self.state, events), "a function of what it is given"
        started = [event for event in events if event.what == "started"]
        assert len(started) <= 1
        if started:
            assert before.running is None, "one run at a time"
            assert before.checks_failed is None, "none on data whose checks fail"
            run = self.state.running
            assert run is not None
            opens = before.last_start is None or self.now >= before.last_start + POLICY.interval.delta
            people = {"manual", "webhook"} & {s.kind for s in (run.trigger, *run.evidence)}
            assert opens or people or run.bypassed
            if (moved := run.trigger.moved) is not None:
                assert moved.adjusted < POLICY.watch.alpha, "sure"
                assert moved.distance.value >= 0.1, "and far"
            if run.bypassed:
                assert run.trigger.critical
                assert before.last_bypass is None or self.now >= before.last_bypass + POLICY.critical.interval.delta
            self.starts.append(run)

    @rule(value=st.sampled_from([0.0999, 0.1, 0.28, 0.281]), p=st.sampled_from([0.0, 0.01, 0.5]))
    def distance(self, value: float, p: float) -> None:
        far = {"amount": Distance(value=value, p_value=p, n_ref=900, n_cur=900)}
        self.state = observed(POLICY, self.state, Reading(at=self.now, ks=far))

    @rule(psi=st.sampled_from([0.1, 0.25, 0.26, 0.5, 0.51, 0.9]))
    def drifts(self, psi: float) -> None:
        self.state = drift(self.state, self.now, psi)

    @rule(loss=st.sampled_from([0.01, 0.05, 0.2]), mature=st.sampled_from([10, 1000]))
    def performs(self, loss: float, mature: int) -> None:
        self.state = observed(POLICY, self.state, Reading(at=self.now, loss=loss, mature=mature))

    @rule(name=st.sampled_from(["by-hand", "upstream"]))
    def asks(self, name: str) -> None:
        self.state = asked(POLICY, self.state, name, self.now, "ann")

    @rule(failure=st.sampled_from([None, "half of amount is null"]))
    def checks(self, failure: str | None) -> None:
        self.state = checked(self.state, failure)

    @precondition(lambda self: self.state.running is not None)
    @rule()
    def ends(self) -> None:
        self.state, _ = finished(self.state, self.now, "registered as version 7")

    @invariant()
    def runs_are_numbered_and_what_waits_waits_for_something(self) -> None:
        assert [run.number for run in self.starts] == list(range(1, len(self.starts) + 1))
        assert self.state.runs == len(self.starts)
        if self.state.latched and self.state.latched[0].until is not None:
            assert self.state.latched[0].until > self.state.looked
        assert (wakes(POLICY, self.state) or self.now) > self.state.looked

    def teardown(self) -> None:
        """Nothing that was asked for is lost: once faults and runs are over, it runs."""
        waiting = self.state.asked
        self.state = checked(self.state, None)
        if self.state.running is not None:
            self.state, _ = finished(self.state, self.now, "done")
        state, events = step(POLICY, self.state, self.now + 2 * timedelta(days=1))
        if waiting:
            assert "started" in whats(events)
            assert state.running is not None
            run = state.running
            assert {s.trigger for s in waiting} <= {s.trigger for s in (run.trigger, *run.evidence)}


Manager.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestManager = Manager.TestCase


def test_the_order_of_arrival_does_not_matter() -> None:
    def all_of(order: tuple[int, ...]) -> Any:
        state = from_start(T0)
        acts = [
            lambda s: drift(s, T0, 0.4),
            lambda s: observed(POLICY, s, Reading(at=T0, loss=0.2, mature=500)),
            lambda s: observed(POLICY, s, Reading(at=T0, psi={"city": 0.3})),
            lambda s: observed(POLICY, s, Reading(at=T0, rows=20_000)),
        ]
        for place in order:
            state = acts[place](state)
        return step(POLICY, state, T0 + HOUR)[0].running

    found = [all_of(order) for order in permutations(range(4))]
    assert all(run == found[0] for run in found)
    assert (found[0].cause, found[0].trigger.trigger) == ("inputs", "inputs")
    assert [s.trigger for s in found[0].evidence] == ["error", "rows"]


def test_a_late_reading_changes_nothing_and_an_answered_one_does_not_fire_again() -> None:
    state = drift(drift(from_start(T0), T0 + HOUR, 0.1), T0, 0.9)
    state, events = step(POLICY, state, T0 + 2 * HOUR)
    assert events == ()
    state, events = step(POLICY, drift(state, T0 + 3 * HOUR, 0.4), T0 + 3 * HOUR)
    assert whats(events) == ["started"]
    state, _ = finished(state, T0 + 4 * HOUR, "done")
    assert step(POLICY, state, T0 + 60 * HOUR)[1] == ()


def test_runs_that_fell_due_while_nobody_was_there_are_told_and_run_once() -> None:
    state, events = step(POLICY, from_start(T0), T0 + timedelta(days=21))
    assert whats(events) == ["missed", "started"]
    assert "2 times when it was due: 2026-03-08 02:00 to 2026-03-15 02:00" in events[0].reason
    assert state.runs == 1


def test_a_volume_and_too_few_outcomes() -> None:
    few = observed(POLICY, from_start(T0), Reading(at=T0, loss=0.9, mature=99))
    assert step(POLICY, few, T0 + HOUR)[1] == ()
    enough = observed(POLICY, few, Reading(at=T0 + HOUR, loss=0.9, mature=100))
    assert whats(step(POLICY, enough, T0 + HOUR)[1]) == ["started"]
    for rows, fires in ((9_999, 0), (10_000, 1)):
        state = observed(POLICY, from_start(T0), Reading(at=T0, rows=rows))
        assert len(step(POLICY, state, T0 + HOUR)[1]) == fires


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="no manual trigger"):
        asked(POLICY, from_start(T0), "weekly", T0, "ann")
    with pytest.raises(ValueError, match="no run"):
        finished(from_start(T0), T0, "done")
    with pytest.raises(ValueError, match="does not go back"):
        step(POLICY, from_start(T0), T0 - HOUR)
