"""What a crash, a full log and a missing line do to the capture log. Beside each, the system without it."""

from __future__ import annotations

import itertools
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import rotating
from seatrial import processes
from seatrial.events import parts
from seatrial.events.log import rotate, rotated
from seatrial.store.plans import parse_plan

pytestmark = pytest.mark.live

PLAN = """
name: capture
timeBucket: 1h
lookEvery: {look}
deadline: 10d
metrics: [{{name: errors, kind: error_rate, margin: 10pp}}]
steps: [{{setWeight: 50%}}, {{pause: {{duration: 2d}}}}]
"""
SECONDS, HOURS = parse_plan(PLAN.format(look="1s")), parse_plan(PLAN.format(look="1h"))


@pytest.mark.slow
def test_killing_the_process_that_rotates_loses_and_doubles_nothing(make: Any) -> None:
    live = make(clock="wall", more="capture: {rotate: 2KiB}")
    live.adopt(live.server("champion"))
    live.begin(live.register(live.server("candidate")), HOURS)
    live.controller.stop()
    pauses = random.Random(7)
    with trickle(live) as sent:
        for _ in range(3):
            before, process = files(live), rotating.started(live.project)
            try:
                live.wait_for(lambda before=before: files(live) > before + 1, seconds=90)
                time.sleep(pauses.random() / 4)  # somewhere in a round
            finally:
                process.kill()
                process.join()

    live.start()
    wanted = Counter(s.answer.id for s in sent)
    live.wait_for(lambda: live.controller.tick() or len(live.events()) >= len(wanted))
    assert Counter(live.events()["request_id"].to_pylist()) == wanted
    assert not parts.model_directory(live.project.events, "").exists()
    live.wait_for(lambda: live.controller.tick() or not rotated(live.project.gateway / "log" / "live.jsonl"))
    assert files(live) > 6


@contextmanager
def trickle(live: Any) -> Iterator[list[Any]]:
    """A few requests at a time, until the block ends."""
    sent: list[Any] = []
    done = threading.Event()

    def flow() -> None:
        for n in itertools.count():
            if done.wait(0.05):
                return
            sent.extend(live.send(live.people(n, 12)))

    thread = threading.Thread(target=flow)
    thread.start()
    try:
        yield sent
    finally:
        done.set()
        thread.join()


def files(live: Any) -> int:
    """How many log files the parts came from."""
    found = parts.list_parts(parts.model_directory(live.project.events, live.model))
    return len({extent.file for part in found for extent in part.extents})


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_an_envoy_that_is_killed_takes_its_last_lines_with_it_and_that_is_known(
    make: Any, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """What Envoy has not flushed is lost, at most what it answered in one interval; told to end, it writes it."""
    monkeypatch.setattr("seatrial.control.gateway.FLUSH_MS", {"wall": 20_000})
    live = make(clock="wall")
    live.adopt(live.server("champion"))
    rollout = live.begin(live.register(live.server("candidate")), HOURS)
    sent = live.send(live.people(0, 200))
    live.controller.tick()
    pid = live.controller.envoy.pid
    since = processes.started(pid)
    os.kill(pid, number)
    live.wait_for(lambda: not processes.running(pid, since))
    live.wait_for(lambda: live.controller.tick() or live.controller.envoy.pid)
    after = live.send(live.people(1, 50))
    live.controller.envoy.admin.post("/reopen_logs")  # what is buffered is written now

    def arrived() -> bool:
        live.controller.tick()
        found = live.controller.collector.captured(rollout).values()
        return sum(c.counted or 0 for c in found) == len(sent) + len(after)

    live.wait_for(arrived)
    found = live.controller.collector.captured(rollout)
    lost = sum(c.lost for c in found.values())
    assert (
        lost == sum((c.counted or 0) - c.logged for c in found.values()) == len(sent) + len(after) - len(live.events())
    )
    assert (lost > 0) == (number == signal.SIGKILL)
    live.start()
    assert {key: c.lost for key, c in live.controller.collector.captured(rollout).items()} == {
        key: c.lost for key, c in found.items()
    }, "the next controller knows it, too"


@pytest.mark.slow
@pytest.mark.parametrize("gone", [15, 0])
def test_lines_that_vanish_from_a_rotated_log_are_found(make: Any, gone: int) -> None:
    live = make(clock="wall")
    live.adopt(live.server("champion"))
    rollout = live.begin(live.register(live.server("candidate")), SECONDS)
    sent = live.send(live.people(0, 60))
    log = live.project.gateway / "log" / "live.jsonl"
    live.wait_for(lambda: log.read_bytes().count(b"\n") == len(sent))
    take_from(rotate(log), gone)
    live.controller.envoy.reopen_logs()

    live.run()
    if gone:
        live.wait_for(lambda: live.status(rollout) == "aborted")
        last = live.decisions(rollout)[-1]
        assert last.rule == "capture_loss"
        assert "canary: Envoy counted" in last.reason
    else:
        live.wait_for(lambda: len(live.told(rollout)) > 1)
        time.sleep(4)  # as many looks as the other needed
        assert live.status(rollout) == "running"
        assert {rule for _, _, rule in live.told(rollout)} == {"start", "min_duration"}
    assert not rotated(log)


def take_from(path: Path, canaries: int) -> None:
    """Lines of the canary, but not the first of all: a file is known by that."""
    first, *lines = path.read_bytes().splitlines(keepends=True)
    gone = [line for line in lines if b'"arm":"canary"' in line][:canaries]
    path.write_bytes(b"".join([first, *(line for line in lines if line not in gone)]))
