"""Talking to seatrial from a service: ask a model through the gateway, and say later what became of it.

Standard library only, so that it can be imported anywhere. Here everything is answered before it returns, and what
fails raises; ``seatrial.sender`` sends outcomes in the background.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from seatrial.instants import in_utc

DEFAULT_API = "http://127.0.0.1:8700"
DEFAULT_GATEWAY = "http://127.0.0.1:8710"

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0
"""Between attempts to deliver outcomes: twice as long each time, with jitter."""

BUSY = frozenset({429, 502, 503, 504})
"""Answers that say: not now."""


class OutcomesRefused(RuntimeError):
    """The API did not take the outcomes, and would not if they came again; the text says why."""


class _Busy(OSError):
    """The API answers, and has no time."""


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
    """Keeps one connection per thread. Raises OSError when nobody listens, or nobody answers in time.

    ``timeout_s`` is that of connecting, and of each wait for an answer. ``retry_s``: for how long outcomes are sent
    again when they cannot be delivered; that is harmless, for the same outcome twice counts once. A prediction is only
    sent again when a kept connection turned out to be closed. ``token`` is only needed for :meth:`log_outcomes` and
    :meth:`call`; inside a project directory it is found by itself.
    """

    def __init__(
        self,
        gateway: str | None = None,
        api: str | None = None,
        *,
        token: str | None = None,
        timeout_s: float = 10.0,
        retry_s: float = 5.0,
        unit_header: str = "x-unit-id",
    ) -> None:
        self.gateway = gateway or os.environ.get("SEATRIAL_GATEWAY", DEFAULT_GATEWAY)
        self.api = api or os.environ.get("SEATRIAL_API", DEFAULT_API)
        self.unit_header = unit_header
        self._token, self._timeout, self._retry_s = token, timeout_s, retry_s
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
        sent: dict[str, str | bytes] = {"content-type": "application/json", **(headers or {})}
        if unit is not None:
            sent[self.unit_header] = unit.encode("utf-8", "surrogateescape")
        response, data = self._request(self.gateway, "POST", f"/models/{quote(model)}{path}", json.dumps(body), sent)
        stamp = {name: response.getheader(f"x-seatrial-{name}") or "" for name in ("id", "version", "arm", "level")}
        return Answer(status=response.status, body=_parsed(data), **stamp)

    def log_outcome(
        self, model: str, key: str, name: str, value: float, *, time: datetime | None = None, revision: int = 0
    ) -> None:
        """Say what became of one prediction: ``key`` is the id of its answer. On disk when this returns."""
        self.log_outcomes([outcome(model, key, name, value, time=time, revision=revision)])

    def log_outcomes(self, outcomes: Sequence[Mapping[str, Any]]) -> int:
        """Several at once, all or none; returns how many were accepted: these are on disk.

        Sends again, for ``retry_s`` seconds, what could not be delivered or whose answer was lost. Raises
        OutcomesRefused with the reason, or OSError when they could not be delivered.
        """
        body = "".join(json.dumps(item) + "\n" for item in outcomes)
        deadline, pause = time.monotonic() + self._retry_s, FIRST_PAUSE_S
        while True:
            try:
                return self._deliver(body)
            except OSError as error:
                if time.monotonic() + pause > deadline:
                    raise OSError(f"outcomes could not be delivered to {self.api}: {error!r}") from error
            time.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, LONGEST_PAUSE_S)

    def _deliver(self, body: str) -> int:
        headers = {"content-type": "application/x-ndjson", "authorization": f"Bearer {self._find_token()}"}
        response, data = self._request(self.api, "POST", "/v1/outcomes", body, headers)
        reply = _parsed(data)
        if response.status in BUSY:
            raise _Busy(f"{response.status}: {_reason(reply)}")
        if response.status != http.client.OK:
            raise OutcomesRefused(f"outcomes were not accepted ({response.status}): {_reason(reply)}")
        return int(reply["accepted"])

    def call(self, method: str, path: str, body: object | None = None) -> Any:
        """Any call of the HTTP API, with the token.

        Raises OSError where the same call may be answered later (503 while the gateway is being replaced, say), and
        RuntimeError with the error's text where it would not be.
        """
        headers = {"content-type": "application/json", "authorization": f"Bearer {self._find_token()}"}
        text = "" if body is None else json.dumps(body)
        response, data = self._request(self.api, method, path, text, headers)
        reply = _parsed(data)
        if response.status in BUSY:
            raise _Busy(_reason(reply))
        if response.status >= http.client.BAD_REQUEST:
            raise RuntimeError(_reason(reply))
        return reply

    def close(self) -> None:
        """Close this thread's connections."""
        for connection in getattr(self._local, "connections", {}).values():
            connection.close()
        self._local.connections = {}

    def _request(
        self, base: str, method: str, path: str, body: str, headers: Mapping[str, str | bytes]
    ) -> tuple[http.client.HTTPResponse, bytes]:
        connection = self._connection(base)
        kept = connection.sock is not None
        try:
            return _exchange(connection, method, path, body.encode(), headers)
        except ConnectionError:
            if not kept:
                raise
        # A kept connection may have been closed by the other side in the meantime: once more on a new one.
        return _exchange(connection, method, path, body.encode(), headers)

    def _connection(self, base: str) -> http.client.HTTPConnection:
        if getattr(self._local, "pid", None) != os.getpid():
            self._local.pid, self._local.connections = os.getpid(), {}  # a parent's connections are not its child's
        connections = self._local.connections
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
    model: str,
    key: str,
    name: str,
    value: float,
    *,
    time: datetime | None = None,
    revision: int = 0,
    item: str | None = None,
) -> dict[str, Any]:
    """One outcome as the API takes it. ``time``: when it became true, with its offset (now by default).

    ``item``: what of a ranked list it is about, e.g. the item that was clicked.
    """
    moment = time or datetime.now(UTC)
    if moment.tzinfo is None:
        raise ValueError(f"outcome {name!r} of {key!r}: the time {moment.isoformat()} has no offset")
    moment = in_utc(moment)
    return {
        "model": model, "key": key, "name": name, "value": float(value), "time": moment.isoformat(),
        "revision": revision, **({} if item is None else {"item": item}),
    }  # fmt: skip


def _exchange(
    connection: http.client.HTTPConnection, method: str, path: str, body: bytes, headers: Mapping[str, str | bytes]
) -> tuple[http.client.HTTPResponse, bytes]:
    """One request and its answer. After a failure the connection is closed, so the next request opens it anew."""
    try:
        try:
            connection.request(method, path, body, dict(headers))
        except (BrokenPipeError, ConnectionResetError):
            if connection.sock is None:
                raise
            # Whoever refuses a long body answers while it is still being sent, and closes.
        response = connection.getresponse()
        return response, response.read()
    except BaseException as error:
        connection.close()
        if isinstance(error, http.client.HTTPException) and not isinstance(error, OSError):
            raise OSError(f"{connection.host}:{connection.port} broke off its answer: {error!r}") from error
        raise


def _project_token() -> str:
    here = Path.cwd()
    for directory in (here, *here.parents):
        path = directory / ".seatrial" / "run" / "token"
        if path.is_file():
            return path.read_text(encoding="utf-8").strip()
    raise RuntimeError("no token: set SEATRIAL_TOKEN, or run inside the project (its token is .seatrial/run/token)")


def _reason(reply: Any) -> str:
    return str(reply.get("message", reply)) if isinstance(reply, dict) else str(reply)


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return data.decode("utf-8", "replace")
