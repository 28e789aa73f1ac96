"""Kill latches: stored, read, taken away, and what they do to a table."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from seatrial.errors import IntegrityError, NotFound, UsageError
from seatrial.gateway.kill import KillLatch, apply_latches, read_latches, remove_latch, write_latch
from seatrial.gateway.routes import Backend, Endpoint, ModelRoute, RouteTable

CHAMPION = Backend("7", Endpoint("127.0.0.1", 9001))
PREVIOUS = Backend("6", Endpoint("127.0.0.1", 9006), "previous")
RUNNING = ModelRoute(
    model="fraud",
    salt="s-1",
    unit_header="x-unit-id",
    champion=CHAMPION,
    canary=Backend("8", Endpoint("127.0.0.1", 9002)),
    shadow=Backend("9", Endpoint("127.0.0.1", 9003), "shadow"),
    fallbacks=(PREVIOUS,),
    canary_weight=500,
    mirrored=2000,
    rollout="r-1",
    phase=1,
)


def latch(clock, mode="champion", model="fraud"):
    return KillLatch(model, mode, "ann", "scores are off", clock)


def test_latches_come_back_as_written(tmp_path, clock):
    written = [latch(clock, "off", "a"), latch(clock, "previous", "b")]
    for item in reversed(written):
        write_latch(tmp_path / "run" / "kill", item)
    assert list(read_latches(tmp_path / "run" / "kill")) == written
    assert (tmp_path / "run" / "kill" / "a.json").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["kill"]


def test_no_directory_is_no_latch(tmp_path):
    assert read_latches(tmp_path / "none") == ()


def test_a_later_kill_replaces_the_one_before(tmp_path, clock):
    kill = tmp_path / "kill"
    write_latch(kill, latch(clock, "champion"))
    write_latch(kill, latch(clock, "off"))
    assert [item.mode for item in read_latches(kill)] == ["off"]


def test_reviving_takes_the_latch_away_once(tmp_path, clock):
    kill = tmp_path / "kill"
    write_latch(kill, latch(clock))
    assert remove_latch(kill, "fraud") == latch(clock)
    assert read_latches(kill) == ()
    with pytest.raises(NotFound, match="ST0733"):
        remove_latch(kill, "fraud")


@pytest.mark.parametrize("text", ["", "{}", '{"model": "fraud"}', "[]", "\0"])
def test_a_latch_that_cannot_be_read_is_no_revival(tmp_path, clock, text):
    write_latch(tmp_path / "kill", latch(clock, "champion", "other"))
    (tmp_path / "kill" / "fraud.json").write_text(text)
    damaged, other = read_latches(tmp_path / "kill")
    assert (damaged.model, damaged.mode) == ("fraud", "off")
    assert "fraud.json is damaged" in damaged.reason
    assert other == latch(clock, "champion", "other")
    assert read_latches(tmp_path / "kill") == (damaged, other), "the same every time it is read"
    remove_latch(tmp_path / "kill", "fraud")
    assert read_latches(tmp_path / "kill") == (other,)


def test_a_latch_under_another_name_does_not_kill_the_wrong_model(tmp_path, clock):
    write_latch(tmp_path / "kill", latch(clock, "champion", "other")).rename(tmp_path / "kill" / "fraud.json")
    (found,) = read_latches(tmp_path / "kill")
    assert (found.model, found.mode) == ("fraud", "off")


def test_a_directory_that_cannot_be_read_is_no_revival(tmp_path):
    (tmp_path / "kill").write_text("")
    with pytest.raises(IntegrityError, match=r"ST0734 the kill latches in .*kill cannot be read"):
        read_latches(tmp_path / "kill")


def test_an_unknown_mode_is_not_taken_for_a_known_one(tmp_path, clock):
    with pytest.raises(UsageError, match="ST0730"):
        latch(clock, "maybe")
    record = {"model": "fraud", "mode": "maybe", "actor": "a", "reason": "r", "time": clock.isoformat()}
    (tmp_path / "fraud.json").write_text(json.dumps(record))
    assert [item.mode for item in read_latches(tmp_path)] == ["off"]


@pytest.mark.parametrize("name", ["", "../x", ".hidden", "a/b"])
def test_a_name_cannot_leave_the_directory(tmp_path, clock, name):
    with pytest.raises(UsageError, match="ST0732"):
        write_latch(tmp_path, latch(clock, model=name))


CALM = replace(RUNNING, canary_weight=0, mirrored=0, rollout=None, phase=None)


@pytest.mark.parametrize(
    ("mode", "safe"),
    [
        ("champion", CALM),
        ("previous", replace(CALM, champion=PREVIOUS, fallbacks=(), lowered="killed")),
        ("off", replace(CALM, killed="off")),
    ],
)
def test_each_mode(clock, mode, safe):
    other = replace(RUNNING, model="other")
    table = RouteTable(4, (RUNNING, other))
    assert apply_latches(table, [latch(clock, mode)]) == RouteTable(4, (safe, other))
    assert apply_latches(table, []) == table


def test_previous_without_a_previous_is_the_champion(clock):
    route = replace(RUNNING, fallbacks=())
    (safe,) = apply_latches(RouteTable(1, (route,)), [latch(clock, "previous")]).models
    assert (safe.champion, safe.canary_weight) == (CHAMPION, 0)


@pytest.mark.parametrize("mode", ["champion", "previous", "off"])
def test_killing_twice_is_killing_once(clock, mode):
    table = RouteTable(1, (RUNNING,))
    once = apply_latches(table, [latch(clock, mode)])
    assert apply_latches(once, [latch(clock, mode)]) == once
