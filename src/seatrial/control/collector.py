"""Capture logs to Parquet, and the count of what was captured beside Envoy's own count of what it answered."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from seatrial.control.project import Project
from seatrial.errors import Unavailable
from seatrial.events.capture import CaptureContext, convert
from seatrial.events.outcomes import OutcomeLog
from seatrial.events.parts import LogReader, Progress, ingest, list_parts, model_directory
from seatrial.evidence.snapshot import Captured
from seatrial.gateway.envoy import Envoy
from seatrial.ids import Arm
from seatrial.store.db import Store

Key = tuple[str, int, str]
"""Rollout, phase, arm."""

BASES_KEY = "capture.bases"
SETTLE_S = 10.0
_COLUMNS = ["row", "rollout", "phase", "arm"]


class Collector:
    """Drains the live and the shadow log. One per project; whoever calls it holds the controller's lock."""

    def __init__(self, project: Project, store: Store, envoy: Envoy, outcomes: OutcomeLog) -> None:
        self._project, self._store, self._envoy, self._outcomes = project, store, envoy, outcomes
        logs = (envoy.settings.live_log, envoy.settings.shadow_log)
        self._sources = []
        for path in map(project.gateway.__truediv__, logs):
            progress = Progress(project.state / "capture" / f"{path.stem}.json")
            self._sources.append((LogReader(path, progress.load()), progress))
        self._logged: Counter[Key] = Counter()
        self._counters: dict[Key, int] = {}
        self._envoy_pid: int | None = None
        self._bases: dict[Key, int] = {}

    def recount(self, model: str, rollout: str) -> None:
        """Count again what the parts hold of one rollout: after a start nothing is taken from memory."""
        for key in [key for key in self._logged if key[0] == rollout]:
            del self._logged[key]
        import pyarrow.parquet as pq

        for part in list_parts(model_directory(self._project.events, model)):
            self._count(pq.read_table(part.path, columns=_COLUMNS), only=rollout)

    def collect(self, contexts: Mapping[str, CaptureContext], watermark: datetime, captured_at: datetime) -> int:
        """Convert every complete line; returns the rows written. Counters read before bound what must be there."""
        before = self._read_counters()
        rows = 0
        for reader, progress in self._sources:
            make = partial(self._convert, contexts, watermark, captured_at)
            rows += ingest(reader, progress, self._project.events, make)
        self._outcomes.convert(watermark=watermark)
        self._counters = before
        return rows

    def settle(self, contexts: Mapping[str, CaptureContext], watermark: datetime, captured_at: datetime) -> None:
        """Collect until everything that was answered is captured (a replay waits for this before time moves on).

        Raises Unavailable when the log does not catch up: time must not move over lost events.
        """
        deadline = time.monotonic() + SETTLE_S
        steady = 0
        while True:
            before = self._read_counters()
            self.collect(contexts, watermark, captured_at)
            done = all(self._logged[key] >= count for key, count in before.items())
            steady = steady + 1 if done and before == self._read_counters() else 0
            if steady >= 2:
                return
            if time.monotonic() > deadline:
                missing = {key: n - self._logged[key] for key, n in before.items() if self._logged[key] < n}
                raise Unavailable(
                    "ST0826", f"the capture log does not catch up with Envoy's counters: {missing} requests missing.",
                    remedy="Look at `seatrial logs gateway`; a full disk is the commonest cause.",
                )  # fmt: skip
            time.sleep(0.02)

    def captured(self, rollout: str) -> dict[tuple[int, Arm], Captured]:
        """Logged and counted requests of a rollout per (phase, arm).

        Envoy's counter is read before the log is drained and again now; what is logged must lie between.
        """
        now = self._read_counters()
        found: dict[tuple[int, Arm], Captured] = {}
        for key in {*now, *self._logged}:
            if key[0] != rollout or key[2] not in ("champion", "canary", "shadow"):
                continue
            logged, low, high = self._logged[key], self._counters.get(key, 0), now.get(key, 0)
            arm: Arm = key[2]  # type: ignore[assignment]
            found[key[1], arm] = Captured(logged, min(max(logged, low), max(high, low)))
        return found

    def _convert(
        self, contexts: Mapping[str, CaptureContext], watermark: datetime, captured_at: datetime, data: bytes
    ) -> dict[str, pa.Table]:
        tables = convert(data, contexts, watermark=watermark, captured_at=captured_at)
        for table in tables.values():
            self._count(table.select(_COLUMNS))
        return tables

    def _count(self, table: pa.Table, only: str | None = None) -> None:
        wanted = pc.and_(pc.equal(table["row"], 0), pc.is_valid(table["rollout"]))
        if only is not None:
            wanted = pc.and_(wanted, pc.equal(table["rollout"], only))
        groups = table.filter(wanted).group_by(["rollout", "phase", "arm"]).aggregate([("row", "count")])
        for row in groups.to_pylist():
            self._logged[row["rollout"], row["phase"], row["arm"]] += row["row_count"]

    def _read_counters(self) -> dict[Key, int]:
        """Envoy's counters since the rollout began. A new Envoy counts from zero: what was logged then is the base."""
        pid = self._envoy.pid
        if pid != self._envoy_pid:
            self._rebase(pid)
        try:
            counters = self._envoy.counters()
        except Unavailable:
            return dict(self._counters)
        current = {(r, p, a): n for (r, p, a), n in counters.items() if r is not None and p is not None}
        return {key: self._bases.get(key, 0) + n for key, n in current.items()}

    def _rebase(self, pid: int | None) -> None:
        with self._store.begin() as tx:
            stored = tx.settings.get(BASES_KEY)
            if stored is not None and stored.value["pid"] == pid:
                self._bases = {(r, p, a): n for r, p, a, n in stored.value["bases"]}
            elif pid is not None:
                self._bases = dict(self._logged) if stored is not None else {}
                bases = [[*key, n] for key, n in sorted(self._bases.items())]
                tx.settings.put(BASES_KEY, {"pid": pid, "bases": bases}, datetime.now().astimezone())
        self._envoy_pid = pid
