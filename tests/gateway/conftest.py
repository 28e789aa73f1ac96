"""Real parts for gateway tests: small model servers, an Envoy in a temporary directory, a client that pipelines."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from capturelines import read
from seatrial.gateway.envoy import Envoy
from seatrial.gateway.routes import Backend, Endpoint, ModelRoute, RouteTable


@dataclass
class Seen:
    """A request as a model server received it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Upstream:
    """A model server on a thread of its own. ``status`` and ``delay_s`` may be changed while it runs."""

    name: str
    status: int = 200
    delay_s: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    seen: list[Seen] = field(default_factory=list)
    port: int = 0

    def __post_init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._open: set[asyncio.Transport] = set()
        up = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(up,), daemon=True)
        self._thread.start()
        assert up.wait(5)

    def backend(self, level: str = "primary") -> Backend:
        return Backend(self.name, Endpoint("127.0.0.1", self.port), level)

    def die(self) -> None:
        """Refuse connections from now on and drop the open ones."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(5)

    def answer(self) -> bytes:
        body = self.body if self.body is not None else json.dumps({"served_by": self.name}).encode()
        head = {"content-type": "application/json", "content-length": str(len(body)), **self.headers}
        lines = "".join(f"{key}: {value}\r\n" for key, value in head.items())
        return f"HTTP/1.1 {self.status} Any\r\n{lines}\r\n".encode() + body

    def _run(self, up: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(self._loop.create_server(lambda: _Wire(self), "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        up.set()
        self._loop.run_forever()
        server.close()
        for transport in self._open:
            transport.abort()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()


class _Wire(asyncio.Protocol):
    def __init__(self, upstream: Upstream) -> None:
        self._upstream, self._buffer = upstream, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._upstream._open.add(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._upstream._open.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (parsed := _parse(self._buffer)) is not None:
            request, self._buffer = parsed
            self._upstream.seen.append(request)
            if self._upstream.delay_s:
                self._upstream._loop.call_later(self._upstream.delay_s, self._write, self._upstream.answer())
            else:
                self._write(self._upstream.answer())

    def _write(self, answer: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer)


def _parse(data: bytes) -> tuple[Seen, bytes] | None:
    head, found, rest = data.partition(b"\r\n\r\n")
    if not found:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    method, path, _ = first.split(" ")
    if headers.get("transfer-encoding") == "chunked":
        body, found, rest = rest.partition(b"0\r\n\r\n")
        return (Seen(method, path, headers, body), rest) if found else None
    length = int(headers.get("content-length", "0"))
    return (Seen(method, path, headers, rest[:length]), rest[length:]) if len(rest) >= length else None


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Gateway:
    """An Envoy with what tests ask of it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.envoy = Envoy(directory, 0, flush_ms=20)

    @property
    def port(self) -> int:
        return self.envoy.bound_port()

    def send(
        self, path: str, *, headers: dict[str, str] | None = None, body: bytes = b"{}", method: str = "POST"
    ) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body, {"content-type": "application/json", **(headers or {})})
            response = connection.getresponse()
            return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def send_all(self, model: str, units: list[bytes], header: str = "x-unit-id", connections: int = 1) -> None:
        """One request for each unit, pipelined on each connection; every answer must be a 200."""
        port = self.port

        def send(mine: list[bytes]) -> None:
            with socket.create_connection(("127.0.0.1", port), timeout=30) as wire:
                for start in range(0, len(mine), 100):
                    batch = mine[start : start + 100]
                    wire.sendall(b"".join(_request(model, header, unit) for unit in batch))
                    _read_answers(wire, len(batch))

        with ThreadPoolExecutor(connections) as pool:
            list(pool.map(send, (units[start::connections] for start in range(connections))))

    def lines(self, name: str, count: int) -> list[dict[str, Any]]:
        """The lines of a log, once there are ``count`` of them."""
        path = self.directory / "log" / f"{name}.jsonl"
        deadline = time.monotonic() + 10
        while True:
            text = path.read_bytes() if path.exists() else b""
            if text.count(b"\n") >= count or time.monotonic() > deadline:
                return [read(line) for line in text.splitlines()]
            time.sleep(0.01)


def _request(model: str, header: str, unit: bytes) -> bytes:
    head = b"POST /models/%s/predict HTTP/1.1\r\nhost: g\r\ncontent-length: 0\r\n" % model.encode()
    return head + b"%s: %s\r\n\r\n" % (header.encode(), unit)


def _read_answers(wire: socket.socket, count: int) -> None:
    data = b""
    while count:
        head, found, rest = data.partition(b"\r\n\r\n")
        length = 0
        if found:
            assert head.startswith(b"HTTP/1.1 200"), head
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if found and len(rest) >= length:
            data, count = rest[length:], count - 1
            continue
        more = wire.recv(1 << 16)
        assert more, f"closed with {count} answers missing"
        data += more


@pytest.fixture
def upstream() -> Iterator[Callable[..., Upstream]]:
    """Start model servers by name; all end with the test."""
    running: list[Upstream] = []

    def start(name: str, **options: Any) -> Upstream:
        running.append(Upstream(name, **options))
        return running[-1]

    yield start
    for server in running:
        server.die()


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    """A started Envoy that knows no model yet; it ends with the test."""
    made = Gateway(tmp_path / "gateway")
    made.envoy.start()
    yield made
    with suppress(FileNotFoundError):
        made.envoy.stop()


@pytest.fixture
def fraud(upstream: Callable[..., Upstream]) -> Callable[..., ModelRoute]:
    """The route of the model ``fraud`` with champion 7; options as of ``ModelRoute``."""
    champion = upstream("7")

    def route(**options: Any) -> ModelRoute:
        plain = ModelRoute(model="fraud", salt="s-1", unit_header="x-unit-id", champion=champion.backend())
        return replace(plain, **options)

    return route


@pytest.fixture
def table() -> Callable[..., RouteTable]:
    """A table of the given routes: ``table(3, route, ...)``."""
    return lambda generation, *routes, replay=False: RouteTable(generation, routes, replay)


@pytest.fixture
def clock() -> datetime:
    return datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
