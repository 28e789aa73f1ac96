"""Compaction: one part a day in the end, the same rows at every moment."""

import os
from datetime import UTC, datetime, timedelta

import pyarrow.parquet as pq
import pytest

from seatrial.events import compact as compact_module
from seatrial.events.compact import merge, plan, sweep
from seatrial.events.parts import Extent, list_parts, model_directory, read_parts, write_part
from seatrial.events.schema import event_schema, to_micros, to_table
from seatrial.events.shelf import Shelf

DAY = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
SCHEMA = event_schema(["origin"])


@pytest.fixture
def directory(tmp_path):
    return model_directory(tmp_path / "events", "m")


@pytest.fixture
def shelf(directory):
    return Shelf(directory, "time")


def row(n, time, **more):
    return {"request_id": f"r{n}", "row": 0, "model": "m", "arm": "champion", "time": to_micros(time), **more}


def put(directory, n, time, rows=1, segments=("origin",), file="1a.2b"):
    """The part of bytes n*10 to n*10+10."""
    table = to_table(
        [row(f"{n}-{k}", time + timedelta(seconds=k), seg_origin="JFK") for k in range(rows)], event_schema(segments)
    )
    return write_part(directory, "live", file, n * 10, n * 10 + 10, table)


def ids(directory):
    return sorted(read_parts(list_parts(directory), SCHEMA)["request_id"].to_pylist())


def compact(shelf, until, **given):
    """Until nothing is left to do; how many merges it took."""
    merges = 0
    while True:
        shelf.refresh()
        batch = plan(shelf.parts, until, **given)
        if not batch:
            return merges
        merged = merge(shelf, "time", batch)
        merged.publish()
        merged.discard_sources()
        merges += 1


def test_hours_first_then_the_day(directory, shelf, monkeypatch):
    monkeypatch.setattr(compact_module, "FEW", 2)
    for n in range(48):
        put(directory, n, DAY + n * HOUR / 2, rows=3)
    wanted = ids(directory)
    assert compact(shelf, DAY) == 0, "no hour is over yet"
    assert compact(shelf, DAY + 10 * HOUR) == 10
    assert len(list_parts(directory)) == 10 + 28
    assert ids(directory) == wanted
    assert compact(shelf, DAY + 25 * HOUR) == 1
    (part,) = list_parts(directory)
    assert part.extents == (Extent("live", "1a.2b", 0, 480),)
    assert part.path.name.startswith("compact-20260301")
    assert os.listdir(directory) == [part.path.name]
    assert ids(directory) == wanted
    times = pq.read_table(part.path)["time"].to_pylist()
    assert times == sorted(times)
    assert compact(shelf, DAY + 100 * HOUR) == 0, "one part a day is the end"


def test_what_is_not_over_is_merged_when_it_has_many_parts(directory, shelf, monkeypatch):
    monkeypatch.setattr(compact_module, "FEW", 5)
    monkeypatch.setattr(compact_module, "MANY", 10)
    for n in range(4):
        put(directory, n, DAY + timedelta(seconds=n))
    assert compact(shelf, DAY + HOUR) == 0
    put(directory, 4, DAY + timedelta(seconds=4))
    assert (compact(shelf, DAY), compact(shelf, DAY + HOUR)) == (0, 1), "an hour that is over"
    for n in range(5, 14):
        put(directory, n, DAY + HOUR + timedelta(seconds=n))
    assert compact(shelf, DAY + HOUR) == 0
    put(directory, 14, DAY + HOUR)
    assert compact(shelf, DAY + HOUR) == 1, "one that is not"
    assert compact(shelf, DAY + HOUR, eager=True) == 0
    assert len(list_parts(directory)) == 2


def test_parts_on_different_sides_of_a_look_are_not_merged(directory, shelf):
    for n in range(6):
        put(directory, n, DAY + timedelta(minutes=n))
    look = to_micros(DAY + timedelta(minutes=2))
    assert compact(shelf, DAY + HOUR, apart=[look], eager=True) == 2
    shelf.refresh()
    assert [(part.rows, part.earliest <= look) for part in shelf.parts] == [(3, True), (3, False)]
    assert compact(shelf, DAY + 2 * HOUR, eager=True) == 1, "without the look between them they are"


