"""A release under faults comes to the same decisions as one that nothing happens to: same time, action, step and rule.

Real processes, a replay over HTTP as any driver would do it: what is not answered is asked again. The faults come from
outside at seeded moments, into traffic, outcomes, the move of the clock and the looks alike.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from livesystem import Sent
from outage import Rig, patiently
from seatrial.client import outcome
from seatrial.store.plans import parse_plan

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.timeout(300)]

PLAN = parse_plan("""
name: faults
timeBucket: 1h
lookEvery: 15m
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
UNITS = (240, 110, 110, 110, 100, 100)
SICK = 3
"""The hour in which the candidate answers with errors."""

FLUSHED_S = 0.4
"""By then Envoy has written what it answered: lines that it takes with it are missing evidence, and judged as such."""

EVERYTHING = ("control", "envoy", "fraud-1", "fraud-2")
Decisions = list[tuple[datetime, str, int, str]]
Fault = Callable[[Rig, random.Random], None]


def release(rig: Rig, fault: Fault | None, seed: int) -> Decisions:
    """The whole story; the ``fault`` comes once an hour, at a moment of its own."""
    chance = random.Random(seed)
    rig.up()
    candidate = rig.server("candidate")
    rig.adopt(rig.server("champion"))
    patiently(lambda: rig.client.call("POST", "/v1/replay/advance", {"to": rig.t0.isoformat()}))
    rollout = rig.begin(rig.register(candidate), PLAN)
    asked: list[Sent] = []
    batches: list[list[str]] = []
    for n, count in enumerate(UNITS):
        candidate.mode = "500" if n == SICK else "good"
        since, to = rig.t0 + n * rig.hour_long, rig.t0 + (n + 1) * rig.hour_long
        sent = rig.send(rig.people(n, count), since)
        assert [s.answer for s in sent if not s.answer.ok] == []
        asked += sent
        with planted(rig, fault, chance):
            batches.append([s.answer.id for s in sent])
            told = [outcome(rig.model, s.answer.id, "y", float(rig.truth(s.unit)), time=s.time) for s in sent]
            patiently(lambda told=told: rig.client.log_outcomes(told))
            patiently(lambda to=to: rig.client.call("POST", "/v1/replay/advance", {"to": to.isoformat()}))
        rig.wait_for(rig.ready, 60)
        patiently(lambda to=to: rig.client.call("POST", "/v1/replay/advance", {"to": to.isoformat()}))
    rows = [row for row in rig.events().to_pylist() if row["row"] == 0 and row["arm"] != "shadow"]
    assert Counter(row["request_id"] for row in rows) == Counter(s.answer.id for s in asked), "all of it, and once"
    known = rig.outcomes_known()
    assert known.keys() == {s.answer.id for s in asked}, "nothing that was acknowledged is lost"
    kept = [{known[key] for key in batch} for batch in batches]
    assert all(len(times) == 1 for times in kept), "all of a batch, or nothing of it"
    assert fault is not None or kept == [{1}] * len(kept), "what was acknowledged is not sent again"
    return [(d.at, d.action, d.stage, d.rule) for d in rig.decisions(rollout)]


class planted:
    """The fault comes while the block runs, and is over when it ends."""

    def __init__(self, rig: Rig, fault: Fault | None, chance: random.Random) -> None:
        self._thread = threading.Thread(target=fault, args=(rig, chance)) if fault is not None else None

    def __enter__(self) -> None:
        if self._thread is not None:
            self._thread.start()

    def __exit__(self, *ended: object) -> None:
        if self._thread is not None:
            self._thread.join()


def killed(*names: str) -> Fault:
    """These are killed at a moment of the next half second; a supervisor starts the control plane again."""

    def fault(rig: Rig, chance: random.Random) -> None:
        time.sleep(chance.uniform(0.0, 0.5) + (FLUSHED_S if "envoy" in names else 0.0))
        rig.strike(*names)
        if "control" in names:
            rig.up(wait=False)

    return fault


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Decisions:
    """What is decided when nothing happens."""
    return told(tmp_path_factory.mktemp("straight"), None, 0)


def told(root: Path, fault: Fault | None, seed: int) -> Decisions:
    rig = Rig(root / "live")
    try:
        return release(rig, fault, seed)
    finally:
        rig.close()


def test_the_story_has_what_could_go_wrong(straight: Decisions) -> None:
    assert {action for _, action, _, _ in straight} >= {"start", "hold", "advance", "step_back"}


CELLS: dict[str, Any] = {
    "nothing": None,
    "control plane": killed("control"),
    "gateway": killed("envoy"),
    "everything": killed(*EVERYTHING),
}


@pytest.mark.parametrize("cell", CELLS)
def test_the_same_decisions(straight: Decisions, tmp_path: Path, cell: str) -> None:
    assert told(tmp_path, CELLS[cell], seed=7) == straight
