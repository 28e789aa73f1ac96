"""Logs of services that route by themselves become the rows they would have been behind Envoy, each once."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from routerparts import Directory, of_arm
from seatrial.control.capture.rotation import Rotation
from seatrial.control.capture.routers import Routers, in_process
from seatrial.control.project import Capture
from seatrial.events.capture import CaptureContext, convert
from seatrial.events.parts import list_parts, model_directory, read_parts
from seatrial.events.schema import event_schema
from seatrial.events.wire import ResponseSpec
from seatrial.router import Router
from seatrial.router.files import Counts, LogFiles
from seatrial.router.writer import Writer
from seatrial.values import Duration, Size

CONTEXT = CaptureContext(bucket_salt="buckets", unit_key=b"key")
NOW = datetime(2026, 1, 2, tzinfo=UTC)
HANDLERS = {1: lambda row: 0.1, 2: lambda row: 0.2}
KEY = ("r-1", 3, "canary")


class Reading:
    """The collector's part; ``again`` is one after a crash."""

    def __init__(self, directory: Directory, context: CaptureContext = CONTEXT, **capture) -> None:
        self.directory, self.events = directory, directory.state / "events"
        self.capture, self.context = replace(Capture(), **capture), context
        self.routers = self._opened()

    def _opened(self) -> Routers:
        logs = self.directory.gateway / "log"
        routers = Routers(logs, self.directory.state / "capture", Rotation(self.capture))
        routers.open()
        return routers

    def again(self) -> None:
        self.routers.close()
        self.routers = self._opened()

    def drain(self) -> int:
        contexts = in_process({"fraud": self.context})
        made = partial(convert, contexts=contexts, watermark=None, captured_at=NOW)
        return self.routers.drain(self.events, made, {"r-1"})

    def rows(self):
        return read_parts(list_parts(model_directory(self.events, "fraud")), event_schema(())).to_pylist()


@pytest.fixture
def directory(tmp_path) -> Directory:
    made = Directory(tmp_path / "shop")
    made.put(mirrored=0)
    return made


@pytest.fixture
def reading(directory) -> Reading:
    return Reading(directory)


def files(directory):
    return sorted(path.name.partition(".")[2] for path in (directory.gateway / "log").glob("router-*"))


def writer(directory):
    return Writer(directory.gateway / "log")


def gone(writer):
    """As if its process had ended."""
    assert writer.flush(20)
    writer._files.abandon()


def ask(directory, count=100):
    router = directory.router()
    for n in range(count):
        router.predict(f"u{n}", {"n": n}, handlers=HANDLERS)
    assert router.flush(20)
    return router


def line(n):
    stamps = {"model": "fraud", "rollout": "r-1", "phase": "3", "arm": "canary", "unit": f"u{n}"}
    asked = {"code": 200, "method": "POST", "path": "/invocations", "body": {"resp": '{"predictions":[0.5]}'}}
    return {"id": f"i{n}", **stamps, **asked}


def test_a_services_requests_are_rows_and_counted_by_arm(directory, reading):
    router = ask(directory)
    assert reading.drain() == 100
    rows = reading.rows()
    arms = Counter(row["arm"] for row in rows)
    assert arms == Counter(router.arm(f"u{n}") for n in range(100))
    assert {(row["score"], row["served_version"], row["arm"]) for row in rows} == {
        (0.1, "1", "champion"),
        (0.2, "2", "canary"),
    }
    assert not any(row["error"] for row in rows)
    expected = Counter({("r-1", 3, arm): n for arm, n in arms.items()})
    assert reading.routers.logged == expected
    assert reading.routers.low == reading.routers.high() == expected


def test_nothing_is_read_twice_whatever_is_read_again(directory, reading):
    ask(directory)
    assert reading.drain() == 100
    reading.again()
    assert reading.drain() == 0
    ask(directory)
    assert reading.drain() == 100
    assert reading.routers.logged == reading.routers.high()
    assert len({row["request_id"] for row in reading.rows()}) == 200


