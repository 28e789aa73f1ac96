"""On PostgreSQL: the same releases as on SQLite, and two controllers of which only one acts."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import text

from pgfixtures import postgresql as postgresql
from seatrial.client import Client
from seatrial.control.documents.report import write_report
from seatrial.control.operations import Operations
from seatrial.store.db import Store
from seatrial.store.plans import parse_plan
from seatrial.store.schema import metadata

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]

PLAN = """
name: quick
timeBucket: 1h
lookEvery: {look}
deadline: 10d
metrics:
  - {{name: errors, kind: error_rate, margin: 10pp}}
steps:
  - shadow: {{share: 100%}}
  - pause: {{duration: 1h}}
  - setWeight: 50%
  - pause: {{duration: 2h}}
"""

EACH_SECOND = yaml.safe_load(PLAN.format(look="1s"))

SERVE = """
import sys
from datetime import timedelta
from pathlib import Path
from seatrial.api.server import serve
from seatrial.control.project import Project
from seatrial.store.leases import Leases
root, role, fenced = sys.argv[1:]
if fenced == "unfenced":
    Leases.check = lambda self, lease: None
serve(Project.open(Path(root)), standby=role == "standby", lease_ttl=timedelta(seconds=1.5))
"""


def test_a_release_on_postgresql(make: Any, postgresql: Callable[[], str], tmp_path: Path) -> None:
    live = make(store=postgresql())
    candidate = live.server("candidate")
    live.adopt(live.server("champion"))
    version = live.register(candidate)
    plan = parse_plan(PLAN.format(look="30m"))
    rollout = live.begin(version, plan)
    live.hour(0, live.people(0, 150))
    live.hour(1, live.people(1, 150))
    assert live.weight() == 5000

    live.start()  # another controller, after a crash
    candidate.mode = "500"
    live.hour(2, live.people(2, 200))
    assert ("step_back", 0, "guardrail_harm") in live.told(rollout)
    assert live.weight() == 0

    assert "v1 100.00%" in live.operations.kill(live.model, reason="wrong currency", actor="ann").text
    assert live.status(rollout) == "aborted"
    live.operations.revive(live.model, reason="fixed", actor="ann")
    assert live.send(["someone"])[0].answer.ok
    assert {"model.kill", "model.revive", "rollout.abort"} <= set(live.actions())
    report = tmp_path / "report.html"
    with live.store.read() as tx:
        assert tx.connection.dialect.name == "postgresql"
    write_report(live.store, live.controller.artifacts, report, title="On PostgreSQL")
    assert rollout in report.read_text()


class Process:
    """``serve`` in a process of its own, named in everything it writes into the store."""

    def __init__(self, live: Any, *how: str) -> None:
        self.live, self.log = live, live.project.logs / "control.log"
        with self.log.open("ab") as out:
            command = [sys.executable, "-c", SERVE, str(live.project.root), *how]
            self.process = subprocess.Popen(command, stdout=out, stderr=out)
        self.client = Client(api=live.project.config.api.url, token=live.project.token())

    def says(self, text: str) -> bool:
        return text in self.log.read_text()

    def is_ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return bool(self.client.call("GET", "/readyz")["missing"] == "")
        except (OSError, RuntimeError):
            return False

    def end(self) -> None:
        self.client.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()


@pytest.fixture
def witnessed(postgresql: Callable[[], str]) -> Iterator[tuple[str, Store]]:
    """A database that notes down who changes which row of it."""
    url = postgresql()
    with Store.open(url) as store:
        with store.begin() as tx:
            for statement in (
                "CREATE TABLE witness (seq SERIAL, who TEXT, what TEXT)",
                "CREATE FUNCTION witness() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO witness (who, what)"
                " VALUES (current_setting('application_name'), TG_TABLE_NAME); RETURN NULL; END $$",
                *(
                    f"CREATE TRIGGER witness AFTER INSERT OR UPDATE OR DELETE ON {table} FOR EACH ROW"
                    " EXECUTE FUNCTION witness()"
                    for table in metadata.tables
                ),
            ):
                tx.connection.execute(text(statement))
        yield url, store


def writers(store: Store) -> list[str]:
    """Who wrote, in the order of the writes."""
    with store.read() as tx:
        return [row.who for row in tx.connection.execute(text("SELECT who FROM witness ORDER BY seq"))]


@pytest.mark.slow
@pytest.mark.parametrize("fenced", ["fenced", "unfenced"])
def test_a_controller_that_slept_too_long_writes_nothing(make: Any, witnessed: tuple[str, Store], fenced: str) -> None:
    url, store = witnessed
    first, second = (
        make(name, started=False, clock="wall", store=f"{url}&application_name={name}") for name in ("first", "second")
    )
    for live in (first, second):
        live.operations = Operations(live.project, live.store)
    first.adopt(first.server("champion"))
    version = first.register(first.server("candidate"))
    holder, standby = Process(first, "holder", fenced), None
    try:
        first.wait_for(holder.is_ready)
        holder.client.call("POST", "/v1/rollouts", {"model": first.model, "version": version, "plan": EACH_SECOND})
        standby = Process(second, "standby", "fenced")
        second.wait_for(lambda: standby.says("waiting as a standby"))

        holder.process.send_signal(signal.SIGSTOP)
        second.wait_for(standby.is_ready)
        table = (first.project.gateway / "run" / "table.json").read_text()
        assert first.send(["someone"])[0].answer.ok, "traffic flows on where the first one stands still"
        assert standby.says("took over from")
        seen = len(writers(store))
        holder.process.send_signal(signal.SIGCONT)
        if fenced == "unfenced":  # the same look at the same witness finds a controller that does not ask
            second.wait_for(lambda: "first" in writers(store)[seen:])
            return
        assert holder.process.wait(30) == 1
        assert holder.says("ST0691")
        assert holder.says("has lost the lease controller: it is held by")
        second.wait_for(lambda: Counter(writers(store)[seen:])["second"] >= 10)
        late = writers(store)
        assert "first" not in late[late.index("second") :]
        assert (first.project.gateway / "run" / "table.json").read_text() == table
        assert first.send(["someone else"])[0].answer.ok
        with store.read() as tx:
            assert tx.audit.verify().ok
            for rollout in tx.rollouts.list():
                looks = Counter(d.look for d in second.decisions(rollout.id))
                assert looks.most_common(1)[0][1] == 1
    finally:
        for process in (holder, standby):
            if process is not None:
                process.end()
