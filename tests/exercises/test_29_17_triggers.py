"""Exercise 29.17: what waits, until when, what may pass, and which of two reasons a run has."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from commandline import run_command
from seatrial.retrain.manager import Reading, checked, finished, from_start, observed, step
from seatrial.retrain.policy import Policy, Trigger

POLICY = Policy(
    model="engagement",
    primary="weekly",
    triggers=(
        Trigger(name="weekly", schedule="0 2 * * 0"),
        Trigger(name="drift", drift=0.25),
        Trigger(name="error", performance=0.05, min_mature=100),
    ),
)
SUNDAY = datetime(2026, 3, 1, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)


def trained() -> Any:
    """The weekly run of Sunday 02:00, over an hour later."""
    state, events = step(POLICY, from_start(SUNDAY), SUNDAY)
    assert [e.what for e in events] == ["started"]
    return finished(state, SUNDAY + HOUR, "registered")[0]


def measured(state: Any, at: datetime, psi: float, loss: float | None = None) -> Any:
    seen = Reading(at=at, psi={"user_engagement_rate": psi}, loss=loss, mature=1_000)
    return step(POLICY, observed(POLICY, state, seen), at)


def explained(capsys: Any, tmp_path: Path, history: list[dict[str, Any]], *more: str) -> Any:
    (tmp_path / "policy.yaml").write_text(yaml.safe_dump({"model": "engagement", "primary": "weekly", "triggers": [
        {"name": "weekly", "schedule": "0 2 * * 0"}, {"name": "drift", "drift": 0.25}]}))  # fmt: skip
    (tmp_path / "history.yaml").write_text(yaml.safe_dump(history))
    return run_command(
        capsys, "trigger", "explain", tmp_path / "policy.yaml", tmp_path / "history.yaml", "--json", *more
    )


def test_a_monday_at_three_is_25_hours_later_and_runs(capsys: Any, tmp_path: Path) -> None:
    history = [{"at": "2026-03-01 01:00"}, {"at": "2026-03-02 03:00", "drift": {"user_engagement_rate": 0.35}}]
    told = explained(capsys, tmp_path, history)
    assert [(run["trigger"], run["started"]) for run in told["runs"]] == [
        ("weekly", "2026-03-01T02:00:00+00:00"), ("drift", "2026-03-02T03:00:00+00:00")]  # fmt: skip
    assert not [event for event in told["events"] if event["what"] == "suppressed"]


def test_a_two_hours_earlier_it_waits_until_monday_at_two(capsys: Any, tmp_path: Path) -> None:
    history = [{"at": "2026-03-01 01:00"}, {"at": "2026-03-02 01:00", "drift": {"user_engagement_rate": 0.35}}]
    told = explained(capsys, tmp_path, history)
    suppressed = next(event for event in told["events"] if event["what"] == "suppressed")
    assert suppressed["suppressed_until"] == "2026-03-02T02:00:00+00:00"
    assert told["runs"][1]["started"] == "2026-03-02T02:00:00+00:00"
    daily = explained(capsys, tmp_path, history, "--every", "0 1 * * *", "--from", "2026-02-28T02:00")
    assert [run["started"][:16] for run in daily["runs"]] == ["2026-03-02T01:00"], (
        "weekly and drift, looked at once a day"
    )


def test_b_critical_drift_passes_and_exactly_half_does_not() -> None:
    for psi, what in ((0.35, "suppressed"), (0.5, "suppressed"), (0.51, "started")):
        state, events = measured(trained(), SUNDAY + 5 * HOUR, psi)
        assert [e.what for e in events] == [what]
        if what == "started":
            assert state.running.bypassed
            assert "critical, so within the interval" in events[0].reason
        else:
            assert events[0].until == SUNDAY + 24 * HOUR


def test_b_passing_has_a_limit_of_its_own() -> None:
    state, _ = measured(trained(), SUNDAY + 5 * HOUR, 0.51)
    state, events = measured(state, SUNDAY + 5.5 * HOUR, 0.9)
    assert [e.what for e in events] == ["waiting"], "a run is in progress"
    state, _ = finished(state, SUNDAY + 6 * HOUR, "registered")
    state, events = step(POLICY, state, SUNDAY + 6 * HOUR)
    assert [(e.what, e.until) for e in events] == [("suppressed", SUNDAY + 11 * HOUR)]
    state, events = step(POLICY, state, SUNDAY + 11 * HOUR)
    assert [e.what for e in events] == ["started"]


def test_b_what_waits_runs_at_the_end_or_has_recovered() -> None:
    state, _ = measured(trained(), SUNDAY + 5 * HOUR, 0.35)
    end = SUNDAY + 24 * HOUR
    assert step(POLICY, state, end - timedelta(microseconds=1))[1] == ()
    assert [e.what for e in step(POLICY, state, end)[1]] == ["started"], "at exactly its end"
    _, events = measured(state, SUNDAY + 20 * HOUR, 0.1)
    assert [e.what for e in events] == ["recovered"]


@pytest.mark.parametrize(
    "night", [datetime(2026, 3, 8, 7, 30), datetime(2026, 11, 1, 5, 30), datetime(2028, 2, 29, 12)]
)
def test_b_a_day_has_24_hours_whatever_the_clocks_say(night: datetime) -> None:
    """Around both changes of New York's clocks, and a leap day."""
    start = night.replace(tzinfo=UTC).astimezone(ZoneInfo("America/New_York"))
    seen = Reading(at=start, psi={"x": 0.4})
    state, events = step(POLICY, observed(POLICY, from_start(start), seen), start)
    assert events[-1].what == "started"
    state, _ = finished(state, start, "registered")
    before, after = (start.astimezone(UTC) + 24 * HOUR - gap for gap in (timedelta(seconds=1), timedelta(0)))
    late = observed(POLICY, state, Reading(at=start.astimezone(UTC) + HOUR, psi={"x": 0.4}))
    assert [e.what for e in step(POLICY, late, before)[1] if e.trigger == "drift"] == ["suppressed"]
    assert [e.what for e in step(POLICY, late, after)[1] if e.what == "started"] == ["started"]


def test_c_a_fault_of_the_data_is_no_reason_to_train() -> None:
    state = checked(trained(), "30% of user_engagement_rate are null")
    state, events = measured(state, SUNDAY + 30 * HOUR, 0.9, loss=0.2)
    assert [(e.what, e.trigger) for e in events] == [
        ("paged", "drift, error"), ("blocked", "drift"), ("blocked", "error")]  # fmt: skip
    state, events = step(POLICY, state, SUNDAY + 31 * HOUR)
    assert events == (), "paged once"
    state, events = step(POLICY, checked(state, None), SUNDAY + 32 * HOUR)
    assert [e.what for e in events] == ["started"]


def test_c_one_run_by_its_root_cause_whatever_came_first() -> None:
    at = SUNDAY + 30 * HOUR
    readings = [Reading(at=at, psi={"rate": 0.35}), Reading(at=at, loss=0.2, mature=500)]
    runs = []
    for order in permutations(readings):
        state = trained()
        for reading in order:
            state = observed(POLICY, state, reading)
        state, events = step(POLICY, state, at)
        assert [e.what for e in events] == ["started"]
        runs.append(state.running)
    assert runs[0] == runs[1]
    assert (runs[0].cause, runs[0].trigger.trigger) == ("inputs", "drift")
    assert [s.trigger for s in runs[0].evidence] == ["error"]
    state, _ = measured(trained(), at, 0.1, loss=0.2)
    assert (state.running.cause, state.running.trigger.trigger) == ("model", "error")
