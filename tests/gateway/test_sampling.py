"""Segments that are copied at shares of their own: Envoy's copies against the assignment in Python."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pytest

from seatrial.errors import UsageError
from seatrial.gateway.assignment import arm_of, assign, mirrored_for
from seatrial.gateway.kill import KillLatch, apply_latches
from seatrial.gateway.routes import Backend, Endpoint, ModelRoute, RouteTable

SHARES = (("medium", 1_000), ("new", 5_000))
OTHERWISE = 500
ROUTE = ModelRoute(
    model="fraud",
    salt="s-1",
    unit_header="x-unit-id",
    champion=Backend("7", Endpoint("127.0.0.1", 9001)),
    shadow=Backend("8", Endpoint("127.0.0.1", 9002), "shadow"),
    mirrored=OTHERWISE,
    mirrored_by=SHARES,
    segment_header="x-age",
)


def copied(unit: str, segment: str | None) -> bool:
    return arm_of(assign("s-1", unit), canary=0, mirrored=mirrored_for(segment, SHARES, otherwise=OTHERWISE)).mirrored


@pytest.mark.parametrize(("segment", "share"), [("new", 0.5), ("medium", 0.1), ("power", 0.05), (None, 0.05)])
def test_of_a_hundred_thousand_units_the_wanted_fraction_is_copied(segment, share):
    assert sum(copied(f"u{n}", segment) for n in range(100_000)) == pytest.approx(share * 100_000, rel=0.1)


def test_the_same_units_are_copied_every_time_and_shares_are_nested():
    units = [f"u{n}" for n in range(5_000)]
    few, some, many = ({u for u in units if copied(u, segment)} for segment in ("power", "medium", "new"))
    assert few < some < many
    assert {u for u in units if copied(u, "power")} == few


@pytest.mark.parametrize(
    "wrong",
    [
        {"segment_header": None},
        {"mirrored_by": (("new", 0),)},
        {"mirrored_by": (("new", 10_001),)},
        {"mirrored": 0},
        {"segment_header": "x age"},
    ],
)
def test_a_route_that_cannot_be_is_refused(wrong):
    given = {name: getattr(ROUTE, name) for name in ROUTE.__slots__}
    with pytest.raises(UsageError, match="ST0700"):
        ModelRoute(**{**given, **wrong})


def test_a_table_keeps_the_shares_and_a_killed_model_has_none():
    table = RouteTable(1, (ROUTE,))
    assert RouteTable.from_json(table.to_json()) == table
    latch = KillLatch("fraud", "champion", "ann", "test", datetime(2026, 3, 1, tzinfo=UTC))
    (route,) = apply_latches(table, [latch]).models
    assert (route.mirrored, route.mirrored_by) == (0, ())


@pytest.mark.live
def test_envoy_copies_who_python_says_and_tells_the_share(gateway, fraud, upstream, table):
    shadow = upstream("9").backend("shadow")
    options = {"mirrored": OTHERWISE, "mirrored_by": SHARES, "segment_header": "X-Age", "shadow": shadow}
    gateway.envoy.apply(table(1, fraud(rollout="r-1", phase=1, timeout_s=20.0, try_timeout_s=10.0, **options)))
    sent = {f"u{n}": ("new", "medium", "power", None)[n % 4] for n in range(1_200)}
    gateway.send_all("fraud", [f"{u}\r\nx-age: {s}".encode() if s else u.encode() for u, s in sent.items()])
    live = gateway.lines("live", len(sent))
    wanted = {unit for unit, segment in sent.items() if copied(unit, segment)}
    copies = gateway.lines("shadow", len(wanted))
    assert {line["unit"] for line in copies} == wanted
    assert Counter(sent[unit] for unit in wanted)["new"] > 100
    told = {None: 500, "power": 500, "medium": 1_000, "new": 5_000}
    for line in [*live, *copies]:
        segment = sent[line["unit"]]
        assert (line.get("segment"), int(line["sampled"])) == (segment, told[segment])
    assert gateway.envoy.split() == {"fraud": {"canary": 0, "mirrored": 500, "champion": 9_500}}
