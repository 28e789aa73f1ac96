"""The control plane as its own process: who may call it, what it says of itself, and what survives its death."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from seatrial import processes
from seatrial.client import outcome

pytestmark = pytest.mark.live

SERVE = (
    "import sys; from pathlib import Path; from seatrial.api.server import serve; "
    "from seatrial.control.project import Project; serve(Project.open(Path(sys.argv[1])))"
)


class Server:
    """``serve`` in a process of its own."""

    def __init__(self, live: Any) -> None:
        self.live = live
        self.address = live.project.config.api
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.live.project.logs / "control.log").open("ab") as out:
            command = [sys.executable, "-c", SERVE, str(self.live.project.root)]
            self.process = subprocess.Popen(command, stdout=out, stderr=out)
        self.live.wait_for(self.is_ready)

    def is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.live.project.logs / "control.log").read_text()
        try:
            return bool(self.call("GET", "/readyz")[0] == 200)
        except OSError:
            return False

    def end(self, number: int) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(30)

    def call(self, method: str, path: str, body: str = "", **headers: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection(self.address.host, self.address.port, timeout=30)
        try:
            connection.request(method, path, body.encode(), {"content-type": "application/json", **headers})
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def post(self, path: str, body: Any) -> tuple[int, str]:
        return self.call("POST", path, json.dumps(body), authorization=f"Bearer {self.live.project.token()}")


@pytest.fixture
def server(make: Any) -> Iterator[Server]:
    server = Server(make(started=False, clock="wall"))
    server.start()
    yield server
    if server.process is not None and server.process.poll() is None:
        server.end(signal.SIGKILL)


def test_the_control_plane_as_a_process(server: Server) -> None:
    live = server.live
    adopt = {"url": live.server("champion").url}
    assert server.call("POST", "/v1/models/fraud/adopt", json.dumps(adopt))[0] == 401
    status, text = server.post("/v1/models/fraud/adopt", adopt)
    assert status == 201, text
    assert json.loads(server.call("GET", "/healthz")[1])["status"] == "ok"
    assert json.loads(server.call("GET", "/readyz")[1])["missing"] == ""
    assert server.call("GET", "/metrics")[1].startswith("# HELP")
    (sent,) = live.send(["someone"])
    assert sent.answer.ok

    # Ready means that traffic can flow.
    pid = int(json.loads((live.project.gateway / "run" / "envoy.pid").read_text())["pid"])
    os.kill(pid, signal.SIGSTOP)
    try:
        status, text = server.call("GET", "/readyz")
        assert (status, json.loads(text)["missing"]) == (503, "the gateway does not answer")
    finally:
        os.kill(pid, signal.SIGCONT)
    live.wait_for(server.is_ready)

    # What was acknowledged is kept, whatever comes next.
    told = outcome("fraud", sent.answer.id, "y", 1.0, time=datetime(2026, 3, 1, tzinfo=UTC))
    bearer = f"Bearer {live.project.token()}"
    status, text = server.call("POST", "/v1/outcomes", json.dumps(told), authorization=bearer)
    assert server.end(signal.SIGKILL) == -signal.SIGKILL
    assert (status, json.loads(text)["accepted"]) == (200, 1)
    assert sent.answer.id in (live.project.outcomes / "outcomes.jsonl").read_text()
    assert live.send(["someone else"])[0].answer.ok, "traffic does not depend on the control plane"

    # The next one takes over at once, and leaves nothing behind when it is asked to end.
    envoy = (live.project.gateway / "run" / "envoy.pid").read_text()
    server.start()
    assert (live.project.gateway / "run" / "envoy.pid").read_text() == envoy
    live.wait_for(lambda: [*live.project.outcomes.glob("model=fraud/*.parquet")])
    live.wait_for(lambda: live.events().num_rows == 2)
    assert server.end(signal.SIGTERM) == 0
    assert not (live.project.run / "control.pid").exists()
    with live.store.read() as tx:
        assert tx.leases.get("controller", datetime.now(UTC)) is None
    assert processes.started(pid), "Envoy goes on"
    assert live.send(["a third"])[0].answer.ok
