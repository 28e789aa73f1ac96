"""A foreign model server of many faces: the first segment of the path says which. And a call to whatever listens."""

from __future__ import annotations

import gzip
import http.client
import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

GOOD = {"predictions": [[0.75, 0.25], [0.5, 0.5]]}
TWO_ROWS = json.dumps({"instances": [[1.0], [2.0]]}).encode()
JSON = "application/json"

ANSWERS: dict[str, tuple[int, str, bytes]] = {
    "good": (200, JSON, json.dumps(GOOD).encode()),
    "failing": (500, JSON, b'{"error_code": "INTERNAL", "message": "boom"}'),
    "nan": (200, JSON, b'{"predictions": [[0.5, NaN], [0.5, 0.5]]}'),
    "null": (200, JSON, b'{"predictions": [null, 0.5]}'),
    "short": (200, JSON, b'{"predictions": [0.5]}'),
    "html": (200, JSON, b"<html>it works</html>"),
    "empty": (200, JSON, b""),
    "other": (200, JSON, b'{"status": "ok"}'),
    "chat": (200, JSON, b'{"choices": [{"message": {"content": "hello"}}]}'),
    "told": (200, JSON, json.dumps({**GOOD, "features": [{"x": 8}, {"x": 9}]}).encode()),
    "features": (200, JSON, json.dumps({**GOOD, "features": [{"x": 1, "y": "ö"}, {"x": 2, "y": "z"}]}).encode()),
    "csv": (200, "text/csv", b"0.25\n0.5\n"),
    "lines": (200, "application/jsonlines", b'{"score": 0.25, "features": 1}\n{"score": 0.5}\n'),
    "tensors": (200, "application/octet-stream", b'{"outputs": []}\x00\x01\x02'),
    "moved": (307, JSON, b""),
    "nothing": (204, JSON, b""),
    "large": (200, JSON, b'{"predictions": [' + b"0.5," * 400_000 + b"0.5]}"),
}
STREAMS = {"words": (5, 0.05), "endless": (10_000, 0.02), "stuck": (2, 30.0)}
"""Server-sent events: so many, with so many seconds between them."""


class Foreign(ThreadingHTTPServer):
    """``released`` ends what hangs; ``gone`` is set when a stream finds that nobody listens any more."""

    daemon_threads = True
    request_queue_size = 128  # the default of 5 would drop connections and look like a hang

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.released, self.gone = threading.Event(), threading.Event()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever asked did not wait."""


@contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[Foreign]:
    server = Foreign()
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Foreign

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        what = self.path.split("/")[1].partition("?")[0]
        if what in STREAMS:
            self._stream(*STREAMS[what])
        elif what == "broken":
            self.close_connection = True
            self.connection.close()
        else:
            if what == "hung":
                self.server.released.wait(30)
            self._answer(what, body)

    do_GET = do_HEAD = do_PUT = do_DELETE = do_OPTIONS = do_POST

    def _answer(self, what: str, asked: bytes) -> None:
        told = {"method": self.command, "path": self.path, "headers": dict(self.headers), "bytes": len(asked)}
        status, kind, body = ANSWERS.get(what, (200, JSON, json.dumps(told).encode()))
        self.send_response(status)
        if what == "good":
            body = gzip.compress(body)
            self.send_header("content-encoding", "gzip")
        if what == "moved":
            self.send_header("location", "/good/invocations")
        self.send_header("content-type", kind)
        self.send_header("connection", "keep-alive, x-secret")
        self.send_header("x-secret", "hop by hop")
        self.send_header("x-seatrial-version", "forged")
        self.send_header("x-kept", "yes")
        if what == "told":
            self.send_header("x-seatrial-features", '[{"x":1,"y":2,"@schema":"v3","@as_of":{"x":10,"y":20}},{"x":3}]')
        if status != 204:
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _stream(self, events: int, gap_s: float) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for n in range(events):
            event = f"data: {n}\n\n".encode()
            try:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(event), event))
            except OSError:
                self.server.gone.set()
                return
            if self.server.released.wait(gap_s):
                return
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def ask(
    port: int, path: str, body: bytes | None = TWO_ROWS, method: str = "POST", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, body, {"content-type": JSON, **headers})
        response = connection.getresponse()
        content = response.read()
        return response.status, {k.lower(): v for k, v in response.getheaders()}, content
    finally:
        connection.close()


def within(seconds: float, done: Any) -> Any:
    """Until it is so; the only limit is a generous one."""
    deadline = time.monotonic() + seconds
    while not (found := done()):
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.02)
    return found