def test_full_parts_stay_as_they_are(directory, shelf, monkeypatch):
    monkeypatch.setattr(compact_module, "ROWS_AT_ONCE", 20)
    monkeypatch.setattr(compact_module, "FULL", 10)
    for n in range(10):
        put(directory, n, DAY, rows=6)
    put(directory, 10, DAY, rows=10)
    wanted = ids(directory)
    compact(shelf, DAY + 48 * HOUR)
    shelf.refresh()
    sizes = sorted(part.rows for part in shelf.parts)
    assert sum(sizes) == 70
    assert max(sizes) <= 20
    assert len([size for size in sizes if size < 10]) <= 1
    assert ids(directory) == wanted


def test_columns_of_all_the_parts_are_kept(directory, shelf):
    put(directory, 0, DAY, segments=("origin",))
    put(directory, 1, DAY, segments=("kind",))
    compact(shelf, DAY + 48 * HOUR)
    (part,) = list_parts(directory)
    table = pq.read_table(part.path)
    assert {"seg_origin", "seg_kind"} < set(table.column_names)
    assert table.schema.metadata[b"seatrial.events"] == b"1"
    assert sorted(table["seg_origin"].to_pylist(), key=str) == ["JFK", None]


def test_a_crash_between_any_two_stages_counts_nothing_twice(directory, shelf):
    for n in range(4):
        put(directory, n, DAY)
    wanted = ids(directory)
    shelf.refresh()
    merged = merge(shelf, "time", plan(shelf.parts, DAY + 48 * HOUR))
    assert ids(directory) == wanted, "written, not named"
    sweep(Shelf(directory, "time"))
    assert len(os.listdir(directory)) == 4, "what was not named is cleared away"

    merged = merge(shelf, "time", plan(shelf.parts, DAY + 48 * HOUR))
    merged.publish()
    assert len(os.listdir(directory)) == 5
    assert ids(directory) == wanted, "named, nothing deleted"
    merged.sources[1].part.path.unlink()
    assert ids(directory) == wanted, "half deleted"
    put(directory, 4, DAY)
    put(directory, 0, DAY, file="3c.4d")
    assert len(ids(directory)) == 6, "another file's bytes are others"
    sweep(Shelf(directory, "time"))
    assert len(os.listdir(directory)) == 3
    assert compact(Shelf(directory, "time"), DAY + 48 * HOUR) == 1
    assert len(ids(directory)) == 6


def test_extents_stay_apart_where_another_part_lies_between_them(directory, shelf):
    for n, day in ((0, 0), (1, 1), (2, 0), (3, 0), (5, 0)):
        put(directory, n, DAY + timedelta(days=day, hours=1))
    compact(shelf, DAY + 48 * HOUR)
    extents = [part.extents for part in list_parts(directory)]
    assert sorted(extents, key=len) == [
        (Extent("live", "1a.2b", 10, 20),),
        (Extent("live", "1a.2b", 0, 10), Extent("live", "1a.2b", 20, 60)),
    ]


def test_a_merge_of_a_merge_counts_once_before_anything_is_deleted(directory, shelf):
    """Both begin with the same extent, because another part lies behind it."""
    for n, day in ((0, 0), (1, 1), (2, 0), (3, 0)):
        put(directory, n, DAY + timedelta(days=day, minutes=n))
    wanted = ids(directory)
    shelf.refresh()
    first, second, third, _ = shelf.parts
    merge(shelf, "time", [first, second]).publish()
    shelf.refresh()
    (merged,) = [part for part in shelf.parts if part.compact]
    larger = merge(shelf, "time", [merged, third])
    larger.publish()
    assert larger.path.name in {part.path.name for part in list_parts(directory)}
    assert ids(directory) == wanted
    sweep(shelf)
    assert len(os.listdir(directory)) == 2
    assert ids(directory) == wanted


def test_the_shelf_says_what_is_new_and_what_is_gone(directory, shelf):
    paths = [put(directory, n, DAY + n * HOUR, rows=2) for n in range(3)]
    assert [part.name for part in shelf.refresh().new] == [path.name for path in paths]
    assert shelf.refresh() == shelf.refresh()
    merged = merge(shelf, "time", shelf.parts[:2])
    merged.publish()
    change = shelf.refresh()
    assert [part.name for part in change.new] == [merged.path.name]
    assert [part.part.path for part in change.gone] == paths[:2] == sorted(shelf.covered)
    merged.discard_sources()
    assert shelf.refresh().gone == ()
    paths[2].unlink()
    assert [part.part.path for part in shelf.refresh().gone] == [paths[2]]
    (part,) = shelf.parts
    assert (part.rows, part.compact) == (4, True)
    assert (part.earliest, part.latest) == (to_micros(DAY), to_micros(DAY + HOUR + timedelta(seconds=1)))
