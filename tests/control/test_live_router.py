"""Rollouts whose traffic comes from a service that routes by itself, with nothing through Envoy."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from livesystem import T0, fraction, truth
from seatrial.events.outcomes import Outcome
from seatrial.router import Router
from seatrial.router.files import LogFiles
from seatrial.store.plans import parse_plan

pytestmark = [pytest.mark.live, pytest.mark.slow]

PLAN = parse_plan("""
name: in-process
timeBucket: 1h
lookEvery: 1h
deadline: 10d
metrics:
  - {name: loss, kind: loss, loss: absolute, outcome: y, horizon: 1h, margin: 20%}
  - {name: errors, kind: error_rate, margin: 10pp}
steps:
  - setWeight: 50%
  - pause: {duration: 2h}
  - setWeight: 100%
""")
HOUR = timedelta(hours=1)


def good(row: dict[str, Any]) -> float:
    """Wrong by 0.3, more or less."""
    return abs(truth(row["unit"]) - 0.25 - 0.1 * fraction(row["unit"]))


def broken(row: dict[str, Any]) -> float:
    raise RuntimeError("out of memory")


def hour(live: Any, router: Router, n: int, handlers: Any, count: int = 600) -> None:
    """An hour of traffic, answered in this process."""
    found = []
    for k in range(count):
        unit, at = f"unit-{n}-{k}", T0 + n * HOUR + HOUR * k / count
        found.append((router.predict(unit, {"unit": unit}, handlers=handlers, time=at), unit, at))
    assert router.flush(60)
    live.operations.ingest([Outcome(live.model, p.id, "y", truth(unit), at + HOUR / 4) for p, unit, at in found])
    live.operations.advance(T0 + (n + 1) * HOUR)


@contextmanager
def begun(make: Any, name: str) -> Iterator[tuple[Any, Router, str]]:
    live = make(name)
    live.adopt(live.server("champion"))
    rollout = live.begin(live.register(live.server("candidate")), PLAN)
    router = Router(live.project.root, live.model)
    live.wait_for(lambda: router.decide("anybody").rollout == rollout)
    yield live, router, rollout


@pytest.mark.parametrize(
    ("candidate", "status", "rule"), [(good, "promoted", "advance"), (broken, "aborted", "guardrail_harm")]
)
def test_a_rollout_in_a_service_is_decided_by_what_the_service_answers(
    make: Any, candidate: Any, status: str, rule: str
) -> None:
    with begun(make, "shop") as (live, router, rollout):
        for n in range(12):
            hour(live, router, n, {1: good, 2: candidate})
            if live.status(rollout) != "running":
                break
        assert live.status(rollout) == status, live.decisions(rollout)[-1]
        assert live.decisions(rollout)[-1].rule == rule
        assert live.counted(rollout) == {}, "nothing went through Envoy"
        assert set(live.captured(rollout)) <= {(1, "canary"), (1, "champion")}
        live.wait_for(lambda: router.decide("anybody").rollout is None)
        assert router.arm("anybody") in ("champion", "none")


def test_lines_that_a_service_drops_are_judged_as_loss_of_capture(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with begun(make, "shop") as (live, router, rollout):
        hour(live, router, 0, {1: good, 2: good})
        assert live.status(rollout) == "running"
        assert "capture_loss" not in {rule for _, _, rule in live.told(rollout)}
        free, append = threading.Event(), LogFiles.append
        monkeypatch.setattr(LogFiles, "append", lambda self, data=b"": free.wait(60) and append(self, data))
        monkeypatch.setattr(router._writer, "_lines", 20)
        for k in range(200):
            router.predict(f"lost-{k}", {"unit": f"lost-{k}"}, handlers={1: good, 2: good}, time=T0 + HOUR * 1.5)
        free.set()
        assert router.dropped > 100
        for n in itertools.count(1):
            hour(live, router, n, {1: good, 2: good}, count=15)
            if live.told(rollout)[-1][2] == "capture_loss":
                break
            assert n < 4
