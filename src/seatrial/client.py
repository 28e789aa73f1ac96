"""Talking to seatrial from a service: ask a model through the gateway, and say later what became of it.

Standard library only, so that it can be imported anywhere.
"""

from __future__ import annotations

import http.client
import json
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

DEFAULT_API = "http://127.0.0.1:8700"
DEFAULT_GATEWAY = "http://127.0.0.1:8710"


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of a model: ``id`` is what its outcome is reported under, ``version`` and ``level`` who answered."""

    status: int
    id: str
    version: str
    arm: str
    level: str
    body: Any

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def predictions(self) -> Any:
        """The ``predictions`` of the body; None if it has none."""
        return self.body.get("predictions") if isinstance(self.body, dict) else None

    def __repr__(self) -> str:
        return f"Answer({self.status}, v{self.version} as {self.arm}, id {self.id})"


class Client:
    """Keeps one connection per thread. Raises OSError when nobody listens.

    ``token`` is only needed for :meth:`log_outcomes`; inside a project directory it is found by itself.
    """

    def __init__(
        self,
        gateway: str | None = None,
        api: str | None = None,
        *,
        token: str | None = None,
        timeout_s: float = 10.0,
        unit_header: str = "x-unit-id",
    ) -> None:
        self.gateway = gateway or os.environ.get("SEATRIAL_GATEWAY", DEFAULT_GATEWAY)
        self.api = api or os.environ.get("SEATRIAL_API", DEFAULT_API)
        self.unit_header = unit_header
        self._token, self._timeout = token, timeout_s
        self._local = threading.local()

    def predict(
        self,
        model: str,
        body: object,
        *,
        unit: str | None,
        path: str = "/invocations",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Ask a model. ``unit`` is who the request is about: the same unit always meets the same version."""
        sent = {"content-type": "application/json", **(headers or {})}
        if unit is not None:
            sent[self.unit_header] = unit
        response, data = self._request(self.gateway, "POST", f"/models/{model}{path}", json.dumps(body), sent)
        stamp = {name: response.getheader(f"x-seatrial-{name}") or "" for name in ("id", "version", "arm", "level")}
        return Answer(status=response.status, body=_parsed(data), **stamp)

    def log_outcome(
        self, model: str, key: str, name: str, value: float, *, time: datetime | None = None, revision: int = 0
    ) -> None:
        """Say what became of one prediction: ``key`` is the id of its answer. On disk when this returns."""
        self.log_outcomes([outcome(model, key, name, value, time=time, revision=revision)])

    def log_outcomes(self, outcomes: Sequence[Mapping[str, Any]]) -> int:
        """Several at once; returns how many were accepted. Raises RuntimeError with the reason otherwise."""
        body = "".join(json.dumps(item) + "\n" for item in outcomes)
        headers = {"content-type": "application/x-ndjson", "authorization": f"Bearer {self._find_token()}"}
        response, data = self._request(self.api, "POST", "/v1/outcomes", body, headers)
        reply = _parsed(data)
        if response.status != http.client.OK:
            raise RuntimeError(f"outcomes were not accepted ({response.status}): {reply}")
        return int(reply["accepted"])

    def call(self, method: str, path: str, body: object | None = None) -> Any:
        """Any call of the HTTP API, with the token. Raises RuntimeError with the error's text."""
        headers = {"content-type": "application/json", "authorization": f"Bearer {self._find_token()}"}
        text = "" if body is None else json.dumps(body)
        response, data = self._request(self.api, method, path, text, headers)
        reply = _parsed(data)
        if response.status >= http.client.BAD_REQUEST:
            raise RuntimeError(reply.get("message", reply) if isinstance(reply, dict) else reply)
        return reply

    def close(self) -> None:
        """Close this thread's connections."""
        for connection in getattr(self._local, "connections", {}).values():
            connection.close()
        self._local.connections = {}

    def _request(
        self, base: str, method: str, path: str, body: str, headers: Mapping[str, str]
    ) -> tuple[http.client.HTTPResponse, bytes]:
        for attempt in (1, 2):
            connection = self._connection(base)
            try:
                connection.request(method, path, body.encode(), dict(headers))
                response = connection.getresponse()
                return response, response.read()
            except (http.client.RemoteDisconnected, http.client.CannotSendRequest, ConnectionError):
                # A kept connection may have been closed by the other side in the meantime: once more on a new one.
                connection.close()
                if attempt == 2:
                    raise
        raise AssertionError("unreachable")

    def _connection(self, base: str) -> http.client.HTTPConnection:
        connections = self._local.__dict__.setdefault("connections", {})
        if base not in connections:
            parts = urlsplit(base)
            kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
            connections[base] = kind(parts.hostname or "", parts.port, timeout=self._timeout)
        found: http.client.HTTPConnection = connections[base]
        return found

    def _find_token(self) -> str:
        if self._token is None:
            self._token = os.environ.get("SEATRIAL_TOKEN") or _project_token()
        return self._token


def outcome(
    model: str, key: str, name: str, value: float, *, time: datetime | None = None, revision: int = 0
) -> dict[str, Any]:
    """One outcome as the API takes it. ``time``: when it became true (now by default)."""
    moment = (time or datetime.now(UTC)).astimezone(UTC).isoformat()
    return {"model": model, "key": key, "name": name, "value": value, "time": moment, "revision": revision}


_shared: dict[int, Client] = {}


def log_outcome(
    model: str, key: str, name: str, value: float, *, time: datetime | None = None, revision: int = 0
) -> None:
    """``Client().log_outcome`` on a client that this process shares."""
    _shared.setdefault(os.getpid(), Client()).log_outcome(model, key, name, value, time=time, revision=revision)


def _project_token() -> str:
    here = Path.cwd()
    for directory in (here, *here.parents):
        path = directory / ".seatrial" / "run" / "token"
        if path.is_file():
            return path.read_text(encoding="utf-8").strip()
    raise RuntimeError("no token: set SEATRIAL_TOKEN, or run inside the project (its token is .seatrial/run/token)")


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return data.decode("utf-8", "replace")
