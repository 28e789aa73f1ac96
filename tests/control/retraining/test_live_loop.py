"""The loop around real traffic: inputs that move are seen, trained on and released; the same ones are let alone."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from livesystem import HOUR, T0, Live, Sent, fraction
from seatrial.client import Client
from seatrial.control.retraining import documents
from seatrial.control.retraining.desk import RetrainingDesk, launchers
from seatrial.control.retraining.loop import Loop
from seatrial.events.outcomes import Outcome
from seatrial.registry.contract import Contract
from trainings import policy

PLAN = """
name: quick
timeBucket: 1h
lookEvery: 15m
deadline: 10d
metrics:
  - {name: errors, kind: error_rate, margin: 10pp}
steps:
  - setWeight: 10%
  - pause: {duration: 2h}
  - analysis: {minUnits: 20}
  - setWeight: 25%
  - pause: {duration: 2h}
"""
ROWS = 300


class Numbers:
    """Traffic of a model of one number, whose truth is its sign."""

    def __init__(self, live: Live) -> None:
        self.live = live
        live.operations.adopt(live.model, self._server().url, actor="ann", contract=Contract(features=("*",)))
        (live.project.root / "plans").mkdir()
        (live.project.root / "plans" / "quick.yaml").write_text(PLAN)

    def _server(self) -> Any:
        server = self.live.server("champion")
        server.predict = lambda row: 0.5  # type: ignore[method-assign]
        return server

    def hour(self, n: int, shift: float) -> None:
        rows = [(f"unit-{n}-{k}", 4 * fraction("x", n, k) - 2 + shift) for k in range(ROWS)]
        with ThreadPoolExecutor(8) as pool:
            sent = [one for part in pool.map(lambda j: self._send(n, rows, j), range(8)) for one in part]
        self.live.operations.ingest([
            Outcome(self.live.model, one.answer.id, "y", float(x > 0), one.time + HOUR / 4) for one, x in sent
        ])  # fmt: skip
        self.live.operations.advance(T0 + (n + 1) * HOUR)

    def _send(self, n: int, rows: Sequence[tuple[str, float]], part: int) -> list[tuple[Sent, float]]:
        client, found = Client(self.live.project.config.gateway.url, timeout_s=10), []
        for k in range(part, len(rows), 8):
            (unit, x), at = rows[k], T0 + (n + k / len(rows)) * HOUR
            body = {"dataframe_records": [{"x": x}]}
            answer = client.predict(self.live.model, body, unit=unit, headers={"x-event-time": at.isoformat()})
            assert answer.id
            found.append((Sent(unit, at, answer), x))
        client.close()
        return found


def _runs(live: Live) -> list[dict[str, Any]]:
    with live.store.read() as tx:
        found: list[dict[str, Any]] = documents.runs_document(tx, live.model)["runs"]
        return found


def _carried(live: Live, loop: Loop) -> dict[str, Any]:
    """The last run, once it is over."""

    def over() -> bool:
        loop.carry()
        return _runs(live)[-1]["status"] not in documents.UNDERWAY

    live.wait_for(over, 240.0)
    return _runs(live)[-1]


@pytest.mark.live
def test_drift_in_traffic_ends_in_a_rollout_and_traffic_as_before_in_nothing(make: Any) -> None:
    live = make()
    traffic, desk = Numbers(live), RetrainingDesk(live.operations)
    desk.set(policy(live.project, plan="quick", unproven="keep"), actor="ann")
    loop = Loop(live.operations, launchers())
    for n in range(2):
        traffic.hour(n, shift=0.0)
        loop.tick()
    assert _runs(live) == []
    assert desk.test(live.model)["reading"]["psi"]["x"] == 0.0
    traffic.hour(2, shift=2.0)
    loop.tick()
    run = _carried(live, loop)
    assert (run["status"], run["cause"], run["trigger"]) == ("released", "inputs", "inputs"), run
    assert "PSI of x is" in run["detail"]
    assert run["comparison"]["verdict"] == "better"
    assert run["comparison"]["rows"] >= 60
    assert (run["progress"], run["message"]) == (0.5, "fitting")
    assert live.status(run["rollout"]) == "running"
    assert live.stages()[run["version"]] == "Canary"
    assert "done" in desk.log(run["id"])["text"]


@pytest.mark.live
@pytest.mark.slow
def test_a_challenger_that_is_not_better_leaves_the_champion(make: Any) -> None:
    live = make()
    traffic, desk = Numbers(live), RetrainingDesk(live.operations)
    desk.set(policy(live.project, learns="wrong", plan="quick", unproven="keep"), actor="ann")
    loop = Loop(live.operations, launchers())
    traffic.hour(0, shift=0.0)
    traffic.hour(1, shift=0.0)
    desk.ask(live.model, actor="bob")
    loop.tick()
    run = _carried(live, loop)
    assert run["status"] == "kept"
    assert "not better" in run["reason"]
    assert live.stages()[run["version"]] == "Archived"
    assert live.pointers()["champion"] == 1
    with live.store.read() as tx:
        assert tx.rollouts.list(live.model) == ()
