"""Capture inside a service: never in the way, exactly counted, whatever becomes of the process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from routerparts import Directory
from seatrial.events.log import rotate
from seatrial.router.files import Counts, LogFiles
from seatrial.router.writer import Writer

KEY = ("r-1", 1, "canary")
HANDLERS = {1: lambda row: 0.1, 2: lambda row: 0.2}


def line(n):
    return {"id": str(n), "body": {"req": "{}"}}


def ids(directory):
    return sorted(
        int(json.loads(text)["id"]) for p in directory.glob("*.jsonl*") for text in p.read_text().splitlines()
    )


def counted(directory):
    (path,) = directory.glob("*.counts.json")
    return Counts.read(path)


def wait_for(done, seconds=40):
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_lines_and_counts_agree_when_all_is_written(tmp_path):
    writer = Writer(tmp_path / "log")
    for n in range(1000):
        assert writer.put(KEY if n % 2 else (None, None, "none"), line(n))
    assert writer.flush(20)
    assert ids(tmp_path / "log") == list(range(1000))
    everything = {KEY: 500, (None, None, "none"): 500}
    assert counted(tmp_path / "log") == Counts(everything, everything, {})


def test_what_finds_no_room_is_dropped_at_once_and_counted(tmp_path, monkeypatch):
    """The disk takes nothing for a while: nobody waits, and what was taken is there in the end."""
    free = threading.Event()
    append = LogFiles.append
    monkeypatch.setattr(LogFiles, "append", lambda self, data=b"": free.wait(60) and append(self, data))
    writer = Writer(tmp_path / "log", lines=10)
    taken = [writer.put(KEY, line(n)) for n in range(1000)]
    assert writer.dropped >= 900
    assert not writer.flush(0.05)
    free.set()
    assert writer.flush(20)
    assert ids(tmp_path / "log") == [n for n, fits in enumerate(taken) if fits]
    said = counted(tmp_path / "log")
    assert said.answered == {KEY: 1000}
    assert said.dropped == {KEY: taken.count(False)}
    assert said.written == {KEY: taken.count(True)}


def test_long_bodies_fill_the_queue_by_their_length(tmp_path, monkeypatch):
    free = threading.Event()
    monkeypatch.setattr(LogFiles, "tell", lambda self, counts: free.wait(60))
    writer = Writer(tmp_path / "log", characters=1000)
    taken = [writer.put(KEY, {"id": str(n), "body": {"req": "x" * 400}}) for n in range(100)]
    free.set()
    assert 2 <= taken.count(True) <= 5, "two in the queue, and those that were taken out of it before"
    assert writer.flush(20)


def test_a_disk_that_fails_is_tried_again_and_half_a_line_is_gone_on_with(tmp_path, monkeypatch):
    real, failures = os.write, iter([*[OSError(28, "No space left on device")] * 3, None])

    def write(descriptor, data):
        """Half of it, then a full disk for a while."""
        if len(data) > 200:
            return real(descriptor, data[: len(data) // 2])
        if (error := next(failures, None)) is not None:
            raise error
        return real(descriptor, data)

    monkeypatch.setattr("seatrial.router.files.os.write", write)
    writer = Writer(tmp_path / "log")
    for n in range(100):
        writer.put(KEY, line(n))
    assert writer.flush(40)
    assert ids(tmp_path / "log") == list(range(100))


def test_a_log_that_is_renamed_is_begun_anew_and_no_line_is_cut(tmp_path):
    writer = Writer(tmp_path / "log")
    writer.put(KEY, line(0))
    assert writer.flush(20)
    (log,) = (tmp_path / "log").glob("*.jsonl")
    old = rotate(log)
    writer.put(KEY, line(1))
    assert writer.flush(20)
    assert ['"id":"0"' in old.read_text(), '"id":"1"' in log.read_text()] == [True, True]
    assert ids(tmp_path / "log") == [0, 1]


CHILD = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from seatrial import Router
router = Router(sys.argv[1], "fraud")
handlers = {1: lambda row: 0.1, 2: lambda row: 0.2}
ask = lambda n: [router.predict(f"u{n}", {"n": n}, handlers=handlers) for n in range(n)]
"""


def run(directory: Directory, code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", CHILD + code, str(directory.root), "."]
    return subprocess.run(command, capture_output=True, text=True, timeout=100)


def sums(directory):
    """Requests answered and written, of all processes."""
    said = directory.counts()
    return [sum(row[-1] for one in said for row in one[name]) for name in ("answered", "written")]


def test_a_process_that_ends_writes_what_it_has(directory):
    directory.put(mirrored=0)
    done = run(directory, "ask(200)")
    assert done.returncode == 0, done.stderr
    assert len(directory.lines()) == 200
    assert sums(directory) == [200, 200]


def test_a_fork_has_a_log_of_its_own_and_the_parent_keeps_its_own(directory):
    directory.put(mirrored=0)
    done = run(
        directory,
        """
ask(50)
children = []
for _ in range(3):
    if (pid := os.fork()) == 0:
        ask(100)
        sys.exit()
    children.append(pid)
ask(50)
print([os.waitpid(pid, 0)[1] for pid in children], os.getpid())
""",
    )
    assert done.stdout.startswith("[0, 0, 0]"), done.stderr
    lines = directory.lines()
    assert len(lines) == len({line["id"] for line in lines}) == 400
    assert sums(directory) == [400, 400]
    assert len(directory.counts()) == 4


def test_a_process_that_is_killed_leaves_whole_lines_and_no_lock(directory):
    from seatrial.control.capture.routers import _is_free

    directory.put(mirrored=0)
    command = [sys.executable, "-c", CHILD + "while True: ask(100)", str(directory.root), "."]
    process = subprocess.Popen(command)
    log = directory.gateway / "log"
    try:
        wait_for(lambda: sum(path.stat().st_size for path in log.glob("*.jsonl")) > 100_000)
        (lock,) = log.glob("*.lock")
        assert not _is_free(lock)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert _is_free(lock)
    answered, written = sums(directory)
    (path,) = log.glob("*.jsonl")
    there = path.read_bytes().count(b"\n")
    assert written <= there <= answered


@pytest.mark.parametrize("text", ["", "{", "[]", '{"answered": 3}'])
def test_counts_that_do_not_read_claim_nothing(tmp_path, text):
    (tmp_path / "counts.json").write_text(text)
    assert Counts.read(tmp_path / "counts.json") is None
    assert Counts.read(tmp_path / "none.json") is None
