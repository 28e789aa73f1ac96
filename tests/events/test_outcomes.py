"""Outcomes: checked at the door, on disk when accepted, converted once."""

import json
import threading
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.errors import UsageError
from seatrial.events.outcomes import Outcome, OutcomeLog, parse_ndjson, read_file
from seatrial.events.parts import list_parts, model_directory, read_parts
from seatrial.events.schema import OUTCOME_SCHEMA

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
GOOD = {"key": "k1", "name": "late", "value": 1, "time": "2026-03-01T11:00:00Z"}


def lines(*records):
    return "\n".join(record if isinstance(record, str) else json.dumps(record) for record in records).encode()


def outcome(n=1, **changes):
    return Outcome(**({"model": "m", "key": f"k{n}", "name": "late", "value": 1.0, "time": NOW} | changes))


def stored(directory, model="m"):
    table = read_parts(list_parts(model_directory(directory, model)), OUTCOME_SCHEMA)
    return sorted(table.to_pylist(), key=lambda row: row["key"])


def test_a_body_becomes_outcomes():
    found = parse_ndjson(lines(GOOD, "", GOOD | {"value": True, "time": 1772362800.5, "revision": 3}), model="m")
    assert found[0] == Outcome("m", "k1", "late", 1.0, datetime(2026, 3, 1, 11, tzinfo=UTC))
    assert (found[1].value, found[1].revision) == (1.0, 3)
    assert found[1].time == datetime(2026, 3, 1, 11, 0, 0, 500000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("bad", "code", "text"),
    [
        ("{torn", "ST0501", "not JSON"),
        ("[1]", "ST0501", "an object, not list"),
        (GOOD | {"vaule": 1}, "ST0502", "unknown field 'vaule'"),
        (GOOD | {"key": ""}, "ST0503", "'key'"),
        (GOOD | {"key": "\ud800"}, "ST0503", "'key'"),
        (GOOD | {"time": "0001-01-01T00:00:00+05:00"}, "ST0505", "'time'"),
        (GOOD | {"time": "9999-12-31T23:59:59-05:00"}, "ST0505", "'time'"),
        (GOOD | {"time": 1772362800500}, "ST0505", "epoch seconds"),
        (GOOD | {"name": None}, "ST0503", "'name'"),
        (GOOD | {"value": None}, "ST0504", "'value'"),
        (GOOD | {"value": "high"}, "ST0504", "'value'"),
        (json.dumps(GOOD | {"value": float("nan")}), "ST0504", "finite"),
        (json.dumps(GOOD | {"value": float("inf")}), "ST0504", "finite"),
        (GOOD | {"value": 1e12}, "ST0504", "at most"),
        (GOOD | {"time": "2026-03-01T11:00:00"}, "ST0505", "offset"),
        (GOOD | {"time": None}, "ST0505", "'time'"),
        (GOOD | {"revision": -1}, "ST0504", "'revision'"),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_taken(bad, code, text):
    with pytest.raises(UsageError, match=text) as caught:
        parse_ndjson(lines(GOOD, bad), model="m")
    assert caught.value.code == code
    assert "line 2" in caught.value.message


GOOD_LINE = json.dumps(GOOD)
HALF, REST = GOOD_LINE[:8], GOOD_LINE[8:]


@pytest.mark.parametrize(
    "body",
    [
        f"{GOOD_LINE}, {GOOD_LINE}",
        f"{HALF}\n{REST}",
        f"{GOOD_LINE}, {GOOD_LINE}\n{HALF}\n{REST}",
        f'{GOOD_LINE}, {GOOD_LINE}\n{{"key": "a\nb", {REST}',
    ],
)
def test_a_line_is_a_record_and_a_record_is_a_line(body):
    """Also where there are as many records as lines, all told."""
    with pytest.raises(UsageError, match="line 1: not JSON"):
        parse_ndjson(body.encode(), model="m")


@given(
    st.lists(
        st.sampled_from([GOOD_LINE, "", "[", "]", "{}", ", ", "[1, 2]", "null", HALF, REST, "{", "}", '"']), max_size=6
    )
)
def test_all_lines_at_once_are_what_they_are_one_by_one(pieces):
    def told(parse):
        try:
            return parse()
        except UsageError as error:
            return str(error)

    whole = told(lambda: parse_ndjson("\n".join(pieces).encode(), model="m"))
    one_by_one = [told(lambda piece=piece: parse_ndjson(piece.encode(), model="m")) for piece in pieces]
    bad = [found for found in one_by_one if isinstance(found, str)]
    if bad:
        assert isinstance(whole, str)
    else:
        assert whole == [record for found in one_by_one for record in found]


def test_a_record_needs_a_model_from_somewhere():
    with pytest.raises(UsageError, match="'model'"):
        parse_ndjson(lines(GOOD))
    assert parse_ndjson(lines(GOOD | {"model": "other"}), model="m")[0].model == "other"


def test_files_of_three_kinds_say_the_same(tmp_path):
    (tmp_path / "a.ndjson").write_bytes(lines(GOOD))
    (tmp_path / "a.csv").write_text("key,name,value,time,revision\nk1,late,1,2026-03-01T11:00:00Z,\n")
    moment = pa.array([datetime(2026, 3, 1, 11, tzinfo=UTC)], pa.timestamp("us", tz="UTC"))
    pq.write_table(pa.table({"key": ["k1"], "name": ["late"], "value": [1], "time": moment}), tmp_path / "a.parquet")
    found = [read_file(tmp_path / name, model="m") for name in ("a.ndjson", "a.csv", "a.parquet")]
    assert found[0] == found[1] == found[2] == [Outcome("m", "k1", "late", 1.0, datetime(2026, 3, 1, 11, tzinfo=UTC))]
    (tmp_path / "b.csv").write_text(
        "key,name,value,time\nk1,late,1,2026-03-01T11:00:00Z\nk2,late,x,2026-03-01T11:00:00Z\n"
    )
    with pytest.raises(UsageError, match=r"b.csv row 2: 'value'"):
        read_file(tmp_path / "b.csv", model="m")
    with pytest.raises(UsageError, match="ST0506"):
        read_file(tmp_path / "none.csv", model="m")
    (tmp_path / "a.xls").write_text("")
    with pytest.raises(UsageError, match="ST0507"):
        read_file(tmp_path / "a.xls", model="m")


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("latin.csv", b"key,name,value,time\nk\xe91,late,1,2026-03-01T11:00:00Z\n", "ST0728"),
        ("nul.csv", b"key,name,value,time\n\x00", "ST0503"),
        ("wide.csv", b"key,name,value,time\nk1,late,1,2026-03-01T11:00:00Z,surplus\n", "ST0502"),
        ("short.csv", b"key,name,value,time\nk1,late\n", "ST0504"),
        ("not.parquet", b"key,name,value,time\n", "ST0728"),
        ("torn.ndjson", lines(GOOD)[:-5], "ST0501"),
    ],
)
def test_a_file_that_cannot_be_read_is_an_error_that_names_it(tmp_path, name, content, code):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError) as caught:
        read_file(tmp_path / name, model="m")
    assert caught.value.code == code