def test_a_crash_between_a_part_and_its_position_counts_nothing_twice(directory, reading, monkeypatch):
    ask(directory)
    with monkeypatch.context() as broken:
        broken.setattr("seatrial.control.capture.routers.Tallied.save", lambda self, position: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            reading.drain()
    reading.again()
    assert reading.drain() == 100
    assert len(reading.rows()) == 100
    assert reading.routers.logged == reading.routers.high()


def test_a_process_that_is_gone_is_read_to_its_end_kept_in_the_counts_and_deleted(directory, reading):
    one = writer(directory)
    for n in range(50):
        one.put(KEY, line(n))
    assert one.flush(20)
    assert reading.drain() == 50
    assert files(directory) == ["counts.json", "jsonl", "lock"], "it may write more"
    one.put(KEY, line(50))
    gone(one)
    assert reading.drain() == 1
    assert files(directory) == []
    for _ in range(2):
        assert reading.routers.logged == reading.routers.low == reading.routers.high() == Counter({KEY: 51})
        reading.again()
        assert reading.drain() == 0
    assert list((directory.state / "capture").iterdir()) == [directory.state / "capture" / "routers.json"]


def test_the_torn_last_line_of_a_killed_process_is_read_as_it_is(directory, reading):
    one = writer(directory)
    one.put(KEY, line(0))
    gone(one)
    (log,) = (directory.gateway / "log").glob("*.jsonl")
    log.write_bytes(log.read_bytes() + json.dumps(line(1)).encode()[:40])
    assert reading.drain() == 2
    assert len(reading.rows()) == 1
    unread = read_parts(list_parts(model_directory(reading.events, "")), event_schema(())).to_pylist()
    assert [row["error_kind"] for row in unread] == ["unparsed"]
    assert files(directory) == []


def test_a_crash_while_files_are_deleted_deletes_them_the_next_time(directory, reading, monkeypatch):
    one = writer(directory)
    one.put(KEY, line(0))
    gone(one)
    with monkeypatch.context() as broken:
        broken.setattr("seatrial.control.capture.routers.Source.delete", lambda self: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            reading.drain()
    assert files(directory) != []
    reading.again()
    assert reading.drain() == 0
    assert files(directory) == []
    assert reading.routers.logged == reading.routers.high() == Counter({KEY: 1})


def test_what_was_dropped_must_be_there_and_is_not(directory, reading, monkeypatch):
    held = LogFiles.tell
    monkeypatch.setattr(LogFiles, "tell", lambda self, counts: held(self, replace(counts, dropped={KEY: 30})))
    one = writer(directory)
    for n in range(70):
        one.put(KEY, line(n))
    assert one.flush(20)
    reading.drain()
    assert reading.routers.logged == {KEY: 70}
    assert reading.routers.low == {KEY: 100}


def test_lines_on_their_way_are_not_missing_yet(directory, reading, monkeypatch):
    """The counts are told before the lines: what lies between is neither lost nor there."""
    one = writer(directory)
    one.put(KEY, line(0))
    assert one.flush(20)
    (counts,) = (directory.gateway / "log").glob("*.counts.json")
    counts.write_text(replace(Counts.read(counts), answered={KEY: 9}).text())
    reading.drain()
    assert (reading.routers.low, reading.routers.high()) == ({KEY: 1}, {KEY: 9})


def test_a_log_beyond_its_size_or_age_is_rotated_and_read_to_its_end(directory):
    reading = Reading(directory, rotate=Size(1000, "1000B"), rotate_every=Duration(3600.0, "1h"))
    for _ in range(3):
        ask(directory, 20)
        reading.drain()
    ask(directory, 20)
    assert reading.drain() == 20
    assert len({row["request_id"] for row in reading.rows()}) == len(reading.rows()) == 80
    assert len([name for name in files(directory) if name.startswith("jsonl")]) == 1, "what was read is deleted"


def test_the_renamed_log_of_an_idle_service_is_let_go_of(directory, monkeypatch):
    monkeypatch.setattr("seatrial.router.writer.IDLE_S", 0.02)
    reading = Reading(directory, rotate=Size(1, "1B"))
    one = writer(directory)
    one.put(KEY, line(0))
    assert one.flush(20)
    deadline = time.monotonic() + 40
    while [name for name in files(directory) if name.startswith("jsonl.")] or not reading.rows():
        reading.drain()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert len(reading.rows()) == 1


def test_a_contract_for_the_models_own_server_does_not_speak_of_answers_in_process(directory):
    context = replace(CONTEXT, format="oip", response=ResponseSpec(score="/outputs/0/data", output="p"))
    reading = Reading(directory, context)
    router = directory.router()
    router.predict(of_arm(router, "champion"), {"n": 1}, handlers={1: lambda row: {"p": 0.25, "why": "age"}})
    assert router.flush(20)
    reading.drain()
    assert [(row["score"], row["error"]) for row in reading.rows()] == [(0.25, False)]


def test_event_time_is_the_services_where_a_project_replays(directory):
    reading = Reading(directory, replace(CONTEXT, replay=True))
    router = Router(directory.root, "fraud")
    router.predict("alice", {"n": 1}, handlers=HANDLERS, time=NOW - timedelta(days=2))
    assert router.flush(20)
    reading.drain()
    assert [row["event_time"] for row in reading.rows()] == [NOW - timedelta(days=2)]
