"""Any crash, at any call that changes the disk, followed by going on: the same lines, each once."""

import os
from collections import Counter
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.events.compact import merge, plan, sweep
from seatrial.events.log import LogReader, Progress, rotate, rotated
from seatrial.events.parts import ingest, list_parts, model_directory, models_in, read_parts
from seatrial.events.shelf import Shelf

SCHEMA = pa.schema([("line", pa.string()), ("time", pa.timestamp("us", tz="UTC"))])
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Crash(BaseException):
    """The process ends here."""


class Disk:
    """Lets the n-th change of the disk be the last one, before or after it was made."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.left: int | None = None
        self.after = False
        for name in ("replace", "rename", "unlink"):
            patch.setattr(os, name, self.counted(getattr(os, name)))
        patch.setattr(os, "fsync", self.counted(lambda descriptor: None))  # nothing here cuts the power

    def counted(self, real):
        def call(*given, **named):
            if self.left is None:
                return real(*given, **named)
            self.left -= 1
            if self.left < 0:
                self.left = None
                if self.after:
                    real(*given, **named)
                raise Crash
            return real(*given, **named)

        return call


def convert(lines: bytes) -> dict[str, pa.Table]:
    """The first letter of a line is its model; a line of one letter is of a model that is known only sometimes."""
    rows: dict[str, list[str]] = {}
    for line in lines.decode().split("\n"):
        if line:
            rows.setdefault(line[0], []).append(line)
    return {m: pa.table({"line": found, "time": [NOW] * len(found)}).cast(SCHEMA) for m, found in rows.items()}


class Run:
    """One log with its parts; ``said`` is everything that was ever written to it, by file."""

    def __init__(self, root: Path) -> None:
        self.log, self.events = root / "live.jsonl", root / "events"
        self.progress = Progress(root / "run" / "live.json")
        self.said: list[bytes] = []
        self.writer = -1
        self.number = 0
        self.reopen()
        self.restart()

    def reopen(self) -> None:
        """Who writes the log opens it anew. Until then it writes to the file it had, under whatever name."""
        if not self.log.exists():
            self.close()
            self.writer = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            self.said.append(b"")

    def close(self) -> None:
        if self.writer >= 0:
            os.close(self.writer)

    def restart(self) -> None:
        self.reader = LogReader(self.log, self.progress.load())

    def write(self, lines: int, torn: bool) -> None:
        """Torn: the disk was full in the middle of a line; the next one is appended to what is there of it."""
        for _ in range(lines):
            self.number += 1
            self._append(f"{'mn'[self.number % 2]}{self.number}\n")
        if torn:
            self.number += 1
            self._append(f"m{self.number} to")

    def _append(self, text: str) -> None:
        os.write(self.writer, text.encode())
        self.said[-1] += text.encode()

    def rotate(self) -> None:
        if self.log.exists():
            rotate(self.log)

    def ingest(self, limit: int) -> None:
        ingest(self.reader, self.progress, self.events, convert, limit=limit)

    def compact(self) -> None:
        for model in models_in(self.events):
            shelf = Shelf(model_directory(self.events, model), "time")
            sweep(shelf)
            if batch := plan(shelf.parts, NOW, eager=True):
                merged = merge(shelf, "time", batch)
                merged.publish()
                merged.discard_sources()

    def wanted(self) -> Counter[str]:
        return Counter(line for text in self.said for line in text.decode().split("\n") if line)

    def found(self) -> Counter[str]:
        tables = [read_parts(list_parts(model_directory(self.events, m)), SCHEMA) for m in models_in(self.events)]
        return Counter(line for table in tables for line in table["line"].to_pylist())


STEPS = st.one_of(
    st.tuples(st.just("write"), st.integers(0, 6), st.booleans()),
    st.tuples(st.just("rotate")),
    st.tuples(st.just("reopen")),
    st.tuples(st.just("ingest"), st.sampled_from([8, 20, 1 << 20])),
    st.tuples(st.just("compact")),
)
CRASHES = st.one_of(st.none(), st.tuples(st.integers(0, 8), st.booleans()))


def play(steps):
    """Run the steps, let the last one crash where it is said, and go on to the end; says how often it crashed."""
    crashes = 0
    with TemporaryDirectory() as root, pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        disk = Disk(patch)
        run = stack.enter_context(closing(Run(Path(root))))
        unsure = False
        for (step, *given), crash in steps:
            if step == "compact" and unsure:  # nobody tidies up while something is not committed
                run.ingest(1 << 20)
            if step in ("ingest", "compact") and crash is not None:
                disk.left, disk.after = crash
            try:
                getattr(run, step)(*given)
                unsure = unsure and step != "ingest"
            except Crash:
                run.restart()
                crashes += 1
                unsure = True
            disk.left = None
        run.rotate()
        run.reopen()
        run.restart()
        run.ingest(1 << 20)
        run.compact()
        assert run.found() == run.wanted()
        assert rotated(run.log) == [], "what is read is gone"
    return crashes


@settings(max_examples=80)
@given(st.lists(st.tuples(STEPS, CRASHES), max_size=25))
def test_whatever_crashes_every_line_is_there_once(steps):
    play(steps)


def test_every_single_crash_point_of_a_conversion_and_a_compaction():
    """With slices of another size afterwards, so that the ranges of before and after do not match."""
    before = [("write", 3, False), ("ingest", 8), ("write", 5, True), ("rotate",), ("reopen",), ("write", 5, False)]
    after = [("write", 4, False), ("ingest", 8), ("compact",), ("ingest", 1 << 20)]
    for crashing in (("ingest", 1 << 20), ("compact",)):
        for late in (False, True):
            n = 0
            while play([*((step, None) for step in before), (crashing, (n, late)), *((step, None) for step in after)]):
                n += 1
            assert n > 4, "there are as many places to crash"


def test_a_line_that_is_counted_twice_would_be_found(tmp_path):
    with closing(Run(tmp_path)) as run:
        run.write(3, torn=True)
        run.rotate()
        run.reopen()
        run.ingest(8)
        assert run.found() == run.wanted()
        first = list_parts(model_directory(run.events, "m"))[0].path
        (first.parent / first.name.replace("live-", "other-")).write_bytes(first.read_bytes())
        assert run.found() != run.wanted()
