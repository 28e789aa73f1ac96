"""Receivers of alerts on loopback, as good or as bad as a test wants them."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from seatrial import processes


@dataclass(frozen=True)
class Received:
    """One request, and the status it was answered with."""

    headers: dict[str, str]
    body: bytes
    status: int

    @property
    def key(self) -> str:
        return self.headers["idempotency-key"]

    @property
    def document(self) -> Any:
        return json.loads(self.body)


class Receiver:
    """``statuses`` are given one after the other, then 200; ``delay_s`` before each answer. ``stop`` refuses."""

    def __init__(self, *statuses: int, delay_s: float = 0.0, headers: dict[str, str] | None = None) -> None:
        self.port = processes.free_port()
        self.url = f"http://127.0.0.1:{self.port}/hook?token=s3cret"
        self.statuses, self.delay_s, self.headers = [*statuses], delay_s, headers or {}
        self.received: list[Received] = []
        self._server: _Server | None = None

    def start(self) -> Receiver:
        self._server = _Server(("127.0.0.1", self.port), _Handler)
        self._server.receiver = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server = None

    @property
    def accepted(self) -> list[str]:
        """Keys of what was answered with 200, in order."""
        return [got.key for got in self.received if got.status == 200]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    receiver: Receiver


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        receiver = self.server.receiver
        body = self.rfile.read(int(self.headers["content-length"]))
        status = receiver.statuses.pop(0) if receiver.statuses else 200
        receiver.received.append(Received({k.lower(): v for k, v in self.headers.items()}, body, status))
        time.sleep(receiver.delay_s)
        self.send_response(status)
        for name, value in receiver.headers.items():
            self.send_header(name, value)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # whoever asked did not wait
            super().handle()

    def log_message(self, format: str, *given: object) -> None:
        """Say nothing."""
