"""Capture logs to Parquet, and the count of what was captured beside Envoy's own count of what it answered."""

from __future__ import annotations

import json
import time
from collections import Counter, deque
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from seatrial import processes
from seatrial.control.capture.counting import COLUMNS, Key, from_rows, requests_in, to_rows
from seatrial.control.capture.rotation import Rotation
from seatrial.control.capture.routers import Routers, in_process
from seatrial.control.project import Project
from seatrial.errors import Unavailable
from seatrial.events.capture import CaptureContext, convert
from seatrial.events.log import LogReader, Progress
from seatrial.events.outcomes import OutcomeLog
from seatrial.events.parts import Notes, ingest, list_parts, model_directory
from seatrial.evidence.snapshot import Captured
from seatrial.gateway.envoy import Envoy
from seatrial.gateway.files import write_atomically
from seatrial.ids import Arm

SETTLE_S = 10.0
LAG_S = 1.0
"""What Envoy counted this long before a log was drained is in it: Envoy writes its log every 0.2 s."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What is captured now: how each model's requests are read, and the active rollouts with their models."""

    contexts: Mapping[str, CaptureContext]
    rollouts: Mapping[str, str]


class Collector:
    """Drains the live and the shadow log. One per project; whoever calls it holds the controller's ``collecting``.

    After an error nothing is taken from memory: what is read and what is counted comes from the disk again, as it does
    after a restart.
    """

    def __init__(self, project: Project, envoy: Envoy) -> None:
        self._project, self._envoy = project, envoy
        self._sources: list[tuple[LogReader, Progress]] = []
        self._outcomes: OutcomeLog | None = None
        self._logged: Counter[Key] = Counter()
        self._sure = False
        self._rotation = Rotation(project.config.capture)
        self._routers = Routers(Path(envoy.settings.live_log).parent, project.state / "capture", self._rotation)
        self._logs = [Path(envoy.settings.live_log), Path(envoy.settings.shadow_log)]
        self._readings: deque[tuple[float, Mapping[Key, int]]] = deque()
        self._latest: Mapping[Key, int] = {}
        self._low: Mapping[Key, int] = {}
        self._attached: str | None = None
        self._bases: Mapping[Key, int] = {}
        self._lost: Mapping[Key, int] = {}

    @property
    def flush_s(self) -> float:
        """How long Envoy may keep a line to itself, in seconds; that much is lost when it is killed."""
        return self._envoy.settings.flush_ms / 1000

    @property
    def sure(self) -> bool:
        """Whether everything that is in the parts is committed, and counted."""
        return self._sure

    def collect(self, scope: Scope, watermark: datetime, captured_at: datetime) -> int:
        """Convert every complete line; returns the rows written."""
        self._remember(self._read_counters())
        if not self._sure:
            self._open()
        self._sure, was_sure = False, self._sure
        self._rotate()
        rows = 0
        for reader, progress in self._sources:
            make = partial(self._convert, scope.contexts, watermark, captured_at)
            rows += ingest(reader, progress, self._project.events, make)
        make = partial(self._convert, in_process(scope.contexts), watermark, captured_at)
        rows += self._routers.drain(self._project.events, make, scope.rollouts)
        assert self._outcomes is not None
        self._outcomes.convert(watermark=watermark)
        if not was_sure:
            self._recount(scope.rollouts)
        self._sure = True
        return rows

    def settle(
        self, scope: Scope, watermark: datetime, captured_at: datetime, turn: AbstractContextManager[object]
    ) -> None:
        """Collect until everything that was answered is captured (a replay waits for this before time moves on).

        Each pass takes its ``turn`` (``collecting``); in between whoever else needs it gets its own.
        Raises Unavailable when the log does not catch up: time must not move over lost events.
        """
        deadline = time.monotonic() + SETTLE_S
        steady = 0
        while True:
            with turn:
                before = self._read_counters()
                self.collect(scope, watermark, captured_at)
                missing = self._missing(before, scope.rollouts)
                done = not missing and before == self._read_counters() and not self._copies_in_flight()
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
        counted now; for services that route by themselves likewise. Without Envoy's word nothing is claimed.
        """
        now, routed = self._read_counters(), self._routers.high()
        found: dict[tuple[int, Arm], Captured] = {}
        for key in {*(now or {}), *self._logged, *routed}:
            if key[0] != rollout or key[2] not in ("champion", "canary", "shadow"):
                continue
            arm: Arm = key[2]  # type: ignore[assignment]
            logged, low = self._logged[key], self._low.get(key, 0) + self._routers.low.get(key, 0)
            high = None if now is None else max(now.get(key, 0) + routed[key], low)
            counted = None if high is None else min(max(logged, low), high)
            found[key[1], arm] = Captured(logged, counted, self._lost.get(key, 0))
        return found

    def attach(self, pid: int, *, fresh: bool) -> None:
        """Count with this Envoy from now on. A ``fresh`` one counts from zero: what is logged by now is the base.

        The log of the one before has been drained: collect first, whoever replaces an Envoy. One that runs already,
        though nobody has counted with it yet, was started while the store was away: its own count is in the log, too.
        What the one before had counted when it was last asked, and the log lacks now, it took with it: at most what it
        answered within its flush interval. These requests stay counted, and are known to be lost.
        """
        name = f"{pid}:{processes.started(pid)}"
        kept = self._kept(name)
        if kept is None:
            counted = {} if fresh else self._envoy.counters()
            logged = self._by_envoy()
            lost = {key: n - logged[key] for key, n in self._latest.items() if n > logged[key]}
            bases = {k: logged[k] + lost.get(k, 0) - counted.get(k, 0) for k in {*logged, *lost}}
            kept = bases, lost
            self._bases_file.parent.mkdir(parents=True, exist_ok=True)
            document = {"envoy": name, "bases": to_rows(bases), "lost": to_rows(lost)}
            write_atomically(self._bases_file, json.dumps(document) + "\n", mode=0o600)
        (self._bases, self._lost), self._attached = kept, name
        self._readings.clear()
        self._low = {}

    @property
    def _bases_file(self) -> Path:
        """On disk and not in the store, because an Envoy that dies while the store is away is replaced all the same."""
        return self._project.state / "capture" / "bases.json"

    def _kept(self, name: str) -> tuple[Mapping[Key, int], Mapping[Key, int]] | None:
        """What was logged and lost before this Envoy began to count; None for one that nobody has counted with yet."""
        try:
            kept = json.loads(self._bases_file.read_text())
            return (from_rows(kept["bases"]), from_rows(kept["lost"])) if kept["envoy"] == name else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def scrub(self) -> None:
        """Overwrite what was read and is still in the logs; call it right after ``collect``."""
        assert self._sure
        assert self._outcomes is not None
        for reader, progress in [*self._sources, *self._routers.sources()]:
            reader.scrub(progress)
        self._outcomes.scrub()

    def close(self) -> None:
        """Let go of the logs; what was read stays read."""
        for reader, _ in self._sources:
            reader.close()
        if self._outcomes is not None:
            self._outcomes.close()
        self._routers.close()
        self._sources, self._outcomes, self._sure = [], None, False

    # ── reading ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _open(self) -> None:
        """Begin where the disk says that everything before is kept."""
        self.close()
        for path in self._logs:
            progress = Progress(self._project.state / "capture" / f"{path.stem}.json")
            self._sources.append((LogReader(path, progress.load()), progress))
        self._routers.open()
        self._outcomes = OutcomeLog(self._project.outcomes)

    def _rotate(self) -> None:
        self._rotation.turn(self._logs, self._envoy.reopen_logs)
        assert self._outcomes is not None
        if self._rotation.due(self._outcomes.path):
            self._outcomes.rotate()

    def _convert(
        self, contexts: Mapping[str, CaptureContext], watermark: datetime, captured_at: datetime, data: bytes
    ) -> dict[str, pa.Table]:
        tables = convert(data, contexts, watermark=watermark, captured_at=captured_at)
        for table in tables.values():
            self._logged.update(requests_in(table))
        return tables

    # ── counting ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _recount(self, rollouts: Mapping[str, str]) -> None:
        """Count what the parts hold of the active rollouts. Right after a drain: a part that was written but not
        committed before a crash has been replaced by then."""
        self._logged.clear()
        for model in sorted(set(rollouts.values())):
            for part in list_parts(model_directory(self._project.events, model)):
                with pq.ParquetFile(part.path) as file:
                    self._logged.update(requests_in(file.read(columns=COLUMNS), only=rollouts.keys()))
                    for rollout, phase, arm, n in Notes.of(file.schema_arrow.metadata).requests:
                        self._logged[rollout, phase, arm] += n

    def _by_envoy(self) -> Counter[Key]:
        """Of the requests that are logged, those that Envoy has counted."""
        return Counter(self._logged) - self._routers.logged

    def _missing(self, counted: Mapping[Key, int] | None, rollouts: Mapping[str, str]) -> dict[Key, int] | str:
        if counted is None:
            return "Envoy does not say how many"
        logged = self._by_envoy()
        there = {key: logged[key] + self._lost.get(key, 0) for key in counted}  # nobody waits for what is lost
        return {key: n - there[key] for key, n in counted.items() if key[0] in rollouts and there[key] < n}

    def _copies_in_flight(self) -> bool:
        """Also where Envoy does not say: it may be replaced while we wait."""
        try:
            return self._envoy.copies_in_flight() > 0
        except Unavailable:
            return True

    def _read_counters(self) -> Mapping[Key, int] | None:
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
            self._latest = reading
            self._readings.append((now, reading))
        while self._readings and now - self._readings[0][0] >= LAG_S:
            self._low = self._readings.popleft()[1]
