"""Capture logs to Parquet, and the count of what was captured beside Envoy's own count of what it answered."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from seatrial import processes
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
LAG_S = 1.0
"""What Envoy counted this long before a log was drained is in it: Envoy writes its log every 0.2 s."""

_COLUMNS = ["row", "rollout", "phase", "arm"]


@dataclass(frozen=True, slots=True)
class Scope:
    """What is captured now: how each model's requests are read, and the active rollouts with their models."""

    contexts: Mapping[str, CaptureContext]
    rollouts: Mapping[str, str]


class Collector:
    """Drains the live and the shadow log. One per project; whoever calls it holds the controller's lock.

    After an error nothing is taken from memory: what is read and what is counted comes from the disk again, as it does
    after a restart.
    """

    def __init__(self, project: Project, store: Store, envoy: Envoy) -> None:
        self._project, self._store, self._envoy = project, store, envoy
        self._sources: list[tuple[LogReader, Progress]] = []
        self._outcomes: OutcomeLog | None = None
        self._logged: Counter[Key] = Counter()
        self._sure = False
        self._readings: deque[tuple[float, Mapping[Key, int]]] = deque()
        self._low: Mapping[Key, int] = {}
        self._attached: str | None = None
        self._bases: Mapping[Key, int] = {}

    def collect(self, scope: Scope, watermark: datetime, captured_at: datetime) -> int:
        """Convert every complete line; returns the rows written."""
        self._remember(self._read_counters())
        if not self._sure:
            self._open()
        self._sure, was_sure = False, self._sure
        rows = 0
        for reader, progress in self._sources:
            make = partial(self._convert, scope.contexts, watermark, captured_at)
            rows += ingest(reader, progress, self._project.events, make)
        assert self._outcomes is not None
        self._outcomes.convert(watermark=watermark)
        if not was_sure:
            self._recount(scope.rollouts)
        self._sure = True
        return rows

    def settle(self, scope: Scope, watermark: datetime, captured_at: datetime) -> None:
        """Collect until everything that was answered is captured (a replay waits for this before time moves on).

        Raises Unavailable when the log does not catch up: time must not move over lost events.
        """
        deadline = time.monotonic() + SETTLE_S
        steady = 0
        while True:
            before = self._read_counters()
            self.collect(scope, watermark, captured_at)
            missing = self._missing(before, scope.rollouts)
            done = not missing and before == self._read_counters() and not self._envoy.copies_in_flight()
            steady = steady + 1 if done else 0
            if steady >= 2 and before is not None:
                self._low = before
                return
            if time.monotonic() > deadline:
                raise Unavailable(
                    "ST0826", f"the capture log does not catch up with Envoy's counters: {missing} requests missing.",
                    remedy="Look at `seatrial logs gateway`; a full disk is the commonest cause.",
                )  # fmt: skip
            time.sleep(0.01)

    def captured(self, rollout: str) -> dict[tuple[int, Arm], Captured]:
        """Logged and counted requests of a rollout per (phase, arm).

        What is logged must lie between what Envoy had counted a while before the log was drained and what it has
        counted now. Without Envoy's word nothing is claimed.
        """
        now = self._read_counters()
        found: dict[tuple[int, Arm], Captured] = {}
        for key in {*(now or {}), *self._logged}:
            if key[0] != rollout or key[2] not in ("champion", "canary", "shadow"):
                continue
            arm: Arm = key[2]  # type: ignore[assignment]
            logged, low = self._logged[key], self._low.get(key, 0)
            high = None if now is None else max(now.get(key, 0), low)
            found[key[1], arm] = Captured(logged, None if high is None else min(max(logged, low), high))
        return found

    def attach(self, pid: int) -> None:
        """Count with this Envoy from now on. One that is new counts from zero: what is logged by now is the base.

        The log of the one before has been drained: collect first, whoever replaces an Envoy.
        """
        name = f"{pid}:{processes.started(pid)}"
        with self._store.begin() as tx:
            stored = tx.settings.get(BASES_KEY)
            if stored is not None and stored.value["envoy"] == name:
                self._bases = {(r, p, a): n for r, p, a, n in stored.value["bases"]}
            else:
                self._bases = dict(self._logged)
                bases = [[*key, n] for key, n in sorted(self._bases.items())]
                tx.settings.put(BASES_KEY, {"envoy": name, "bases": bases}, datetime.now(UTC))
        self._attached = name
        self._readings.clear()
        self._low = {}

    def close(self) -> None:
        """Let go of the logs; what was read stays read."""
        for reader, _ in self._sources:
            reader.close()
        self._sources, self._outcomes, self._sure = [], None, False

    # ── reading ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _open(self) -> None:
        """Begin where the disk says that everything before is kept."""
        self.close()
        settings = self._envoy.settings
        for path in map(self._project.gateway.__truediv__, (settings.live_log, settings.shadow_log)):
            progress = Progress(self._project.state / "capture" / f"{path.stem}.json")
            self._sources.append((LogReader(path, progress.load()), progress))
        self._outcomes = OutcomeLog(self._project.outcomes)

    def _convert(
        self, contexts: Mapping[str, CaptureContext], watermark: datetime, captured_at: datetime, data: bytes
    ) -> dict[str, pa.Table]:
        tables = convert(data, contexts, watermark=watermark, captured_at=captured_at)
        for table in tables.values():
            self._count(table.select(_COLUMNS))
        return tables

    # ── counting ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _recount(self, rollouts: Mapping[str, str]) -> None:
        """Count what the parts hold of the active rollouts. Right after a drain: a part that was written but not
        committed before a crash has been replaced by then."""
        self._logged.clear()
        for model in sorted(set(rollouts.values())):
            for part in list_parts(model_directory(self._project.events, model)):
                self._count(pq.read_table(part.path, columns=_COLUMNS), only=rollouts.keys())

    def _count(self, table: pa.Table, only: Collection[str] | None = None) -> None:
        stamped = pc.and_(pc.is_valid(table["rollout"]), pc.is_valid(table["phase"]))
        wanted = pc.and_(pc.equal(table["row"], 0), stamped)
        if only is not None:
            wanted = pc.and_(wanted, pc.is_in(table["rollout"], pa.array(sorted(only), pa.string())))
        groups = table.filter(wanted).group_by(["rollout", "phase", "arm"]).aggregate([("row", "count")])
        for row in groups.to_pylist():
            self._logged[row["rollout"], row["phase"], row["arm"]] += row["row_count"]

    def _missing(self, counted: Mapping[Key, int] | None, rollouts: Mapping[str, str]) -> dict[Key, int] | str:
        if counted is None:
            return "Envoy does not say how many"
        return {k: n - self._logged[k] for k, n in counted.items() if k[0] in rollouts and self._logged[k] < n}

    def _read_counters(self) -> dict[Key, int] | None:
        """Envoy's counters since the rollouts began; None where it does not say, or is not the one we count with."""
        try:
            pid = self._envoy.pid
            if pid is None or self._attached != f"{pid}:{processes.started(pid)}":
                return None
            counters = self._envoy.counters()
        except Unavailable:
            return None
        current = {(r, p, a): n for (r, p, a), n in counters.items() if r is not None and p is not None}
        return {key: self._bases.get(key, 0) + current.get(key, 0) for key in {*self._bases, *current}}

    def _remember(self, reading: Mapping[Key, int] | None) -> None:
        """Keep the reading, and find the one that the log must have caught up with when it is drained now."""
        now = time.monotonic()
        if reading is not None:
            self._readings.append((now, reading))
        while self._readings and now - self._readings[0][0] >= LAG_S:
            self._low = self._readings.popleft()[1]
