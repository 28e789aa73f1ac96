"""The decision itself: the same function as Envoy's, for every kind of unit."""

from __future__ import annotations

import subprocess
import sys

import pytest

import seatrial as st
from routerparts import ROUTE, backend
from seatrial.errors import UsageError
from seatrial.gateway.assignment import arm_of, assign


def test_a_hundred_thousand_units_are_where_the_assignment_puts_them(router):
    arms = {"canary": 0, "champion": 0}
    for n in range(100_000):
        unit = f"unit-{n}"
        found, slot = router.decide(unit), arm_of(assign("r-1", unit), canary=1000, mirrored=2000)
        assert (found.arm, found.copied) == slot
        assert found.version == {"canary": "2", "champion": "1"}[slot.arm]
        arms[found.arm] += 1
    assert 9_500 < arms["canary"] < 10_500, "both arms are there"


def test_what_is_stamped_on_the_log_is_in_the_assignment(router):
    found = router.decide("alice")
    assert (found.rollout, found.phase, found.point, found.sampled) == ("r-1", 3, assign("r-1", "alice"), 2000)
    assert router.arm("alice") == found.arm


@pytest.mark.parametrize("unit", [None, "", "  ", "\t"])
def test_without_a_unit_the_champion_answers_in_no_arm(router, unit):
    found = router.decide(unit)
    assert (found.arm, found.version, found.rollout, found.phase, found.copied) == ("none", "1", "r-1", 3, False)


def test_a_withdrawn_unit_is_the_champions_and_the_others_stay_where_they_are(directory):
    before = {f"u{n}": directory.router().decide(f"u{n}").arm for n in range(200)}
    left = next(unit for unit, arm in before.items() if arm == "canary")
    directory.put(withdrawn=(left,))
    after = {unit: directory.router().decide(unit).arm for unit in before}
    assert after == {**before, left: "none"}


def test_a_segment_has_a_share_of_its_own(directory):
    directory.put(segment_header="x-tenure", mirrored_by=(("new", 9000),))
    router = directory.router()
    champions = [f"u{n}" for n in range(500) if router.arm(f"u{n}") == "champion"]
    assert all(router.decide(unit, "new").copied for unit in champions)
    assert {router.decide(unit, "new").sampled for unit in champions} == {9000}
    for segment in (None, "old"):
        copied = [router.decide(unit, segment).copied for unit in champions]
        assert 0 < sum(copied) < len(copied) / 2
        assert router.decide(champions[0], segment).sampled == 2000


def test_a_model_that_is_switched_off_has_no_version(directory):
    directory.put(killed="off", canary_weight=0, mirrored=0, rollout=None, phase=None)
    assert directory.router().decide("alice")[:4] == ("none", None, None, None)


def test_outer_blanks_are_lost_on_the_wire_and_here(router):
    assert router.decide(" alice\t") == router.decide("alice")


def test_a_unit_that_is_no_text_is_refused_with_the_remedy(router):
    with pytest.raises(UsageError, match="ST0792 the unit 17 is not text"):
        router.decide(17)


def test_bytes_that_are_no_text_have_a_place_like_any_other(router):
    unit = b"caf\xe9".decode("utf-8", "surrogateescape")
    assert router.decide(unit).point == assign("r-1", unit)


def test_without_a_rollout_everybody_is_the_champions(directory):
    directory.put(canary=None, shadow=None, canary_weight=0, mirrored=0, rollout=None, phase=None)
    router = directory.router()
    assert {router.decide(f"u{n}")[:4] for n in range(100)} == {("champion", "1", None, None)}


def test_the_chain_of_the_canary_goes_down_through_the_champion():
    assert [(one.version, one.level) for one in ROUTE.chain("canary")] == [
        ("2", "primary"),
        ("1", "champion"),
        ("0", "previous"),
    ]
    assert ROUTE.chain("champion") == [backend("1"), backend("0", "previous")]


def test_importing_it_needs_no_library_but_xxhash():
    code = (
        "import sys, seatrial; from seatrial.router import Router; "
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    foreign = {"numpy", "scipy", "pyarrow", "pydantic", "yaml", "duckdb", "sqlalchemy", "fastapi", "httpx"}
    assert "xxhash" in done.stdout
    assert foreign.isdisjoint(done.stdout.split())
    assert st.Router.__module__ == "seatrial.router.router"
