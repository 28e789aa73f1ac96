"""What one client can take from the server: a bounded body, a bounded head, and a bounded time. On a real port."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from seatrial.api.limits import BODY, LARGER, Limits
from seatrial.api.protocol import HEAD_BYTES, UNREAD_BYTES, PromptHttp
from seatrial.processes import free_port

PATIENCE_S = 20.0
LINE = b'{"model": "fraud", "key": "k", "name": "x", "value": 1, "time": "2026-03-01T00:00:00Z"}\n'


class Impatient(PromptHttp):
    head_s = 0.3


@pytest.fixture
def port(api: Any) -> Iterator[int]:
    """The API on a port, with limits in time that a test can wait for."""
    config = uvicorn.Config(api.app, port=0, http=Impatient, ws="none", log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join(PATIENCE_S)


def _ask(port: int, path: str = "/healthz") -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    with contextlib.closing(connection):
        connection.request("GET", path)
        return connection.getresponse().status


def _closed(client: socket.socket) -> bool:
    """Whether the server hangs up."""
    client.settimeout(PATIENCE_S)
    try:
        return client.recv(1) == b""
    except ConnectionError:
        return True


@pytest.mark.parametrize("path", ["/v1/rollouts", "/v1/outcomes"])
def test_a_declared_length_beyond_the_limit_is_refused_unread(api: Any, path: str) -> None:
    limit = LARGER.get(path, BODY)
    length = {**api.token, "content-length": str(limit + 1)}
    answer = api.call("POST", path, content=b"", headers=length)
    assert (answer.status_code, answer.json()["code"]) == (413, "ST0858")
    assert f"{limit >> 10:,} KiB" in answer.json()["message"]


def test_a_body_of_unknown_length_is_counted_as_it_comes(port: int, api: Any) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while True:
            sent += 1 << 16
            yield b"x" * (1 << 16)

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    with contextlib.closing(connection), contextlib.suppress(ConnectionError):
        connection.request("POST", "/v1/rollouts", endless(), {**api.token, "content-type": "application/json"},
                           encode_chunked=True)  # fmt: skip
    assert BODY < sent < 8 * UNREAD_BYTES, "the server stops reading, and hangs up"
    assert _ask(port) == 200


@pytest.mark.parametrize("length", ["declared", "chunked"])
def test_a_body_within_the_limit_is_taken(port: int, api: Any, length: str) -> None:
    body = LINE * 20_000
    assert BODY < len(body) < LARGER["/v1/outcomes"]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    with contextlib.closing(connection):
        given: Any = body if length == "declared" else iter([body[:1000], body[1000:]])
        connection.request("POST", "/v1/outcomes", given, api.token, encode_chunked=length == "chunked")
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()


def test_a_client_that_stops_in_the_middle_is_let_go(api: Any) -> None:
    """The head says more is to come, and nothing comes."""
    limited = Limits(api.app, silence_s=0.2)
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(PATIENCE_S)
        raise AssertionError("nobody waits that long")

    async def send(message: dict[str, Any]) -> None:
        statuses.extend([message["status"]] if message["type"] == "http.response.start" else [])

    headers = [(b"host", b"127.0.0.1"), (b"authorization", api.token["authorization"].encode())]
    scope = {"type": "http", "method": "POST", "path": "/v1/outcomes", "raw_path": b"/v1/outcomes", "query_string": b"",
             "headers": headers, "http_version": "1.1", "scheme": "http", "server": None, "client": None}  # fmt: skip
    asyncio.run(limited(scope, receive, send))  # type: ignore[arg-type]
    assert statuses == [408]


def test_a_head_that_comes_by_drops_is_cut_off(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as silent, socket.create_connection(("127.0.0.1", port)) as slow:
        slow.sendall(b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\nx-slow: ")
        assert _closed(silent)
        assert _closed(slow)
    assert _ask(port) == 200


def test_the_second_request_of_a_connection_is_timed_too_and_a_quick_one_is_served(port: int) -> None:
    request = b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.settimeout(PATIENCE_S)
        for _ in range(2):
            client.sendall(request)
            assert client.recv(65536).startswith(b"HTTP/1.1 200")
        client.sendall(request[:20])
        assert _closed(client)


def test_headers_without_end_are_cut_off(port: int) -> None:
    sent = 0
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.settimeout(PATIENCE_S)
        client.sendall(b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n")
        with contextlib.suppress(OSError):
            while sent < 256 << 20:
                sent += client.send(b"x-more: " + b"x" * 65536 + b"\r\n")
    assert HEAD_BYTES < sent < 64 << 20
    assert _ask(port) == 200


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="reads /proc")
def test_a_gigabyte_of_outcomes_does_not_fill_the_memory(api: Any, tmp_path: Path) -> None:
    """A server process of its own takes a post of 1 GB, and refuses it; its memory has grown by less than 300 MB."""
    code = (
        "import sys, uvicorn; sys.path.insert(0, sys.argv[1]); from pathlib import Path\n"
        "from apisystem import Api, Idle; from seatrial.control.project import Project\n"
        "from seatrial.store.db import Store; from seatrial.api.protocol import PromptHttp\n"
        "project = Project.open(Path(sys.argv[2])); store = Store.open(project.store_url)\n"
        "app = Api(Idle(project, store), project, store).app\n"
        "uvicorn.run(app, port=int(sys.argv[3]), http=PromptHttp, ws='none', log_level='error')\n"
    )
    port, support = free_port(), str(Path(__file__).parents[1] / "support")
    child = subprocess.Popen([sys.executable, "-c", code, support, str(api.project.root), str(port)])
    try:
        _wait_for(port)
        before = _peak_mb(child.pid)
        for _ in range(2):
            _post_a_gigabyte(port, api.token)
        assert _peak_mb(child.pid) - before < 300
        assert _ask(port) == 200
    finally:
        child.terminate()
        child.wait(PATIENCE_S)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            _ask(port)
            return
        time.sleep(0.1)
    raise AssertionError("the server did not start")


def _peak_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def _post_a_gigabyte(port: int, token: dict[str, str]) -> None:
    chunk = LINE * 10_000
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    with contextlib.suppress(ConnectionError), contextlib.closing(connection):
        body = (chunk for _ in range((1 << 30) // len(chunk)))
        connection.request("POST", "/v1/outcomes", body, token, encode_chunked=True)
        raise AssertionError(f"it was taken: {connection.getresponse().status}")
