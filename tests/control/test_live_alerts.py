"""Alerts of a running system: what is told, what is not, and what a crash does to it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from receivers import Receiver
from seatrial.client import Client
from seatrial.control.alerting.delivery import Courier
from seatrial.control.alerting.lookout import PARTS, Lookout, Watched
from seatrial.store.plans import parse_plan

pytestmark = pytest.mark.live

PLAN = parse_plan("""
name: quick
timeBucket: 1h
lookEvery: 30m
deadline: 10d
metrics:
  - {name: errors, kind: error_rate, margin: 10pp}
steps:
  - shadow: {share: 100%}
  - pause: {duration: 1h}
  - setWeight: 50%
  - pause: {duration: 2h}
""")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.stop()


def settings(receiver: Receiver) -> str:
    return f"alerts: {json.dumps([{'name': 'ops', 'url': receiver.url}])}"


def told(live: Any) -> list[tuple[str, str]]:
    """Kind and object of every alert, oldest first."""
    with live.store.read() as tx:
        return [(stored.alert.kind, stored.alert.object) for stored in tx.alerts.after(0)]


@pytest.mark.slow
def test_a_quiet_release_is_told_at_its_start_and_its_end(make: Any, receiver: Receiver) -> None:
    live = make(more=settings(receiver.start()))
    courier = Courier(live.project, live.controller.store, poll_s=0.2)
    courier.start()
    live.adopt(live.server("champion"))
    first = live.begin(live.register(live.server("good")), PLAN)
    for n, count in enumerate((210, 110, 110)):
        live.hour(n, live.people(n, count))
    assert live.status(first) == "promoted"
    quiet = [("rollout.start", first), ("rollout.promote", first)]
    assert told(live) == quiet

    faulty = live.server("faulty")
    second = live.begin(live.register(faulty), PLAN)
    live.hour(3, live.people(3, 210))
    live.hour(4, live.people(4, 100))
    faulty.mode = "500"
    live.hour(5, live.people(5, 100))
    live.operations.kill(live.model, reason="wrong currency", actor="ann")
    live.operations.revive(live.model, reason="fixed", actor="ann")
    live.operations.undo(first, reason="complaints", actor="ann")
    loud = [
        ("rollout.start", second), ("rollout.step_back", second), ("rollout.abort", second),
        ("model.kill", "fraud"), ("model.revive", "fraud"), ("model.rollback", "fraud"),
    ]  # fmt: skip
    assert told(live) == [*quiet, *loud]
    live.wait_for(lambda: len(receiver.accepted) == len(quiet) + len(loud))
    courier.stop()
    assert [(got.document["kind"], got.document["object"]) for got in receiver.received] == [*quiet, *loud]
    assert "goes back to shadow: errors is worse: " in receiver.received[3].document["text"]


def test_what_goes_down_and_comes_back_is_told_once(make: Any) -> None:
    live = make(clock="wall")
    live.adopt(live.server("champion"))
    parts = {name: Watched(part.down, part.back, after_s=0, steady_s=0) for name, part in PARTS.items()}
    lookout = Lookout(live.controller, parts=parts)

    def look() -> list[tuple[str, str]]:
        before = len(told(live))
        lookout.look()
        lookout.look()
        return told(live)[before:]

    assert look() == [], "everything runs"
    os.kill(live.pids()["fraud-1"], signal.SIGKILL)
    live.wait_for(live.controller.hosts.dead)
    assert look() == [("host.down", "fraud v1")]
    lookout = Lookout(live.controller, parts=parts)
    assert look() == [], "a restart tells nothing twice"
    live.controller.tick()
    assert look() == [("host.back", "fraud v1")]

    live.controller.envoy.stop()
    assert look() == [("gateway.down", "gateway")]
    live.controller.tick()
    assert look() == [("gateway.back", "gateway")]

    live.controller.envoy.stop()
    live.wait_for(lambda: live.controller.tick() or live.controller.envoy.pid)
    lookout.look()
    lookout.look()
    assert told(live)[-2:] == [("gateway.down", "gateway"), ("gateway.back", "gateway")], "too short to be seen down"
    assert Lookout(live.controller, parts=parts, low_disk_bytes=1 << 60).look() is None
    assert told(live)[-1] == ("disk.low", "disk")
    lookout.look()
    assert told(live)[-1] == ("disk.back", "disk")


SERVE = "import sys; from seatrial.cli import main; main(['--project', sys.argv[1], 'up', '--foreground'])"


@pytest.fixture
def serve() -> Iterator[Callable[[Any], subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []

    def start(live: Any) -> subprocess.Popen[bytes]:
        with (live.project.logs / "control.log").open("ab") as out:
            command = [sys.executable, "-c", SERVE, str(live.project.root)]
            started.append(subprocess.Popen(command, stdout=out, stderr=out))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_what_was_recorded_before_a_crash_is_delivered_after_it(
    make: Any, receiver: Receiver, serve: Callable[[Any], subprocess.Popen[bytes]]
) -> None:
    live = make(started=False, clock="wall", more=settings(receiver))
    client = Client(api=live.project.config.api.url, token=live.project.token())

    def is_ready() -> bool:
        try:
            return bool(client.call("GET", "/readyz")["missing"] == "")
        except (OSError, RuntimeError):
            return False

    process = serve(live)
    live.wait_for(is_ready)
    client.call("POST", "/v1/models/fraud/adopt", {"url": live.server("champion").url})
    client.call("POST", "/v1/models/fraud/kill", {"reason": "wrong currency"})
    live.wait_for(lambda: ("model.kill", "fraud") in told(live))
    process.send_signal(signal.SIGKILL)
    process.wait()
    (key,) = [stored.alert.key for stored in stored_alerts(live)]

    receiver.start()
    serve(live)
    live.wait_for(is_ready)
    live.wait_for(lambda: len(receiver.accepted) >= 2)
    assert receiver.accepted.count(f"live/{key}") == 1
    kinds = [got.document["kind"] for got in receiver.received]
    assert sorted(kinds) == ["controller.takeover", "model.kill"]
    metrics = client.call("GET", "/metrics")
    live.wait_for(lambda: "seatrial_alerts_undelivered{" not in client.call("GET", "/metrics"))
    assert "seatrial_alerts_undelivered" in metrics
    shown = client.call("GET", "/v1/alerts")["alerts"]
    assert {line["kind"] for line in shown} == {"model.kill", "controller.takeover"}
    assert client.call("POST", "/v1/alerts/test", {"target": "ops"})["ok"]
    assert client.call("POST", "/v1/alerts/retry", {})["deliveries"] == 0
    client.close()


def stored_alerts(live: Any) -> Any:
    with live.store.read() as tx:
        return tx.alerts.after(0)
