"""The capture log is rotated under traffic: every request is in the parts once, whatever ends in the middle."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from seatrial.control.capture.collector import Collector
from seatrial.control.controller import Controller
from seatrial.events import parts
from seatrial.events.log import LogReader, Progress, rotated
from seatrial.gateway.envoy import Envoy
from seatrial.store.plans import parse_plan

pytestmark = pytest.mark.live

PLAN = parse_plan("""
name: rotation
timeBucket: 1h
lookEvery: 1s
deadline: 10d
metrics: [{name: errors, kind: error_rate, margin: 10pp}]
steps: [{shadow: {share: 100%}}, {pause: {duration: 2d}}]
""")


class Crash(Exception):
    """The controller ends here."""


@pytest.fixture
def live(make: Any) -> Any:
    """A system whose capture log is rotated as often as it is looked at, with a shadow that gets every request."""
    live = make(clock="wall", more="capture: {rotate: 2KiB}")
    live.adopt(live.server("champion"))
    live.rollout = live.begin(live.register(live.server("candidate")), PLAN)
    return live


@contextmanager
def busy(live: Any) -> Iterator[None]:
    """The controller's rounds without a pause between them."""
    stop = threading.Event()

    def rounds() -> None:
        while not stop.is_set():
            live.controller.tick()

    thread = threading.Thread(target=rounds)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def logged(live: Any) -> dict[str, Counter[str]]:
    """How often each request is in the parts, by log."""
    rows = live.events().to_pylist()
    shadow = Counter(row["request_id"] for row in rows if row["arm"] == "shadow")
    return {"live": Counter(row["request_id"] for row in rows if row["arm"] != "shadow"), "shadow": shadow}


def files(live: Any, source: str) -> int:
    """How many log files the parts came from."""
    directory = parts.model_directory(live.project.events, live.model)
    extents = [extent for part in parts.list_parts(directory) for extent in part.extents]
    return len({extent.file for extent in extents if extent.source == source})


def exactly_once(live: Any, sent: list[Any]) -> None:
    wanted = Counter(s.answer.id for s in sent)
    assert len(wanted) == len(sent)

    def arrived() -> bool:
        live.controller.tick()
        return all(len(found) >= len(sent) for found in logged(live).values())

    live.wait_for(arrived)
    assert logged(live) == {"live": wanted, "shadow": wanted}
    assert not parts.model_directory(live.project.events, "").exists(), "no line was torn"
    captured = live.controller.collector.captured(live.rollout)
    assert {arm: (c.logged, c.counted) for (_, arm), c in captured.items()} == {
        "champion": (len(sent), len(sent)),
        "shadow": (len(sent), len(sent)),
    }


def test_no_line_is_lost_torn_or_doubled_over_many_rotations(live: Any) -> None:
    sent: list[Any] = []

    def rotated_often() -> bool:
        return min(files(live, "live"), files(live, "shadow")) > 10

    with busy(live):  # how many requests go into a file depends on how fast this machine looks
        while len(sent) < 800 or (not rotated_often() and len(sent) < 8_000):
            sent += live.send(live.people(len(sent), 200))
    exactly_once(live, sent)
    assert rotated_often()
    logs = [live.project.gateway / "log" / f"{name}.jsonl" for name in ("live", "shadow")]

    def drained() -> bool:
        """What is read is deleted, as soon as Envoy has let go of it."""
        live.controller.tick()
        return all(log.exists() and not rotated(log) for log in logs)

    live.wait_for(drained)


Stage = tuple[Any, str, bool]
STAGES: list[Stage] = [
    (Envoy, "reopen_logs", False),  # renamed; Envoy writes on in the renamed file
    (Envoy, "reopen_logs", True),  # Envoy was told
    (parts, "write_part", False),
    (parts, "write_part", True),  # a part is there, how far it reaches is not
    (Progress, "save", True),  # committed, the reader has not moved
    (LogReader, "discard_drained", False),  # read to the end, not deleted
    (LogReader, "discard_drained", True),
    (Collector, "_remember", True),
]


def crash_once(monkeypatch: pytest.MonkeyPatch, where: Any, name: str, *, after: bool) -> Callable[[], bool]:
    """Let a call fail once, before or after it did its work; says whether it has."""
    real, left = getattr(where, name), [1]

    def crashing(*given: Any, **named: Any) -> Any:
        if not left:
            return real(*given, **named)
        left.clear()
        if after:
            real(*given, **named)
        raise Crash

    monkeypatch.setattr(where, name, crashing)
    return lambda: not left


def test_a_crash_between_any_two_stages_loses_and_doubles_nothing(live: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = []
    for n, (where, name, after) in enumerate(STAGES):
        sent += live.send(live.people(n, 40))
        with monkeypatch.context() as patch:
            crashed = crash_once(patch, where, name, after=after)
            live.wait_for(lambda crashed=crashed: _ticked(live.controller) or crashed())
        live.start()
    exactly_once(live, sent)
    assert files(live, "live") >= len(STAGES) // 2


def _ticked(controller: Controller) -> None:
    try:
        controller.tick()
    except Crash:
        controller.collector.close()
