"""Asking a model host directly, past the gateway: whether it is ready, and for a prediction that nobody gets.

Requests that are asked again are those that users sent last, from the capture log; for an artifact that nobody has
asked yet, a row of zeros. They carry the header that copies for a shadow carry, and are in no log of the gateway.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from seatrial.control.project import Project
from seatrial.events.entry import body_of, text_of
from seatrial.events.wire import is_scored
from seatrial.gateway.routes import Endpoint
from seatrial.serving.process import host_info
from seatrial.serving.spec import HostSpec

TAIL_BYTES = 1 << 20
MOST_SAMPLES = 200
GLANCE_BYTES, GLANCE_SAMPLES = 1 << 17, 3
"""Of the log, where traffic waits for the answer."""

POLL_S = 0.02
HEADERS = {"x-seatrial-shadow": "true"}

_ZEROS: dict[str, object] = {"number": 0.0, "integer": 0, "string": "", "boolean": False}


@dataclass(frozen=True, slots=True)
class Sample:
    """One request for a prediction."""

    path: str
    content_type: str
    body: bytes


def samples(project: Project, model: str, spec: HostSpec, *, glance: bool = False) -> list[Sample]:
    """Requests of a model that were answered well, the latest first; zeros for an artifact without any; or none.

    ``glance``: a few from the very end of the log.
    """
    found = [*_captured(project, model, *((GLANCE_BYTES, GLANCE_SAMPLES) if glance else (TAIL_BYTES, MOST_SAMPLES)))]
    if found or spec.kind != "artifact":
        return found
    kinds = spec.dtypes or ("number",) * len(spec.features)
    row = {name: _ZEROS[kind] for name, kind in zip(spec.features, kinds, strict=True)}
    return [Sample("/invocations", "application/json", json.dumps({"dataframe_records": [row]}).encode())]


def is_ready(endpoint: Endpoint, timeout_s: float) -> bool:
    """Whether the host at an address says that it gives answers."""
    told = host_info(endpoint.host, endpoint.port, timeout_s)
    return told is not None and bool(told.get("ready"))


def predicts(endpoint: Endpoint, sample: Sample, timeout_s: float) -> bool:
    """Whether the host gives a valid prediction: it answers anything else with an error itself."""
    connection = http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=timeout_s)
    try:
        return ask(connection, sample) == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def ask(connection: http.client.HTTPConnection, sample: Sample) -> int:
    """The status of one answer, read to its end. Raises OSError or HTTPException where there is none."""
    connection.request("POST", sample.path, sample.body, {"content-type": sample.content_type, **HEADERS})
    response = connection.getresponse()
    response.read()
    return response.status


def first_answer(endpoint: Endpoint, asked: list[Sample], timeout_s: float) -> tuple[bool, bool]:
    """Wait until a host is ready, and then for its first valid prediction: both facts.

    Without a request to ask again, or where the host takes none of them, its own word is all there is.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        left = deadline - time.monotonic()
        if is_ready(endpoint, max(min(left, 1.0), 0.05)):
            return True, any(predicts(endpoint, sample, max(left, 0.05)) for sample in asked[:3])
        if left <= 0:
            return False, False
        time.sleep(POLL_S)


def _captured(project: Project, model: str, tail: int, most: int) -> Iterator[Sample]:
    """From the end of the log that is written now; bodies that were cut, and requests that failed, are left out."""
    path = project.gateway / "log" / "live.jsonl"
    try:
        with path.open("rb") as file:
            file.seek(max(path.stat().st_size - tail, 0))
            lines = file.read().splitlines()
    except OSError:
        return
    found = 0
    for line in reversed(lines):
        sample = _sample(line, model)
        if sample is not None:
            yield sample
            found += 1
        if found >= most:
            return


def _sample(line: bytes, model: str) -> Sample | None:
    try:
        entry: dict[str, Any] = json.loads(line)
        bodies = entry.get("body")
        entry |= bodies if isinstance(bodies, dict) else {}
        path, method = text_of(entry.get("path")) or "", text_of(entry.get("method")) or ""
        if entry.get("model") != model or str(entry.get("code")) != "200" or not is_scored(method, path):
            return None
        body = body_of(entry, "req")
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None
    if body is None or "req_b64" in entry:  # what is coded may have been packed, too
        return None
    told = body.encode() if isinstance(body, str) else body
    return Sample(path.removeprefix(f"/models/{model}") or "/", text_of(entry.get("ct")) or "application/json", told)
