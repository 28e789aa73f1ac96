"""Evidence with holes: captured requests are reconciled with Envoy's own count, in replayed and in real time."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from seatrial.gateway.envoy import Envoy
from seatrial.store.plans import parse_plan

pytestmark = pytest.mark.live

PLAN = """
name: capture
timeBucket: 1h
lookEvery: {look}
deadline: 10d
metrics: [{{name: errors, kind: error_rate, margin: 10pp}}]
steps: [{{setWeight: 50%}}, {{pause: {{duration: 2d}}}}]
"""
HOURS, SECONDS = parse_plan(PLAN.format(look="1h")), parse_plan(PLAN.format(look="1s"))


def test_a_gap_holds_and_after_three_looks_takes_the_canary_out(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    live = make()
    live.adopt(live.server("champion"))
    rollout = live.begin(live.register(live.server("candidate")), HOURS)
    for hour in range(3):
        live.hour(hour, live.people(hour, 60))
    assert {rule for _, _, rule in live.told(rollout)} == {"start", "min_duration"}, "nothing is missing"

    real = Envoy.counters

    def fewer(self: Envoy) -> Any:
        return {key: n - 30 if key[0] == rollout and key[2] == "canary" else n for key, n in real(self).items()}

    monkeypatch.setattr(Envoy, "counters", fewer)
    for hour in range(3, 6):
        live.hour(hour, live.people(hour, 60))
    decisions = live.decisions(rollout)
    assert [(d.action, d.rule) for d in decisions[-3:]] == [("hold", "capture_loss")] * 2 + [("abort", "capture_loss")]
    assert "Envoy counted" in decisions[-1].reason
    assert live.weight() == 0


@pytest.mark.slow
def test_in_real_time_a_healthy_canary_goes_on_and_errors_end_it_after_few(make: Any) -> None:
    live = make(clock="wall")
    candidate = live.server("candidate")
    live.adopt(live.server("champion"))
    rollout = live.begin(live.register(candidate), SECONDS)
    live.run()
    with traffic(live) as sent:
        live.wait_for(lambda: look(live, rollout) >= 3)
        assert live.status(rollout) == "running"
        assert {rule for _, _, rule in live.told(rollout)} == {"start", "min_duration"}, "no alarm of any kind"
        assert live.controller.missing() == ""

        candidate.mode = "500"
        live.wait_for(lambda: live.status(rollout) == "aborted")
    last = live.decisions(rollout)[-1]
    assert last.rule == "guardrail_harm"
    assert live.weight() == 0
    assert [s.answer for s in sent if not s.answer.ok] == [], "users saw nothing"
    errors = [row for row in live.events().to_pylist() if row["error"] and row["time"] <= last.at]
    assert {row["arm"] for row in errors} == {"canary"}
    assert len([row for row in errors if row["time"] <= last.at - 2 * SECONDS.look_every.delta]) < 60, "two looks late"


def look(live: Any, rollout: str) -> int:
    from seatrial.control.states import state_from_json

    with live.store.read() as tx:
        return state_from_json(tx.rollouts.get(rollout).state).look


@contextmanager
def traffic(live: Any) -> Iterator[list[Any]]:
    """Requests of ever new units, until the block ends."""
    sent: list[Any] = []
    stop = threading.Event()

    def flow() -> None:
        for n in itertools.count(1000):
            if stop.is_set():
                return
            sent.extend(live.send(live.people(n, 60)))

    thread = threading.Thread(target=flow)
    thread.start()
    try:
        yield sent
    finally:
        stop.set()
        thread.join()
