"""A store that is killed, or locked by somebody: traffic, kills and outcomes do without it, and it is found again."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from pgfixtures import PostgreSQL
from pgfixtures import mortal_postgresql as mortal_postgresql
from seatrial.control.states import state_from_json
from seatrial.errors import Unavailable
from seatrial.store.db import Store
from seatrial.store.plans import parse_plan

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.timeout(240)]

PLAN = parse_plan("""
name: quick
lookEvery: 1s
deadline: 10d
metrics:
  - {name: errors, kind: error_rate, margin: 10pp}
steps:
  - shadow: {share: 100%}
  - pause: {duration: 1h}
  - setWeight: 50%
""")

PATIENCE = timedelta(seconds=3)
"""Of a writer that waits for another one."""

LOCK = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""


def begun(live: Any) -> str:
    """A rollout with the controller's loop running, and evidence that all of it works."""
    live.adopt(live.server("champion"))
    rollout = live.begin(live.register(live.server("candidate")), PLAN)
    live.run()
    assert ok(live, "healthy")
    live.wait_for(lambda: looks(live) >= 2)
    return rollout


def looks(live: Any) -> int:
    """Looks taken at the active rollout."""
    with live.store.read() as tx:
        return max(state_from_json(stored.state).look for stored in tx.rollouts.list())


def ok(live: Any, hour: str) -> bool:
    """Every request is answered, and every outcome is taken."""
    sent = live.send([f"{hour}-{n}" for n in range(60)])
    live.report(sent)
    return all(s.answer.ok for s in sent)


def killed_within(live: Any, seconds: float) -> None:
    """A kill of the model is in force, by Envoy's own word."""
    began = time.monotonic()
    said = live.operations.kill(live.model, mode="off", reason="wrong currency", actor="ann")
    assert time.monotonic() - began < seconds
    assert said.took_ms < PATIENCE.total_seconds() * 1000, "the switch itself waits for nobody"
    assert said.split == {"off": 1.0}
    assert {s.answer.status for s in live.send(["someone"])} == {503}


def all_is_recorded(live: Any, rollout: str) -> None:
    """What happened while the store was away is in it, once."""
    live.wait_for(lambda: "model.kill" in live.actions())
    live.wait_for(lambda: live.controller.missing() == "")
    live.halt()
    actions = live.actions()
    assert (actions.count("model.kill"), actions.count("rollout.abort")) == (1, 1)
    assert live.status(rollout) == "aborted"
    numbers = [decision.look for decision in live.decisions(rollout)]
    assert numbers == sorted(numbers)
    live.operations.revive(live.model, reason="fixed", actor="ann")
    assert ok(live, "again")
    stored = (live.project.outcomes / "outcomes.jsonl").read_text().count("\n")
    assert stored == 180, "60 before, 60 in between, 60 after: none lost, none twice"


def test_postgresql_is_killed_and_comes_back(make: Any, mortal_postgresql: PostgreSQL) -> None:
    live = make(clock="wall", store=mortal_postgresql.new_database())
    rollout = begun(live)
    mortal_postgresql.kill()
    assert ok(live, "without")
    live.wait_for(lambda: "does not answer" in live.controller.missing())
    with pytest.raises(Unavailable, match="does not answer"), live.store.read():
        pass
    killed_within(live, 10)
    mortal_postgresql.start()
    all_is_recorded(live, rollout)


@pytest.fixture
def lock() -> Iterator[Any]:
    """``lock(path)``: a process that holds the write lock of a SQLite database, until it is ended."""
    holders: list[subprocess.Popen[str]] = []

    def hold(path: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", LOCK, path]
        holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        holders.append(holder)
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        return holder

    yield hold
    for holder in holders:
        holder.kill()
        holder.communicate()


def test_sqlite_is_locked_by_another_process(make: Any, lock: Any) -> None:
    live = make(started=False, clock="wall")
    live.store.close()
    live.store = Store.open(live.project.store_url, patience=PATIENCE)
    live.start()
    rollout = begun(live)
    holder = lock(live.project.store_url)
    assert ok(live, "without")
    live.wait_for(lambda: "database is locked" in live.controller.missing())
    before = looks(live)
    assert live.pointers() == {"champion": 1, "challenger": 2}, "reading goes on"
    killed_within(live, 3 * PATIENCE.total_seconds() + 2)
    assert looks(live) == before, "nothing is decided meanwhile"
    holder.kill()
    all_is_recorded(live, rollout)
