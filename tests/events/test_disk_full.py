"""A full disk, planted as the system plants it: a write is cut short, and the next one fails."""

import os
import resource
import threading
from contextlib import contextmanager
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from seatrial.errors import Unavailable
from seatrial.events.compact import merge, plan
from seatrial.events.log import LogReader, Progress
from seatrial.events.outcomes import Outcome, OutcomeLog
from seatrial.events.parts import ingest, list_parts, model_directory, read_parts
from seatrial.events.schema import OUTCOME_SCHEMA
from seatrial.events.shelf import Shelf

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SCHEMA = pa.schema([("line", pa.string()), ("time", pa.timestamp("us", tz="UTC"))])


@contextmanager
def room(size):
    """No file of this process grows beyond ``size`` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def outcome(n):
    return Outcome("m", f"k{n}", "late", 1.0, NOW)


def convert(lines):
    found = lines.decode().splitlines()
    return {"m": pa.table({"line": found, "time": [NOW] * len(found)}).cast(SCHEMA)}


def stored(directory):
    rows = read_parts(list_parts(model_directory(directory, "m")), OUTCOME_SCHEMA).to_pylist()
    return sorted(row["key"] for row in rows)


def test_outcomes_that_do_not_fit_are_refused_whole(tmp_path):
    log = OutcomeLog(tmp_path, clock=lambda: NOW)
    log.append([outcome(n) for n in range(10)])
    before = log.path.read_bytes()
    with room(len(before) + 200), pytest.raises(Unavailable, match="ST0520"):
        log.append([outcome(n) for n in range(10, 30)])
    assert log.path.read_bytes() == before, "neither whole lines nor half a line of what was refused"
    assert log.append([outcome(99)]) == 1
    assert log.convert() == 11
    assert stored(tmp_path) == sorted(f"k{n}" for n in (*range(10), 99))


def test_what_was_cut_short_is_never_read(tmp_path, monkeypatch):
    """The converter waits while somebody appends: it does not see lines that are taken back."""
    log, converter = OutcomeLog(tmp_path, clock=lambda: NOW), OutcomeLog(tmp_path, clock=lambda: NOW)
    log.append([outcome(1)])
    converter.convert()
    seen, found = [], []
    reading = threading.Thread(target=lambda: found.append(converter.convert()))
    real = os.ftruncate

    def truncate(*given):
        seen.append(log.path.read_bytes().count(b"\n"))
        reading.start()
        reading.join(0.2)
        real(*given)

    monkeypatch.setattr(os, "ftruncate", truncate)
    with room(log.path.stat().st_size + 200), pytest.raises(Unavailable):
        log.append([outcome(n) for n in range(2, 40)])
    reading.join()
    assert seen[0] > 2, "whole lines were on the disk for a moment"
    assert found == [0]
    log.append([outcome(40)])
    assert converter.convert() == 1
    assert stored(tmp_path) == ["k1", "k40"]


def test_a_conversion_goes_on_where_it_stopped_when_there_is_room_again(tmp_path):
    log, root, progress = tmp_path / "live.jsonl", tmp_path / "events", Progress(tmp_path / "live.json")
    reader = LogReader(log)
    log.write_text("first\n")
    ingest(reader, progress, root, convert)
    with log.open("a") as handle:
        handle.writelines(f"line {n}\n" for n in range(500))
    for _ in range(3):
        with room(1000), pytest.raises(OSError, match="large"):
            ingest(reader, progress, root, convert)
        (directory,) = root.iterdir()
        assert len(os.listdir(directory)) == 1, "nothing half written is left"
    assert ingest(reader, progress, root, convert) == 500
    assert ingest(reader, progress, root, convert) == 0
    assert read_parts(list_parts(model_directory(root, "m")), SCHEMA).num_rows == 501


def test_a_merge_that_does_not_fit_changes_nothing(tmp_path):
    log, root, progress = tmp_path / "live.jsonl", tmp_path / "events", Progress(tmp_path / "live.json")
    log.write_text("".join(f"line {n}\n" for n in range(300)))
    ingest(LogReader(log), progress, root, convert, limit=500)
    directory = model_directory(root, "m")
    before = sorted(os.listdir(directory))
    shelf = Shelf(directory, "time")
    shelf.refresh()
    with room(1000), pytest.raises(OSError, match="large"):
        merge(shelf, "time", plan(shelf.parts, NOW, eager=True))
    assert sorted(os.listdir(directory)) == before
    merge(shelf, "time", plan(shelf.parts, NOW, eager=True)).publish()
    assert read_parts(list_parts(directory), SCHEMA).num_rows == 300
