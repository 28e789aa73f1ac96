"""Logs of services that route by themselves (``seatrial.router``): found, read and counted beside Envoy's.

Each process has a log and counts of its own. How much of its log is read, and how many requests of each key that was,
is saved in one file at one time, so a crash counts nothing twice. When a process is gone and its log is read to the
end, what it counted is kept and its files are deleted.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from seatrial.control.capture.counting import Key, from_rows, requests_in, to_rows
from seatrial.control.capture.rotation import Rotation
from seatrial.events.capture import CaptureContext
from seatrial.events.files import replacing
from seatrial.events.log import LogReader, Position, Progress, rotate, rotated
from seatrial.events.parts import ingest
from seatrial.events.wire import ResponseSpec
from seatrial.gateway.files import write_atomically
from seatrial.router.files import COUNTS, LOCK, LOG, PREFIX, Counts
from seatrial.router.files import Key as RouterKey

Convert = Callable[[bytes], Mapping[str, pa.Table]]
Sums = Mapping[Key, int]


def in_process(contexts: Mapping[str, CaptureContext]) -> dict[str, CaptureContext]:
    """How requests inside a service are read: they have one form, whatever the model's own server speaks."""
    return {
        model: replace(context, format="mlflow", response=ResponseSpec(output=context.response.output))
        for model, context in contexts.items()
    }


