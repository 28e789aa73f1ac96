"""A version's real server, started for a check and stopped after it, and what it answers."""

from __future__ import annotations

import contextlib
import http.client
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seatrial.ci.parity import Scores
from seatrial.errors import SeatrialError, Unavailable
from seatrial.registry.version import ModelVersion
from seatrial.serving.process import HostProcess
from seatrial.serving.versions import host_spec
from seatrial.store.artifacts import ArtifactStore

READY_S = 60.0
ANSWER_S = 60.0
ROWS_AT_ONCE = 500

Row = Mapping[str, Any]


@contextlib.contextmanager
def served(
    version: ModelVersion, artifacts: ArtifactStore, directory: Path, *, within_s: float = READY_S
) -> Iterator[HostProcess]:
    """The version's host, answering; ended with the block. Raises Unavailable with its last words if it does not."""
    if version.serving.artifact is not None:
        artifacts.verify(version.serving.artifact)
    host = HostProcess(host_spec(version, artifacts), directory)
    try:
        host.start()
        if not host.ready(within_s):
            raise Unavailable("ST1213", f"the host of {version.name} did not come up in {within_s:g} s.")
        yield host
    finally:
        host.stop()


def scores(host: HostProcess, rows: Sequence[Row], *, until: float = math.inf) -> Scores:
    """One number for each row: the last class's probability, or the prediction itself. Shape (n,).

    A row that the host refuses or fails on is NaN. Raises SeatrialError where the answer is no number at all, and
    Unavailable (ST1226) where there are rows left ``until`` this time of the monotonic clock.
    """
    answers = [_ask(host, rows[at : at + ROWS_AT_ONCE], until) for at in range(0, len(rows), ROWS_AT_ONCE)]
    return np.concatenate(answers) if answers else np.empty(0)


def scores_of(
    version: ModelVersion,
    artifacts: ArtifactStore,
    rows: Sequence[Row],
    directory: Path,
    *,
    timeout_s: float = math.inf,
) -> Scores:
    """``scores`` of a version that is served for this alone, its start counted."""
    until = time.monotonic() + timeout_s
    with served(version, artifacts, directory, within_s=min(READY_S, timeout_s)) as host:
        return scores(host, rows, until=until)


def _ask(host: HostProcess, rows: Sequence[Row], until: float) -> Scores:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    data = [[row.get(name) for name in columns] for row in rows]
    status, told = _post(host, {"dataframe_split": {"columns": columns, "data": data}}, until)
    if status == 200:
        return _read(told, len(rows))
    if len(rows) == 1:
        return np.array([np.nan])
    half = len(rows) // 2  # a host answers a batch whole or not at all: find the rows that it fails on
    return np.concatenate([_ask(host, rows[:half], until), _ask(host, rows[half:], until)])


def _post(host: HostProcess, body: object, until: float) -> tuple[int, bytes]:
    name, left = f"{host.spec.model} v{host.spec.version}", until - time.monotonic()
    if left <= 0:
        raise _late(name)
    connection = http.client.HTTPConnection(host.spec.host, host.port, timeout=min(ANSWER_S, left))
    try:
        connection.request("POST", "/invocations", json.dumps(body), {"content-type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, TimeoutError) and time.monotonic() >= until:
            raise _late(name) from None
        raise Unavailable("ST1214", f"the host of {name} broke off: {error}.") from None
    finally:
        connection.close()


def _late(name: str) -> Unavailable:
    return Unavailable("ST1226", f"{name} did not answer all rows in time.", remedy="A longer timeout, or fewer rows.")


def _read(body: bytes, count: int) -> Scores:
    try:
        told = json.loads(body)["predictions"]
        found = np.asarray([one[-1] if isinstance(one, list) else one for one in told], dtype=np.float64)
    except (ValueError, TypeError, KeyError, IndexError):
        raise SeatrialError(
            "ST1215", f"the answer is not {count} numbers: {body[:80]!r}.",
            remedy="Checks of scores need a model that answers with numbers at /invocations.",
        ) from None  # fmt: skip
    if found.shape != (count,):
        raise SeatrialError("ST1215", f"{count} rows went in and {found.size} answers came back.")
    return found
