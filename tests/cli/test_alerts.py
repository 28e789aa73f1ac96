"""``seatrial alerts`` at the terminal, with no control plane running."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from receivers import Receiver
from seatrial.cli import main
from seatrial.control.project import Project
from seatrial.processes import free_port
from seatrial.store.alert import Alert
from seatrial.store.db import Store

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver().start()
    yield made
    made.stop()


@pytest.fixture
def project(tmp_path: Path, receiver: Receiver) -> Path:
    target = {"name": "ops", "url": receiver.url}
    settings = {"project": "shop", "api": {"port": free_port()}, "alerts": [target]}
    (tmp_path / "seatrial.yaml").write_text(json.dumps(settings))
    with Store.open(Project.open(tmp_path).store_url) as store, store.begin() as tx:
        for n, kind in enumerate(("rollout.start", "rollout.abort"), start=1):
            tx.alerts.put(Alert(key=f"r-0001/{n}", kind=kind, severity="info", object="r-0001", text=kind, at=NOW))
            tx.alerts.send(n, "ops", NOW)
        _, abort = tx.alerts.due("ops", NOW)
        tx.alerts.settle(replace(abort, state="failed", attempts=16, last_error="500 oops"))
    return tmp_path


def run(project: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as left:
        main(["--project", str(project), "alerts", *words])
    said = capsys.readouterr()
    return int(left.value.code or 0), said.out + said.err


def test_what_was_told_and_what_became_of_it(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = run(project, capsys, "list")
    assert code == 0
    lines = [" ".join(line.split()) for line in said.splitlines()]
    assert "2026-03-01 12:30 info rollout.abort r-0001 rollout.abort ops ✖ 16 tried: 500 oops" in lines
    assert "2026-03-01 12:30 info rollout.start r-0001 rollout.start ops ◌" in lines
    document = json.loads(run(project, capsys, "list", "--json", "--limit", "1")[1])
    assert (document["schema"], len(document["alerts"])) == ("seatrial.alerts.v1", 1)
    assert document["alerts"][0]["deliveries"][0]["state"] == "failed"

    assert "2 deliveries are tried again" in run(project, capsys, "retry", "ops")[1]
    retried = json.loads(run(project, capsys, "list", "--json")[1])["alerts"]
    assert [line["deliveries"][0]["state"] for line in retried] == ["pending", "pending"]


def test_a_trial_exits_by_what_came_back(project: Path, receiver: Receiver, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = run(project, capsys, "test", "ops")
    assert (code, said.startswith("✔ ops: 200 ok (")) == (0, True)
    receiver.statuses.append(403)
    code, said = run(project, capsys, "test", "ops")
    assert (code, said.startswith("✖ ops: 403 ok (")) == (1, True)
    code, said = run(project, capsys, "test", "opps")
    assert code == 1
    assert "ST0891 there is no alert target 'opps'." in said
    assert "Did you mean 'ops'?" in said
