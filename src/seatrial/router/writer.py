"""Capture without waiting: requests put lines into a queue with a bound, a thread writes them.

What finds no room is dropped and counted, and the collector judges it as loss of capture. A process that is killed
loses what it has not written, a twentieth of a second at most.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

from seatrial.router.files import Counts, Key, LogFiles

log = logging.getLogger("seatrial.router")

LINES: Final = 10_000
CHARACTERS: Final = 64 << 20
LINGER_S: Final = 0.05
AGAIN_S: Final = 0.2
IDLE_S: Final = 5.0
EXIT_S: Final = 2.0
"""How long the end of a process waits for what is not written yet."""

Entry = Mapping[str, Any]
T = TypeVar("T")


class Writer:
    """``put`` never waits for the disk. One for each log directory and process: see ``writer_of``."""

    def __init__(self, directory: Path, *, lines: int = LINES, characters: int = CHARACTERS) -> None:
        self._directory, self._lines, self._characters = directory, lines, characters
        self._files: LogFiles | None = None
        self._begin()
        again, flush = weakref.WeakMethod(self._forked), weakref.WeakMethod(self.flush)
        os.register_at_fork(after_in_child=lambda: (begin := again()) and begin())
        atexit.register(lambda: (write := flush()) and write(EXIT_S))

    def _begin(self) -> None:
        self._lock, self._awake, self._hurried = threading.Lock(), threading.Event(), threading.Event()
        self._queue: list[tuple[Key, Entry]] = []
        self._held = 0
        self._answered, self._written, self._dropped = Counter[Key](), Counter[Key](), Counter[Key]()
        self._thread: threading.Thread | None = None

    def _forked(self) -> None:
        """A child has files, counts and a thread of its own; what its parent has not written, the parent writes."""
        if self._files is not None:
            self._files.abandon()
        self._files = None
        self._begin()

    @property
    def dropped(self) -> int:
        """Requests that are not in the log for want of room."""
        return self._dropped.total()

    @property
    def pending(self) -> int:
        """Lines that are not written yet."""
        with self._lock:
            return self._answered.total() - self._dropped.total() - self._written.total()

    def put(self, key: Key, entry: Entry) -> bool:
        """Take one line; false where it is dropped."""
        size = sum(map(len, entry.get("body", {}).values())) if "body" in entry else 0
        with self._lock:
            self._answered[key] += 1
            fits = len(self._queue) < self._lines and self._held + size <= self._characters
            if fits:
                self._queue.append((key, entry))
                self._held += size
            else:
                self._dropped[key] += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="seatrial-capture", daemon=True)
                self._thread.start()
        if not fits:
            self._complain(self.dropped, "lines are dropped: the log is not written as fast as requests come")
        if not self._awake.is_set():
            self._awake.set()
        return fits

    def flush(self, timeout_s: float = EXIT_S) -> bool:
        """Write what waits now; false where that takes longer."""
        deadline = time.monotonic() + timeout_s
        while self.pending or self._awake.is_set():
            if time.monotonic() > deadline or self._thread is None:
                return False
            self._hurried.set()
            time.sleep(0.002)
        return True

    def _run(self) -> None:
        while True:
            if not self._awake.wait(IDLE_S):
                self._follow()
                continue
            self._hurried.wait(LINGER_S)
            with self._lock:
                batch, self._queue, self._held = self._queue, [], 0
            try:
                self._write(batch)
            except Exception:  # the thread goes on; these lines are counted and not there, and that is judged
                log.exception("%d lines are not in the capture log", len(batch))
            with self._lock:
                if not self._queue:
                    self._awake.clear()
                    self._hurried.clear()

    def _follow(self) -> None:
        """So that a log which was read and renamed can be deleted, though nothing is asked any more."""
        if self._files is not None:
            with suppress(OSError):
                self._files.follow()

    def _write(self, batch: list[tuple[Key, Entry]]) -> None:
        """The counts before the lines, so that no line is there uncounted; and after them, as said to be there."""
        lines = b"".join(json.dumps(entry, separators=(",", ":")).encode() + b"\n" for _, entry in batch)
        files = self._insist(self._opened)
        self._insist(lambda: files.tell(self._counts()))
        self._insist(lambda: files.append(lines), lambda: files.append())
        with self._lock:
            self._written.update(key for key, _ in batch)
        self._insist(lambda: files.tell(self._counts()))

    def _opened(self) -> LogFiles:
        if self._files is None:
            self._files = LogFiles(self._directory)
        return self._files

    def _counts(self) -> Counts:
        with self._lock:
            return Counts(dict(self._answered), dict(self._written), dict(self._dropped))

    def _insist(self, do: Callable[[], T], again: Callable[[], T] | None = None) -> T:
        """Until the disk takes it. Meanwhile the queue fills up, and then requests are dropped, never held up."""
        tries = 0
        while True:
            try:
                return do()
            except OSError as error:
                tries += 1
                self._complain(tries, f"times the capture log in '{self._directory}' was not written: {error}")
            time.sleep(AGAIN_S)
            do = again or do

    @staticmethod
    def _complain(count: int, what: str) -> None:
        if count & (count - 1) == 0:  # the first, the second, the fourth ...: a flood must not flood the log
            log.warning("%d %s", count, what)


_writers: dict[Path, Writer] = {}


def writer_of(directory: Path) -> Writer:
    """The writer of a log directory that this process shares."""
    found = _writers.get(directory)
    return _writers.setdefault(directory, Writer(directory)) if found is None else found
