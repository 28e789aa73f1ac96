"""A model server that misbehaves on the wire in whatever way its ``mode`` says, while it runs."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from seatrial import processes

STUCK_S = 3.0
"""Longer than any attempt of these tests lasts."""

JSON = "application/json"
DROPS = "drops kept connections"


@dataclass(frozen=True)
class Asked:
    """A request as it came in."""

    method: str
    path: str
    headers: Mapping[str, str]
    rows: list[dict[str, Any]]


class Rogue:
    """One server; ``mode`` is a key of ``MODES`` and may change between requests. ``asked``: what came in, in order.

    ``refused`` is no mode: ``die`` stops listening, ``start`` listens again on the same port.
    """

    def __init__(self, name: str, score: float = 0.5) -> None:
        self.name, self.score, self.mode = name, score, "good"
        self.asked: list[Asked] = []
        self.port = processes.free_port()
        self._listener: socket.socket | None = None
        self._wires: set[socket.socket] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def die(self) -> None:
        """Refuse connections from now on, and drop the open ones."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)  # wakes up whoever waits for a connection
            self._listener.close()
            self._listener = None
        for wire in [*self._wires]:
            _reset(wire)

    def answer(self, asked: Asked) -> dict[str, Any]:
        return {"predictions": [self.score] * len(asked.rows)}

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                wire, _ = listener.accept()
            except OSError:
                return
            self._wires.add(wire)
            if self._listener is not listener:  # it died between the two lines above: nobody else would drop this one
                _reset(wire)
                continue
            threading.Thread(target=self._serve, args=(wire,), daemon=True).start()

    def _serve(self, wire: socket.socket) -> None:
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError), wire, wire.makefile("rb") as stream:
            for n in itertools.count():
                asked = _read(stream)
                if asked is None or (n and self.mode == DROPS):
                    break
                self.asked.append(asked)
                answer = MODES[self.mode] if asked.method != "HEAD" else _no_body
                if not answer(wire, self.answer(asked)):
                    break
        self._wires.discard(wire)


def _read(stream: Any) -> Asked | None:
    """The next request of a connection; None at its end."""
    first = stream.readline().decode("latin-1").split()
    if len(first) != 3:
        return None
    headers = {}
    while line := stream.readline().decode("latin-1").strip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    body = stream.read(int(headers.get("content-length", "0")))
    if headers.get("content-encoding") == "gzip":
        body = gzip.decompress(body)
    return Asked(first[0], first[1], headers, _rows(body))


def _rows(body: bytes) -> list[dict[str, Any]]:
    try:
        return list(json.loads(body)["dataframe_records"])
    except (ValueError, KeyError, TypeError):
        return []


def send(wire: socket.socket, body: bytes, *, status: int = 200, kind: str = JSON, **headers: object) -> bool:
    """A complete answer; the connection stays open."""
    lines = {"content-type": kind, "content-length": len(body), **{k.replace("_", "-"): v for k, v in headers.items()}}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value is not None)
    wire.sendall(f"HTTP/1.1 {status} Any\r\n{head}\r\n".encode() + body)
    return True


def _no_body(wire: socket.socket, document: object) -> bool:
    return send(wire, b"")


def _json(wire: socket.socket, document: object, **more: Any) -> bool:
    return send(wire, json.dumps(document).encode(), **more)


def _slow(seconds: float) -> Callable[[socket.socket, Any], bool]:
    def answer(wire: socket.socket, document: Any) -> bool:
        time.sleep(seconds)
        return _json(wire, document)

    return answer


