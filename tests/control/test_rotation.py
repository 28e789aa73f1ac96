"""When a log is rotated, and what is asked of the one who writes it."""

import shutil
from collections import namedtuple

import pytest

from seatrial.control.capture.rotation import ASK_AGAIN_S, ROOM, Rotation
from seatrial.control.project import Capture, Project
from seatrial.errors import Unavailable, UsageError
from seatrial.values import Duration, Size

Usage = namedtuple("Usage", "total used free")


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def rotation(clock):
    return Rotation(Capture(rotate=Size(100), rotate_every=Duration(60.0)), clock)


@pytest.fixture
def log(tmp_path):
    return tmp_path / "live.jsonl"


def test_a_log_is_due_at_its_size_or_at_its_age(rotation, clock, log):
    assert not rotation.due(log), "there is none"
    log.touch()
    clock.now = 1000
    assert not rotation.due(log), "an empty one has no age"
    log.write_text("x")
    assert not rotation.due(log)
    clock.now += 59
    assert not rotation.due(log)
    clock.now += 1
    assert rotation.due(log)
    assert not rotation.due(log), "its age begins anew"
    log.write_text("x" * 100)
    assert rotation.due(log)


def test_without_room_for_a_new_log_the_old_one_stays(rotation, log, monkeypatch):
    log.write_text("x" * 100)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1, 1, ROOM - 1))
    assert not rotation.due(log)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1, 1, ROOM))
    assert rotation.due(log)


def test_who_did_not_open_the_log_anew_is_asked_again(rotation, clock, log):
    asked = []

    def reopen():
        asked.append(clock.now)
        if len(asked) < 3:
            raise Unavailable("ST0710", "Envoy does not answer.")
        log.touch()

    log.write_text("x" * 100)
    rotation.turn([log], reopen)
    assert (asked, log.exists()) == ([0.0], False)
    for _ in range(50):
        clock.now += ASK_AGAIN_S / 4
        rotation.turn([log], reopen)
    assert asked == [0.0, ASK_AGAIN_S, 2 * ASK_AGAIN_S]
    assert sorted(path.name for path in log.parent.iterdir()) == ["live.jsonl", "live.jsonl.1"]


@pytest.mark.parametrize("capture", ["{rotate: 0MiB}", "{rotate: 64}", "{rotateEvery: 0s}", "{retention: 0d}"])
def test_settings_that_keep_nothing_are_refused(tmp_path, capture):
    (tmp_path / "seatrial.yaml").write_text(f"project: shop\ncapture: {capture}\n")
    with pytest.raises(UsageError, match=r"ST0803.*capture"):
        Project.open(tmp_path)


def test_settings_are_read_as_they_are_written(tmp_path):
    (tmp_path / "seatrial.yaml").write_text(
        "project: shop\ncapture: {rotate: 1.5GiB, rotateEvery: 5m, retention: 7d}\n"
    )
    capture = Project.open(tmp_path).config.capture
    assert capture.rotate.bytes == 3 << 29
    assert [str(capture.rotate), str(capture.rotate_every), str(capture.retention)] == ["1.5GiB", "5m", "7d"]
