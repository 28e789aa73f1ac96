"""Parts: which count, and that converting again counts nothing twice."""

import os
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seatrial.events.log import LogReader, Progress
from seatrial.events.parts import (
    Extent,
    fit,
    ingest,
    list_parts,
    model_directory,
    part_of,
    read_parts,
    write_part,
)

TABLE = pa.table({"line": ["a", "b"]})


def append(path, text):
    with path.open("a") as handle:
        handle.write(text)


def ends(directory):
    return [extent.end for part in list_parts(directory) for extent in part.extents]


@pytest.fixture
def log(tmp_path):
    return tmp_path / "live.jsonl"


def test_a_part_is_named_by_its_bytes_and_replaced_by_a_longer_one(tmp_path):
    directory = tmp_path / "model=m"
    path = write_part(directory, "live", "1a.2b", 0, 10, TABLE)
    assert part_of(path).extents == (Extent("live", "1a.2b", 0, 10),)
    write_part(directory, "live", "1a.2b", 0, 10, TABLE.slice(0, 1))
    assert read_parts(list_parts(directory), TABLE.schema).num_rows == 1
    write_part(directory, "live", "1a.2b", 0, 25, TABLE)
    assert ends(directory) == [25]
    write_part(directory, "live", "1a.2b", 25, 30, TABLE)
    write_part(directory, "shadow", "1a.2b", 0, 30, TABLE)
    assert len(list_parts(directory)) == 3
    assert not [name for name in os.listdir(directory) if name.endswith(".tmp")]


def test_a_shorter_part_left_by_a_crash_is_not_listed(tmp_path):
    long = write_part(tmp_path, "live", "1a.2b", 0, 25, TABLE)
    shutil.copy(long, tmp_path / long.name.replace("25.parquet", "12.parquet"))
    (tmp_path / "notes.txt").write_text("x")
    assert ends(tmp_path) == [25]
    assert list_parts(tmp_path / "absent") == []


def test_fit_fills_what_a_part_lacks():
    schema = pa.schema([("line", pa.string()), ("new", pa.int64())])
    assert fit(TABLE, schema).to_pydict() == {"line": ["a", "b"], "new": [None, None]}


def as_tables(lines: bytes):
    found: dict[str, list[str]] = {}
    for line in lines.decode().splitlines():
        model, _, text = line.partition(" ")
        found.setdefault(model, []).append(text)
    return {model: pa.table({"line": texts}) for model, texts in found.items()}


def rows_of(root, model):
    return read_parts(list_parts(model_directory(root, model)), pa.schema([("line", pa.string())]))["line"].to_pylist()


def test_ingest_twice_is_ingest_once(log, tmp_path):
    root, progress = tmp_path / "events", Progress(tmp_path / "run" / "live.json")
    append(log, "m one\nn two\n")
    assert ingest(LogReader(log), progress, root, as_tables) == 2
    append(log, "m three\n")
    assert ingest(LogReader(log, progress.load()), progress, root, as_tables) == 1
    assert ingest(LogReader(log, progress.load()), progress, root, as_tables) == 0
    assert (rows_of(root, "m"), rows_of(root, "n")) == (["one", "three"], ["two"])


def test_a_crash_before_the_position_is_saved_counts_nothing_twice(log, tmp_path):
    root, progress = tmp_path / "events", Progress(tmp_path / "live.json")

    class Crash(Exception):
        pass

    def crash(_):
        raise Crash

    append(log, "m one\nm two\n")
    progress.save = crash
    with pytest.raises(Crash):
        ingest(LogReader(log), progress, root, as_tables)
    append(log, "m three\n")
    progress = Progress(tmp_path / "live.json")
    ingest(LogReader(log, progress.load()), progress, root, as_tables)
    assert rows_of(root, "m") == ["one", "two", "three"]


def test_a_part_that_cannot_be_written_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(pq, "write_table", fail)
    with pytest.raises(OSError, match="disk full"):
        write_part(tmp_path, "live", "1a.2b", 0, 10, TABLE)
    assert os.listdir(tmp_path) == []


def test_a_model_name_cannot_leave_its_directory(tmp_path):
    assert model_directory(tmp_path, "../x").parent == tmp_path
    assert model_directory(tmp_path, "flights").name == "model=flights"
