"""One controller at a time: in a directory by a lock, between directories by the lease."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from seatrial.client import Client
from seatrial.errors import Unavailable
from seatrial.store.fenced import FencedStore
from seatrial.store.leases import LeaseLost
from seatrial.store.plans import parse_plan

pytestmark = pytest.mark.live

PLAN = parse_plan("""
name: quick
deadline: 10d
metrics:
  - {name: errors, kind: error_rate, margin: 10pp}
steps:
  - setWeight: 50%
""")


def test_a_controller_that_lost_its_lease_neither_writes_nor_routes(make: Any) -> None:
    live = make(clock="wall")
    live.adopt(live.server("champion"))
    version = live.register(live.server("candidate"))
    rollout = live.begin(version, PLAN)
    operations, controller = live.operations, live.controller
    assert live.weight() == 5000

    with live.store.begin() as tx:
        tx.leases.release(tx.leases.last("controller"))
    other = FencedStore(live.store, "controller", "another", timedelta(minutes=1))
    other.take()
    with live.store.read() as tx:
        before = (tx.audit.head(), tx.rollouts.get(rollout).revision, tx.models.list_versions(live.model))
    table = controller.envoy.table()
    controller.store._renewed -= 3600  # as after a sleep: the lease is to be renewed
    for act in (
        controller.tick,
        controller.reconcile,
        lambda: live.register(live.servers[1]),
        lambda: operations.by_hand(rollout, "pause", reason="x", actor="ann"),
        lambda: operations.by_hand(rollout, "abort", reason="x", actor="ann"),
        lambda: operations.rollback(live.model, reason="x", actor="ann"),
    ):
        with pytest.raises(LeaseLost, match="held by another"):
            act()
    with live.store.read() as tx:
        assert before == (tx.audit.head(), tx.rollouts.get(rollout).revision, tx.models.list_versions(live.model))
    assert controller.envoy.table() == table
    assert not controller.journal.moves()

    live.run()  # the loop ends by itself, and says why
    live.wait_for(lambda: controller.lost)
    live.halt()
    assert operations.kill(live.model, mode="off", reason="fire", actor="ann").split == {"off": 1.0}, "for everybody"
    other.give_back()


SERVE = "import sys; from seatrial.cli import main; main(['--project', *sys.argv[1:]])"


@pytest.fixture
def serve() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """A control plane in a process of its own; all say what they say in one log."""
    started: list[subprocess.Popen[bytes]] = []

    def start(live: Any, *options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", SERVE, str(live.project.root), "up", "--foreground", *options]
        with (live.project.logs / "control.log").open("ab") as log:
            started.append(subprocess.Popen(command, stdout=log, stderr=log))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_a_second_one_in_the_same_directory_is_refused_until_the_first_is_dead(
    make: Any, serve: Callable[..., subprocess.Popen[bytes]]
) -> None:
    live = make(started=False, clock="wall")
    client = Client(api=live.project.config.api.url, token=live.project.token())

    def is_ready() -> bool:
        try:
            return bool(client.call("GET", "/readyz")["missing"] == "")
        except (OSError, RuntimeError):
            return False

    first = serve(live)
    live.wait_for(is_ready)
    first.send_signal(signal.SIGSTOP)  # not even then: the files of the directory know no lease
    assert serve(live).wait(60) == 1
    said = (live.project.logs / "control.log").read_text()
    assert f"ST0626 the control plane of {live.project.root} runs already: process {first.pid}" in said
    waiting = serve(live, "--standby")
    first.kill()
    first.wait()
    live.wait_for(is_ready)
    with live.store.read() as tx:
        assert tx.leases.get("controller", datetime.now(UTC)).holder.split(":")[1] == str(waiting.pid)
        assert [stored.alert.kind for stored in tx.alerts.after(0)] == ["controller.takeover"]
    client.close()


def test_a_controller_that_has_not_started_writes_nothing(make: Any) -> None:
    live = make(started=False)
    live.start()
    live.controller.stop()
    with pytest.raises(Unavailable, match="does not hold the lease"):
        live.adopt(live.server("champion"))