def test_what_is_appended_is_converted_once(tmp_path):
    log = OutcomeLog(tmp_path, clock=lambda: NOW)
    assert log.append([]) == 0
    assert log.append([outcome(1), outcome(2, value=0.5, revision=2)]) == 2
    assert log.convert() == 2
    assert log.convert() == 0
    log.append([outcome(3), outcome(4, model="n")])
    again = OutcomeLog(tmp_path, clock=lambda: NOW)
    assert again.convert() == 2
    assert [row["key"] for row in stored(tmp_path)] == ["k1", "k2", "k3"]
    assert stored(tmp_path)[1] == {
        "key": "k2", "name": "late", "value": 0.5, "time": NOW, "revision": 2, "received_at": NOW, "model": "m",
        "item": None,
    }  # fmt: skip
    assert [row["key"] for row in stored(tmp_path, "n")] == ["k4"]


def test_what_a_look_could_not_know_is_received_after_it(tmp_path):
    log = OutcomeLog(tmp_path, clock=lambda: NOW)
    log.append([outcome(1)])
    log.convert(watermark=NOW + timedelta(minutes=1))
    log.append([outcome(2)])
    log.convert(watermark=NOW - timedelta(minutes=1))
    received = [row["received_at"] for row in stored(tmp_path)]
    assert received == [NOW + timedelta(minutes=1, microseconds=1), NOW]


def test_a_torn_line_does_not_take_the_next_one_with_it(tmp_path):
    log = OutcomeLog(tmp_path, clock=lambda: NOW)
    log.append([outcome(1)])
    with log.path.open("a") as handle:
        handle.write('["m", "k2", "la')  # a crash in the middle of a write
    log.append([outcome(3)])
    log.convert()
    assert [row["key"] for row in stored(tmp_path)] == ["k1", "k3"]


def test_threads_do_not_mix_their_lines(tmp_path):
    log = OutcomeLog(tmp_path, clock=lambda: NOW)

    def send(worker):
        for n in range(20):
            log.append([outcome(worker * 1000 + n * 10 + k) for k in range(5)])

    threads = [threading.Thread(target=send, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert log.convert() == 400
    assert len({row["key"] for row in stored(tmp_path)}) == 400


def test_rotation_loses_nothing_while_threads_append(tmp_path):
    log, converter = OutcomeLog(tmp_path, clock=lambda: NOW), OutcomeLog(tmp_path, clock=lambda: NOW)

    def send(worker):
        for n in range(40):
            log.append([outcome(worker * 1000 + n)])

    threads = [threading.Thread(target=send, args=(worker,)) for worker in range(3)]
    for thread in threads:
        thread.start()
    found = 0
    while any(thread.is_alive() for thread in threads):
        if log.path.exists():
            converter.rotate()
        found += converter.convert()
    converter.rotate()
    found += converter.convert()
    assert found == 120
    assert len({row["key"] for row in stored(tmp_path)}) == 120
    assert [path.name for path in tmp_path.glob("outcomes.jsonl*")] == ["outcomes.jsonl"]
    assert log.path.read_bytes() == b""