class Tallied(Progress):
    """How far a log is committed, and how many requests that was."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.logged, self.piece = Counter[Key](), Counter[Key]()

    def load(self) -> Position | None:
        try:
            document = json.loads(self.path.read_text())
        except FileNotFoundError:
            return None
        self.logged = Counter(from_rows(document["logged"]))
        return Position(document["file"], document["offset"])

    def save(self, position: Position) -> None:
        logged = self.logged + self.piece
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.path) as handle:
            document = {"file": position.file, "offset": position.offset, "logged": to_rows(logged)}
            handle.write(json.dumps(document).encode())
        self.logged, self.piece = logged, Counter()


class Source:
    """The log of one process."""

    def __init__(self, lock: Path, state: Path) -> None:
        self.name = lock.name.removesuffix(LOCK)
        self.log, self._counts, self._lock = lock.with_name(self.name + LOG), lock.with_name(self.name + COUNTS), lock
        self.progress = Tallied(state / f"{self.name}.json")
        self.reader = LogReader(self.log, self.progress.load())
        self.gone = False
        self.before = Counts()

    def begin(self) -> None:
        """Before the log is drained: whether anybody still writes it, and what must be in it by now.

        Of a process that is gone the last line may be torn: its log is renamed, as if another one had been begun.
        """
        self.gone = self.gone or _is_free(self._lock)
        self.before = self.counts()
        if self.gone:
            if self.log.exists() and self.log.stat().st_size:
                rotate(self.log)
            self.log.touch(mode=0o600)

    def counts(self) -> Counts:
        """What the process says; without its word, what the log has."""
        there: dict[RouterKey, int] = dict(self.progress.logged.items())
        return Counts.read(self._counts) or Counts(there, there)

    def drain(self, root: Path, convert: Convert) -> int:
        def counted(data: bytes) -> Mapping[str, pa.Table]:
            tables = convert(data)
            self.progress.piece = sum((requests_in(table) for table in tables.values()), Counter[Key]())
            return tables

        return ingest(self.reader, self.progress, root, counted)

    def delete(self) -> None:
        """The lock last: as long as it is there, the others are found again."""
        self.reader.close()
        for path in (*rotated(self.log), self.log, self._counts, self.progress.path, self._lock):
            path.unlink(missing_ok=True)


class Routers:
    """All of them. ``logged``: requests in the parts that are theirs."""

    def __init__(self, log: Path, state: Path, rotation: Rotation) -> None:
        self._log, self._state, self._rotation = log, state, rotation
        self._sources: dict[str, Source] = {}
        self._kept, self._finished = _Kept(), frozenset[str]()
        self._low: Sums = {}

    def open(self) -> None:
        """Begin where the disk says that everything before is kept."""
        self.close()
        self._kept, self._finished = _Kept.load(self._retired)

    def close(self) -> None:
        for source in self._sources.values():
            source.reader.close()
        self._sources = {}

    def sources(self) -> Iterator[tuple[LogReader, Progress]]:
        return ((source.reader, source.progress) for source in self._sources.values())

    def drain(self, root: Path, convert: Convert, rollouts: Collection[str]) -> int:
        """Convert every complete line, and let go of processes that are gone; returns the rows written."""
        self._find()
        for source in self._sources.values():
            source.begin()
        rows = sum(source.drain(root, convert) for source in self._sources.values())
        self._low = self._sum(lambda source: _low(source.before)) + self._kept.low
        for source in [source for source in self._sources.values() if source.gone]:
            self._retire(source, rollouts)
        self._rotate()
        return rows

    def _rotate(self) -> None:
        """After reading: whoever writes has a new log by the next time, and then the old one is left and deleted."""
        self._rotation.turn([source.log for source in self._sources.values()], lambda: None)

    @property
    def logged(self) -> Counter[Key]:
        return self._sum(lambda source: source.progress.logged) + self._kept.logged

    @property
    def low(self) -> Sums:
        """What must be in the log: written before it was drained, or dropped, and so missing."""
        return self._low

    def high(self) -> Counter[Key]:
        """All that was answered by now."""
        return self._sum(lambda source: _of_rollouts(source.counts().answered)) + self._kept.high

    def _sum(self, of: Callable[[Source], Counter[Key]]) -> Counter[Key]:
        return sum((of(source) for source in self._sources.values()), Counter[Key]())

    def _find(self) -> None:
        for lock in sorted(self._log.glob(f"{PREFIX}*{LOCK}")):
            name = lock.name.removesuffix(LOCK)
            if name in self._finished:
                Source(lock, self._state).delete()
            elif name not in self._sources:
                self._sources[name] = Source(lock, self._state)

    @property
    def _retired(self) -> Path:
        return self._state / "routers.json"

    def _retire(self, source: Source, rollouts: Collection[str]) -> None:
        """Keep what a process counted, of rollouts that go on, then delete its files. A crash in between deletes them
        next time."""
        counts = source.counts()
        kept = _Kept(
            self._kept.logged + source.progress.logged,
            self._kept.low + _low(counts),
            self._kept.high + _of_rollouts(counts.answered),
        ).only(rollouts)
        there = {path.name.removesuffix(LOCK) for path in self._log.glob(f"{PREFIX}*{LOCK}")}
        finished = frozenset({*(self._finished & there), source.name})
        kept.save(self._retired, finished)
        self._kept, self._finished = kept, finished
        source.delete()
        del self._sources[source.name]


class _Kept:
    """Sums over processes that are gone."""

    def __init__(
        self,
        logged: Counter[Key] | None = None,
        low: Counter[Key] | None = None,
        high: Counter[Key] | None = None,
    ) -> None:
        self.logged, self.low, self.high = logged or Counter(), low or Counter(), high or Counter()

    def only(self, rollouts: Collection[str]) -> _Kept:
        sums = (self.logged, self.low, self.high)
        return _Kept(*(Counter({key: n for key, n in one.items() if key[0] in rollouts}) for one in sums))

    @classmethod
    def load(cls, path: Path) -> tuple[_Kept, frozenset[str]]:
        try:
            document = json.loads(path.read_text())
        except FileNotFoundError:
            return cls(), frozenset()
        sums = (Counter(from_rows(document[name])) for name in ("logged", "low", "high"))
        return cls(*sums), frozenset(document["finished"])

    def save(self, path: Path, finished: Collection[str]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        sums = {"logged": to_rows(self.logged), "low": to_rows(self.low), "high": to_rows(self.high)}
        write_atomically(path, json.dumps({**sums, "finished": sorted(finished)}) + "\n", mode=0o600)


def _low(counts: Counts) -> Counter[Key]:
    return _of_rollouts(counts.written) + _of_rollouts(counts.dropped)


def _of_rollouts(counts: Mapping[RouterKey, int]) -> Counter[Key]:
    return Counter({(r, p, a): n for (r, p, a), n in counts.items() if r is not None and p is not None})


def _is_free(lock: Path) -> bool:
    """Whether nobody holds it any more."""
    with suppress(FileNotFoundError):
        descriptor = os.open(lock, os.O_RDWR)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(descriptor)
    return True
