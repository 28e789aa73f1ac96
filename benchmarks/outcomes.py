"""Outcomes a second, durable when acknowledged: through the API, in process, and what the disk alone takes."""

from __future__ import annotations

import json
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.proxies import Upstreams
from benchmarks.system import MODEL, system
from benchmarks.table import Result, Target
from seatrial.events.outcomes import Outcome, OutcomeLog
from seatrial.processes import free_port

BATCH = 1000


def bench(batches: int) -> Result:
    """``batches`` batches of 1,000, each on disk before the next is sent."""
    result = Result("outcomes", f"Outcomes: {BATCH:,} a batch, fsynced before they are acknowledged")
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        root = Path(scratch)
        floor = _rate(_plain_file(root), batches)
        ways = {
            "OutcomeLog in process": _in_process(root),
            "SQLite insert, one transaction a batch": _sqlite(root),
        }
        result.add(
            way="a file: the same bytes, write + fsync (the floor)", **{"outcomes/s": floor, "of the floor": 1.0}
        )
        for way, write in ways.items():
            rate = _rate(write, batches)
            result.add(way=way, **{"outcomes/s": rate, "of the floor": rate / floor})
        rate = _through_api(root / "project", batches)
        result.add(way="seatrial API, ndjson over HTTP", **{"outcomes/s": rate, "of the floor": rate / floor})
    result.targets.append(Target("at least 50,000 outcomes/s in batches", f"{rate:,.0f}/s", rate >= 50_000))
    return result


def _rate(write: Callable[[int], None], batches: int) -> float:
    began = time.perf_counter()
    for n in range(batches):
        write(n)
    return batches * BATCH / (time.perf_counter() - began)


def _records(n: int) -> list[Outcome]:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    return [Outcome(MODEL, f"key-{n}-{k}", "label", float(k % 2), now) for k in range(BATCH)]


def _ndjson(n: int) -> bytes:
    lines = ({"key": f"key-{n}-{k}", "name": "label", "value": k % 2, "time": 1772323200} for k in range(BATCH))
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def _plain_file(root: Path) -> Callable[[int], None]:
    file = os.open(root / "floor", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    data = _ndjson(0)

    def write(n: int) -> None:
        os.write(file, data)
        os.fsync(file)

    return write


def _in_process(root: Path) -> Callable[[int], None]:
    log = OutcomeLog(root / "outcomes")
    batch = _records(0)

    def write(n: int) -> None:
        log.append(batch)

    return write


def _sqlite(root: Path) -> Callable[[int], None]:
    db = sqlite3.connect(root / "outcomes.db", isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute(
        "CREATE TABLE outcomes (model, key, name, value, time, revision, PRIMARY KEY (model, key, name, revision))"
    )

    def write(n: int) -> None:
        db.execute("BEGIN")
        rows = [(MODEL, f"key-{n}-{k}", "label", k % 2, 1772323200, 0) for k in range(BATCH)]
        db.executemany("INSERT INTO outcomes VALUES (?, ?, ?, ?, ?, ?)", rows)
        db.execute("COMMIT")

    return write


def _through_api(root: Path, batches: int) -> float:
    """A control plane of its own process, one client that waits for each acknowledgement."""
    bodies = [_ndjson(n) for n in range(batches)]
    with system(root, Upstreams(free_port(), free_port(), free_port())) as running:
        headers = {"content-type": "application/x-ndjson"}

        def write(n: int) -> None:
            answer = running.api.post(f"/v1/outcomes?model={MODEL}", content=bodies[n], headers=headers)
            answer.raise_for_status()

        return _rate(write, batches)
