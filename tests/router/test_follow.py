"""What the gateway's files say is what is done, and what does not read changes nothing."""

from __future__ import annotations

import os

import pytest

from routerparts import Directory, of_arm
from seatrial import Router
from seatrial.errors import NotFound
from seatrial.gateway.routes import RouteTable

pytestmark = pytest.mark.usefixtures("at_once")


def test_a_new_table_is_followed(directory, router):
    canary = of_arm(router, "canary")
    directory.put(canary_weight=0, phase=4)
    assert router.decide(canary)[:4] == ("champion", "1", "r-1", 4)


@pytest.mark.parametrize("text", ["", "{", '{"generation": 9}', "[]", "\x00" * 100])
def test_a_broken_table_keeps_the_last_one_until_it_is_whole_again(directory, router, text):
    canary = of_arm(router, "canary")
    (directory.gateway / "run" / "confirmed.json").unlink()
    directory.table.write_text(text)
    assert router.arm(canary) == "canary"
    directory.put(canary_weight=0)
    assert router.arm(canary) == "champion"


def test_a_table_that_is_gone_keeps_the_last_one(directory, router):
    canary = of_arm(router, "canary")
    for name in ("table.json", "confirmed.json"):
        (directory.gateway / "run" / name).unlink()
    assert router.arm(canary) == "canary"


def test_an_older_table_is_never_taken(directory, router):
    old = directory.files.read()
    canary = of_arm(router, "canary")
    directory.put(canary_weight=0)
    assert router.arm(canary) == "champion"
    directory.files.write(old)
    assert router.arm(canary) == "champion"
    directory.files.confirm(old)
    assert router.arm(canary) == "champion", "not even when somebody put back both files"


def test_a_table_that_envoy_refused_is_given_up_for_the_one_before(directory, router):
    before = directory.files.read()
    canary = of_arm(router, "canary")
    directory.put(canary_weight=0, confirmed=False)
    assert router.arm(canary) == "champion", "followed at once: it may be a kill"
    directory.files.write(before)
    assert router.arm(canary) == "canary"


def test_a_kill_latch_counts_at_once_though_nobody_made_new_routes(directory, router, now):
    canary = of_arm(router, "canary")
    latch = directory.kill("champion", now)
    assert router.decide(canary)[:3] == ("champion", "1", None)
    latch.unlink()
    assert router.arm(canary) == "canary"
    directory.kill("previous", now)
    assert router.decide(canary).version == "0"
    directory.kill("off", now)
    assert router.decide(canary).version is None


def test_a_latch_is_over_a_newer_table_too(directory, router, now):
    directory.kill("champion", now)
    directory.put(canary_weight=9000, mirrored=0)
    assert {router.arm(f"u{n}") for n in range(100)} == {"champion"}


def test_a_damaged_latch_switches_off_and_one_of_another_model_does_not(directory, router):
    (directory.latches / "other.json").write_text("{")
    assert router.decide("alice").version is not None
    (directory.latches / "fraud.json").write_text("{")
    assert router.decide("alice").version is None


def test_latches_that_cannot_be_listed_stay_as_they_were(directory, router, now):
    directory.kill("off", now)
    assert router.decide("alice").version is None
    directory.latches.rename(directory.latches.with_name("elsewhere"))
    directory.latches.write_text("no directory")
    assert router.decide("alice").version is None


def test_where_the_model_can_be_served_by_nobody_its_canary_gets_nothing(directory, router):
    canary = of_arm(router, "canary")
    directory.files.write(RouteTable(directory.generation + 1, (), unavailable=("fraud",)))
    assert router.decide(canary)[:4] == ("champion", "1", None, None)


def test_without_routes_it_says_how_to_get_some(tmp_path):
    with pytest.raises(NotFound, match=r"ST0790 there are no routes in .*table\.json'\. Start the project once"):
        Directory(tmp_path / "fresh").router()


def test_an_unknown_model_is_refused_with_the_known_ones(directory):
    with pytest.raises(NotFound, match=r"ST0791 the gateway has no route of model 'froud'; it knows: fraud\."):
        Router(directory.root, "froud")


def test_a_default_answers_until_there_is_a_route_and_no_longer(tmp_path):
    fresh = Directory(tmp_path / "fresh")
    router = fresh.router(default=7)
    assert router.decide("alice")[:4] == ("champion", "7", None, None)
    fresh.put(canary_weight=0)
    assert router.decide("alice")[:4] == ("champion", "1", "r-1", 3)


def test_a_kill_before_the_first_route_counts(tmp_path, now):
    fresh = Directory(tmp_path / "fresh")
    router = fresh.router(default=7)
    fresh.kill("off", now)
    assert router.decide("alice").version is None


def test_nothing_is_read_while_nothing_changes(directory, router, monkeypatch):
    read = []
    monkeypatch.setattr(type(router._follower._tables), "read", lambda self: read.append(self) or RouteTable(0))
    for _ in range(100):
        router.decide("alice")
    assert read == []
    os.utime(directory.table)
    router.decide("alice")
    assert len(read) == 1
