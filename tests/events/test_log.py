"""Reading a growing, rotated log to the last byte, once."""

import os

import pytest

from seatrial.events import log as log_module
from seatrial.events.log import LogReader, Position, Progress, rotate, rotated


def append(path, text):
    with path.open("a") as handle:
        handle.write(text)


def drain(reader, limit=1 << 20):
    found = []
    while (piece := reader.read(limit)) is not None:
        found.append(piece)
        reader.commit(piece)
    return found


@pytest.fixture
def log(tmp_path):
    return tmp_path / "live.jsonl"


def test_only_complete_lines_are_read(log):
    reader = LogReader(log)
    assert reader.read() is None
    append(log, "one\ntw")
    first = reader.read()
    assert (first.data, first.start, first.end, first.source) == (b"one\n", 0, 4, "live")
    reader.commit(first)
    assert reader.read() is None
    append(log, "o\n")
    assert reader.read().data == b"two\n"


def test_a_log_is_read_in_slices_of_whole_lines(log):
    append(log, "".join(f"line {n}\n" for n in range(100)) + "x" * 500 + "\n")
    pieces = drain(LogReader(log), limit=64)
    assert b"".join(piece.data for piece in pieces) == log.read_bytes()
    assert all(piece.data.endswith(b"\n") for piece in pieces)
    assert [p.end for p in pieces[:-1]] == [p.start for p in pieces[1:]]


def test_a_rotated_log_is_drained_and_then_the_new_one_read(log, tmp_path):
    append(log, "one\n")
    reader = LogReader(log)
    drain(reader)
    append(log, "two\n")
    assert rotate(log) == tmp_path / "live.jsonl.1"
    assert [piece.data for piece in drain(reader)] == [b"two\n"]  # no new file yet: the old one may still grow
    append(tmp_path / "live.jsonl.1", "three\n")
    append(log, "four\n")
    assert [piece.data for piece in drain(reader)] == [b"three\n", b"four\n"]
    assert reader.discard_drained() == [tmp_path / "live.jsonl.1"]
    assert os.listdir(tmp_path) == ["live.jsonl"]


def test_a_torn_last_line_of_a_rotated_log_is_handed_out(log, tmp_path):
    append(log, "one\ntor")
    reader = LogReader(log)
    drain(reader)
    rotate(log)
    append(log, "two\n")
    assert [piece.data for piece in drain(reader)] == [b"tor", b"two\n"]


def test_rotations_while_nobody_read_are_all_drained_in_order(log, tmp_path):
    append(log, "one\ntwo\n")
    reader = LogReader(log)
    piece = reader.read(5)
    for n in range(11):
        os.utime(rotate(log), (100 - n, 100 - n))  # a clock that goes back changes nothing
        append(log, f"after {n}\n")
    restarted = LogReader(log, Position(piece.file, piece.end))
    wanted = "two\n" + "".join(f"after {n}\n" for n in range(11))
    assert b"".join(p.data for p in drain(restarted)) == wanted.encode()
    assert len(restarted.discard_drained()) == 11


def test_a_log_that_reuses_an_inode_is_another_log(log):
    append(log, "one\n")
    first = LogReader(log).read()
    log.write_text("other\n")  # same inode, other contents
    second = LogReader(log, Position(first.file, first.end)).read()
    assert second.data == b"other\n"
    assert second.file != first.file


def test_a_truncated_log_is_read_from_its_new_beginning(log):
    append(log, "one\ntwo\nthree\n")
    reader = LogReader(log)
    drain(reader)
    log.write_text("new\n")
    assert [piece.data for piece in drain(reader)] == [b"new\n"]


def test_what_is_not_committed_is_read_again_with_what_came_after_it(log):
    append(log, "one\n")
    reader = LogReader(log)
    assert reader.read().data == b"one\n"
    append(log, "two\n")
    again = reader.read()
    assert (again.data, again.start, again.first) == (b"one\ntwo\n", 0, True)
    reader.commit(again)
    append(log, "three\n")
    assert (reader.read().data, reader.read().first) == (b"three\n", False)
    reader.close()
    assert (reader.read().data, reader.read().first) == (b"three\n", True), "opened anew at what is committed"


def test_rotated_files_without_a_single_complete_line_do_not_stay(log, tmp_path):
    append(log, "")
    rotate(log)
    append(log, "torn")
    rotate(log)
    append(log, "one\n")
    reader = LogReader(log)
    assert [piece.data for piece in drain(reader)] == [b"torn", b"one\n"]
    assert len(reader.discard_drained()) == 2
    assert os.listdir(tmp_path) == ["live.jsonl"]


def test_a_line_without_end_is_handed_out_in_the_end(log, monkeypatch):
    monkeypatch.setattr(log_module, "LONGEST_LINE", 1 << 14)
    append(log, "\0" * (1 << 15))
    append(log, "rest\none\n")
    found = b"".join(piece.data for piece in drain(LogReader(log), limit=1 << 12))
    assert found == b"\0" * (1 << 15) + b"rest\none\n"


def test_scrubbing_leaves_nothing_of_what_was_read_and_takes_nothing_from_who_writes(log, tmp_path):
    progress = Progress(tmp_path / "live.json")
    writer = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(writer, b'{"unit": "ann"}\n' * 5)
    reader = LogReader(log)
    (piece,) = drain(reader)
    os.write(writer, b'{"unit": "bob"}\n{"un')
    reader.scrub(progress)
    os.write(writer, b'it": "eve"}\n')
    os.close(writer)
    assert b"ann" not in log.read_bytes()
    assert log.stat().st_size == 80 + 16 + 16
    for later in (reader, LogReader(log, progress.load())):
        (piece,) = drain(later)
        assert (piece.data, piece.start) == (b'{"unit": "bob"}\n{"unit": "eve"}\n', 80)


def test_a_crash_in_the_middle_of_scrubbing_reads_only_blanks_again(log, tmp_path):
    progress = Progress(tmp_path / "live.json")
    append(log, '{"unit": "ann"}\n' * 5)
    reader = LogReader(log)
    (piece,) = drain(reader)
    progress.save(Position(piece.file, piece.end))

    def crash(_):
        raise OSError

    progress.save = crash
    with pytest.raises(OSError):
        reader.scrub(progress)
    append(log, '{"unit": "bob"}\n')
    (again,) = drain(LogReader(log, Progress(tmp_path / "live.json").load()))
    assert again.data.split() == [b'{"unit":', b'"bob"}']
    assert again.file != piece.file


def test_numbers_of_rotated_files_rise(log, tmp_path):
    for n in range(3):
        append(log, f"{n}\n")
        rotate(log)
    (tmp_path / "live.jsonl.1").unlink()
    append(log, "3\n")
    assert rotate(log).name == "live.jsonl.4"
    assert [path.name for path in rotated(log)] == ["live.jsonl.2", "live.jsonl.3", "live.jsonl.4"]
