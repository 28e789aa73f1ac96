"""The command line with everything behind it: control plane, Envoy, model hosts, and a control plane that dies."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

Seatrial = Callable[..., subprocess.CompletedProcess[str]]
DIGEST = "sha256:" + "a" * 64


class Model(BaseHTTPRequestHandler):
    """A model server: one prediction a record."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        rows = json.loads(self.rfile.read(int(self.headers["content-length"])))["dataframe_records"]
        body = json.dumps({"predictions": [0.25] * len(rows)}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *given: object) -> None:
        """Say nothing."""


@pytest.fixture
def upstream() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/invocations"
    server.shutdown()
    thread.join()
    server.server_close()


def free_ports(n: int) -> list[int]:
    probes = [socket.socket() for _ in range(n)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@pytest.fixture
def seatrial(tmp_path: Path) -> Iterator[Seatrial]:
    def command(*arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "seatrial.cli", "--project", str(tmp_path), *map(str, arguments)]
        done = subprocess.run(line, capture_output=True, text=True, timeout=100, check=False, cwd=tmp_path)
        assert done.returncode == code, (arguments, done.stdout, done.stderr)
        return done

    api, gateway = free_ports(2)
    command("init", tmp_path, "--name", "live", "--api-port", api, "--gateway-port", gateway)
    try:
        yield command
    finally:
        command("down")


def ask(gateway: str) -> tuple[int, str]:
    """One prediction: its status and the version that gave it."""
    body = json.dumps({"dataframe_records": [{"a": 1}]}).encode()
    headers = {"content-type": "application/json", "x-unit-id": "u1"}
    request = urllib.request.Request(f"{gateway}/models/fraud/invocations", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.headers["x-seatrial-version"]
    except urllib.error.HTTPError as error:
        error.close()
        return error.code, ""


@pytest.mark.live
def test_a_project_from_init_to_down(seatrial: Seatrial, upstream: str, tmp_path: Path) -> None:
    gateway = document(seatrial("config", "show", "--json"))["config"]["gateway"]
    url = f"http://127.0.0.1:{gateway['port']}"
    assert "is up" in seatrial("up").stdout
    assert "was up already" in seatrial("up").stdout
    seatrial("model", "adopt", "fraud", "--url", upstream)
    seatrial(
        "model", "register", "fraud", "--url", upstream, "--code-commit", "1f0c2aa", "--data-digest", DIGEST,
        "--data-rows", 10, "--model-digest", DIGEST, "--model-framework", "sklearn",
    )  # fmt: skip
    assert ask(url) == (200, "1")
    assert "✖" not in seatrial("doctor").stdout
    seatrial("rollout", "start", "fraud", 2, "--plan", "plans/standard.yaml")
    shown = document(seatrial("rollout", "get", "fraud", "--json"))
    assert (shown["mirrored"], shown["setWeight"], shown["actualWeight"]) == (100.0, 0.0, 0.0)
    seatrial("rollout", "promote", "fraud", "--full", "--reason", "test")
    assert ask(url) == (200, "2")

    os.kill(int((tmp_path / ".seatrial" / "run" / "control.pid").read_text().split()[0]), signal.SIGKILL)
    assert "traffic flows, but the control plane does not run" in seatrial("doctor", code=1).stdout
    rolled_back = seatrial("rollback", "fraud", "--reason", "worse")
    assert "is not running. Switching the gateway directly." in rolled_back.stderr
    assert "Envoy now sends v1 100.00%" in rolled_back.stdout
    assert ask(url) == (200, "1"), "traffic went on, and goes home"
    seatrial("kill", "fraud", "--mode", "off", "--reason", "fire")
    assert ask(url)[0] == 503

    up_again(tmp_path)
    assert ask(url)[0] == 503, "a control plane that starts respects the latch"
    assert "Envoy now sends v1 100.00%" in seatrial("revive", "fraud", "--reason", "over").stdout
    assert ask(url) == (200, "1")
    seatrial("audit", "verify")
    assert "stopped control plane" in seatrial("down").stdout
    assert "is not running" in seatrial("rollout", "start", "fraud", 2, "--plan", "plans/standard.yaml", code=1).stderr


def up_again(root: Path) -> None:
    """``up`` after a crash: at the latest when the dead control plane's lease has run out (20 s)."""
    deadline = time.monotonic() + 40
    line = [sys.executable, "-m", "seatrial.cli", "--project", str(root), "up"]
    while (done := subprocess.run(line, capture_output=True, text=True, timeout=100, check=False)).returncode:
        assert time.monotonic() < deadline, done.stderr
        time.sleep(2)


def document(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout)
    return found
