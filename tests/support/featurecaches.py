"""Models that look their features up: a feature store, a cache of it for each model, and servers that tell what they
used."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import seatrial as st
from livesystem import fraction, truth

Features = Mapping[str, tuple[Any, float]]
"""Values by name, each with the time at which it was true, in seconds since 1970."""


class FeatureCache:
    """A copy of a feature store in a file: what one model's server looks up."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._open() as db:
            db.execute("CREATE TABLE features (unit TEXT, name TEXT, value TEXT, as_of REAL, PRIMARY KEY (unit, name))")

    def fill(self, rows: Mapping[str, Features], *, missed: Collection[str] = ()) -> None:
        """Take over what the store has; units that are ``missed`` keep what they had."""
        with self._open() as db:
            db.executemany(
                "INSERT OR REPLACE INTO features VALUES (?, ?, ?, ?)",
                [
                    (unit, name, json.dumps(value), as_of)
                    for unit, features in rows.items()
                    if unit not in missed
                    for name, (value, as_of) in features.items()
                ],
            )

    def get(self, unit: str) -> Features:
        with self._open() as db:
            found = db.execute("SELECT name, value, as_of FROM features WHERE unit = ?", [unit]).fetchall()
        return {name: (json.loads(value), as_of) for name, value, as_of in found}

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """The file; what is written is there when this ends."""
        with closing(sqlite3.connect(self.path)) as db, db:
            yield db


class LookingServer:
    """A foreign model server that looks its features up in a cache, and says so with its answer.

    ``tells``: whether it does; a server that does not is one whose inputs nobody can compare.
    """

    def __init__(self, name: str, cache: FeatureCache, *, tells: bool = True) -> None:
        self.name, self.cache, self.tells = name, cache, tells
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.model = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def die(self) -> None:
        """Take no more connections."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, unit: str) -> tuple[float, dict[str, str]]:
        """The score of a unit, and the headers that say what it was made of."""
        features = self.cache.get(unit)
        headers: dict[str, str] = {}
        if self.tells:
            values = {name: value for name, (value, _) in features.items()}
            st.log_features(headers, values, as_of={name: as_of for name, (_, as_of) in features.items()}, schema="v1")
        return abs(truth(unit) - 0.3 - 0.1 * fraction(self.name, unit)), headers


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True
    block_on_close = False
    model: LookingServer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        rows = json.loads(self.rfile.read(int(self.headers["content-length"])))["dataframe_records"]
        score, headers = self.server.model.answer(rows[0]["unit"])
        body = json.dumps({"predictions": [score]}).encode()
        self.send_response(200)
        for name, value in (headers | {"content-type": "application/json", "content-length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *given: object) -> None:
        """Say nothing."""
