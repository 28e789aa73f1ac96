"""Who gets what: Envoy's split, its log and its counters against the assignment in Python."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest

from seatrial.gateway.assignment import POINTS, arm_of, assign

pytestmark = pytest.mark.live

ODD_UNITS = [
    b"a",
    b"user 1",
    b"o'brien@example.com",
    b"50%",
    b"%REQ(x)%",
    b"\\1\\0",
    b"a:b:c",
    b"s-1:x",
    b"^$.*+?()[]{}|",
    b'"quoted" \\ back',
    "über-öl-東京-🚢".encode(),
    b"caf\xe9",
    b"a\tb",
    b"x" * 4000,
    b"a,b",
    b"0",
]


def units(count: int, seed: int) -> list[bytes]:
    rng = random.Random(seed)
    return [f"u{rng.getrandbits(48)}-{index}".encode() for index in range(count)]


def expected(salt, unit, **split):
    return arm_of(assign(salt, unit.decode("utf-8", "surrogateescape")), **split)


def within_binomial(count, n, share, sigmas=4.5):
    return abs(count - n * share) <= sigmas * math.sqrt(n * share * (1 - share))


@pytest.fixture
def split(gateway, upstream, fraud, table):
    """Fraud with 10% canary and 20% of all units mirrored; a function that sends units and returns both logs."""
    shadow = upstream("9")
    route = fraud(
        canary=upstream("8").backend(),
        shadow=shadow.backend("shadow"),
        canary_weight=1000,
        mirrored=2000,
        rollout="r-0001",
        phase=3,
        timeout_s=20.0,
        try_timeout_s=10.0,
    )
    gateway.envoy.apply(table(1, route))

    def send(wanted):
        gateway.send_all("fraud", wanted, connections=8)
        live = gateway.lines("live", len(wanted))
        copies = sum(expected("s-1", unit, canary=1000, mirrored=2000).mirrored for unit in wanted)
        return live, gateway.lines("shadow", copies)

    return send


def check_split(gateway, split, wanted):
    live, shadow = split(wanted)
    slots = {unit: expected("s-1", unit, canary=1000, mirrored=2000) for unit in wanted}
    assert {line["unit"].encode(): line["arm"] for line in live} == {unit: slot.arm for unit, slot in slots.items()}
    mirrored = {unit for unit, slot in slots.items() if slot.mirrored}
    assert {line["unit"].encode() for line in shadow} == mirrored
    assert len(live) == len(wanted)
    assert len(shadow) == len(mirrored)
    arms = Counter(slot.arm for slot in slots.values())
    assert within_binomial(arms["canary"], len(wanted), 0.10)
    assert within_binomial(len(mirrored), len(wanted), 0.20)
    assert gateway.envoy.counters() == {
        ("r-0001", 3, "canary"): arms["canary"],
        ("r-0001", 3, "champion"): arms["champion"],
        ("r-0001", 3, "shadow"): len(mirrored),
    }


def test_arms_and_copies_are_those_of_python_in_log_and_counters(gateway, split):
    check_split(gateway, split, units(20_000, seed=1))


@pytest.mark.slow
def test_a_hundred_thousand_units(gateway, split):
    check_split(gateway, split, units(100_000, seed=2))


def test_a_unit_may_hold_any_characters(gateway, fraud, upstream, table):
    """One point of width at each unit's own place: the arm flips exactly there, so the whole point is right."""
    canary = upstream("8")
    for generation, unit in enumerate(ODD_UNITS):
        point = assign("s-1", unit.decode("utf-8", "surrogateescape"))
        for step, width in enumerate((point, point + 1)):
            number = 2 * generation + step + 1
            gateway.envoy.apply(table(number, fraud(canary=canary.backend(), canary_weight=width)))
            gateway.send_all("fraud", [unit])
    lines = gateway.lines("live", 2 * len(ODD_UNITS))
    assert [line["arm"] for line in lines] == ["champion", "canary"] * len(ODD_UNITS)


def test_nobody_leaves_the_canary_while_its_weight_grows(gateway, fraud, upstream, table):
    canary, wanted = upstream("8"), units(300, seed=3)
    before: set[str] = set()
    for generation, weight in enumerate((0, 100, 2500, 5000, POINTS), start=1):
        gateway.envoy.apply(table(generation, fraud(canary=canary.backend(), canary_weight=weight)))
        gateway.send_all("fraud", wanted)
        lines = gateway.lines("live", generation * len(wanted))[-len(wanted) :]
        inside = {line["unit"] for line in lines if line["arm"] == "canary"}
        assert before <= inside
        before = inside
    assert len(before) == len(wanted)


def test_a_new_salt_deals_anew(gateway, fraud, upstream, table):
    canary, wanted = upstream("8"), units(300, seed=4)
    for generation, salt in enumerate(("s-1", "s-2"), start=1):
        gateway.envoy.apply(table(generation, fraud(salt=salt, canary=canary.backend(), canary_weight=5000)))
        gateway.send_all("fraud", wanted)
    arms = [line["arm"] for line in gateway.lines("live", 600)]
    assert 90 < sum(one != two for one, two in zip(arms[:300], arms[300:], strict=True)) < 210


def test_without_a_unit_the_champion_answers_and_no_arm_counts_it(gateway, fraud, upstream, table):
    shadow, canary = upstream("9"), upstream("8")
    options = {"canary": canary.backend(), "shadow": shadow.backend("shadow"), "rollout": "r-1", "phase": 1}
    gateway.envoy.apply(table(1, fraud(canary_weight=5000, mirrored=5000, **options)))
    for headers in ({}, {"x-unit-id": ""}):
        reply = gateway.send("/models/fraud/predict", headers=headers)
        assert reply.headers["x-seatrial-arm"] == "none"
        assert reply.json() == {"served_by": "7"}
    assert [line["arm"] for line in gateway.lines("live", 2)] == ["none", "none"]
    assert all("unit" not in line for line in gateway.lines("live", 2))
    assert canary.seen == []
    assert shadow.seen == []
    assert gateway.envoy.counters() == {("r-1", 1, "none"): 2}


def test_a_unit_header_sent_twice_counts_once(gateway, fraud, upstream, table):
    """The first value is the unit: else a client could hold one unit id and roam between the arms."""
    unit = next(f"u{n}" for n in range(1000) if assign("s-1", f"u{n}") < 2000)
    other = next(f"u{n}" for n in range(1000) if assign("s-1", f"u{n}") >= 2000)
    gateway.envoy.apply(table(1, fraud(canary=upstream("8").backend(), canary_weight=2000)))
    for first, second in ((unit, other), (other, unit)):
        gateway.send_all("fraud", [f"{first}\r\nx-unit-id: {second}".encode()])
    assert [(line["unit"], line["arm"]) for line in gateway.lines("live", 2)] == [(unit, "canary"), (other, "champion")]


def test_weights_read_back_from_envoy_are_those_in_force(gateway, fraud, upstream, table):
    options = {"canary": upstream("8").backend(), "shadow": upstream("9").backend("shadow")}
    gateway.envoy.apply(table(1, fraud(canary_weight=500, mirrored=2000, **options)))
    assert gateway.envoy.split() == {"fraud": {"canary": 500, "mirrored": 2000, "champion": 7500}}
    gateway.envoy.apply(table(2, fraud()))
    assert gateway.envoy.split() == {"fraud": {"canary": 0, "mirrored": 0, "champion": 10_000}}