def _chunked(wire: socket.socket, pieces: list[bytes], *, kind: str, pause_s: float = 0.0) -> bool:
    wire.sendall(f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n".encode())
    for n, piece in enumerate(pieces):
        time.sleep(pause_s if n else 0)
        wire.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
    wire.sendall(b"0\r\n\r\n")
    return True


def _in_chunks(wire: socket.socket, document: Any) -> bool:
    text = json.dumps(document).encode()
    return _chunked(wire, [text[n : n + 7] for n in range(0, len(text), 7)], kind=JSON)


def _events(wire: socket.socket, document: Any) -> bool:
    return _chunked(wire, [b"data: %d\n\n" % n for n in range(4)], kind="text/event-stream", pause_s=0.15)


def _events_then(wire: socket.socket, document: Any, *, pause_s: float) -> bool:
    """Two events, and the third never comes: the connection closes after a while."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    wire.sendall(head + b"9\r\ndata: 0\n\n\r\n9\r\ndata: 1\n\n\r\n")
    time.sleep(pause_s)
    return False


def _stops_in_body(wire: socket.socket, document: Any) -> bool:
    send(wire, b'{"predictions": [0.', content_length=1000)
    time.sleep(STUCK_S)
    return False


def _breaks_off(wire: socket.socket, document: Any) -> bool:
    send(wire, b'{"predictions": [0.', content_length=1000)
    return False


def _resets_after_headers(wire: socket.socket, document: Any) -> bool:
    send(wire, b"", content_length=1000)
    _reset(wire)
    return False


def _resets(wire: socket.socket, document: Any) -> bool:
    _reset(wire)
    return False


def _half_closes(wire: socket.socket, document: Any) -> bool:
    wire.shutdown(socket.SHUT_WR)
    time.sleep(STUCK_S)
    return False


def _closes_unsaid(wire: socket.socket, document: Any) -> bool:
    """A good answer that promises to keep the connection, and a connection that closes: the race of keep-alive."""
    _json(wire, document)
    return False


def _reset(wire: socket.socket) -> None:
    """RST instead of FIN."""
    with contextlib.suppress(OSError):
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        wire.shutdown(socket.SHUT_RD)
    wire.close()


MODES: dict[str, Callable[[socket.socket, Any], bool]] = {
    "good": _json,
    "hang": lambda wire, document: bool(time.sleep(STUCK_S)),
    "slow below the limit": _slow(0.15),
    "slow above the limit": _slow(1.0),
    "stops in the body": _stops_in_body,
    "breaks off": _breaks_off,
    "resets": _resets,
    "resets after headers": _resets_after_headers,
    "half closes": _half_closes,
    "closes unsaid": _closes_unsaid,
    DROPS: _json,
    "500": lambda wire, document: _json(wire, {"error": "out of memory"}, status=500),
    "503": lambda wire, document: _json(wire, {"error": "later"}, status=503, retry_after=1),
    "429": lambda wire, document: _json(wire, {"error": "too many"}, status=429, retry_after=1),
    "400": lambda wire, document: _json(wire, {"error": "no such column"}, status=400),
    "NaN": lambda wire, document: send(wire, b'{"predictions": [NaN]}'),
    "null": lambda wire, document: _json(wire, {"predictions": [None]}),
    "a row too many": lambda wire, document: _json(wire, {"predictions": [*document["predictions"], 0.5]}),
    "no rows": lambda wire, document: _json(wire, {"predictions": []}),
    "not JSON": lambda wire, document: send(wire, b"0.5 or so"),
    "HTML with 200": lambda wire, document: send(wire, b"<html>Maintenance</html>", kind="text/html"),
    "binary": lambda wire, document: send(wire, bytes(range(256)) * 4, kind="application/octet-stream"),
    "empty": lambda wire, document: send(wire, b""),
    "204": lambda wire, document: send(wire, b"", status=204, content_length=None),
    "redirect": lambda wire, document: send(wire, b"", status=302, location="http://127.0.0.1:9/"),
    "10 MB": lambda wire, document: _json(wire, {**document, "why": "x" * 10_000_000}),
    "chunked": _in_chunks,
    "gzip": lambda wire, document: send(wire, gzip.compress(json.dumps(document).encode()), content_encoding="gzip"),
    "broken gzip": lambda wire, document: send(wire, b"\x1f\x8b\x08 no", content_encoding="gzip"),
    "events": _events,
    "events that break off": partial(_events_then, pause_s=0.05),
    "events that stop": partial(_events_then, pause_s=STUCK_S),
    "garbage": lambda wire, document: bool(wire.sendall(b"\x00\x01 hello\r\n\r\n")),
    "two answers": lambda wire, document: _json(wire, document) and _json(wire, {"predictions": [9.0]}),
    "long headers": lambda wire, document: _json(wire, document, x_long="x" * 20_000),
}
