"""The last points while a holdout lasts: an arm of their own for Envoy, in the router and in the table's file."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.errors import UsageError
from seatrial.gateway.assignment import POINTS, arm_of, assign, pieces
from seatrial.gateway.envoy_clusters import cluster_config
from seatrial.gateway.envoy_routes import route_config
from seatrial.gateway.kill import KillLatch, apply_latches
from seatrial.gateway.routes import Backend, Endpoint, ModelRoute, RouteTable, Standing
from seatrial.router.places import Places

OLD, NEW, NEXT = (Backend(str(n), Endpoint("127.0.0.1", 9000 + n)) for n in (1, 2, 3))
ROUTE = ModelRoute(
    model="fraud", salt="r-1", unit_header="x-unit-id", champion=NEW, canary=NEXT, canary_weight=950, rollout="r-2",
    phase=1, fallbacks=(replace(OLD, level="previous"),), holdout=OLD, held=500,
)  # fmt: skip


def test_it_has_an_entry_and_a_chain_of_its_own() -> None:
    table = RouteTable(1, (ROUTE,))
    routes = route_config(table)["virtual_hosts"][0]["routes"]
    entries = routes[0]["route"]["weighted_clusters"]["clusters"]
    assert [(entry["weight"], entry["name"].split("--")[1]) for entry in entries] == [
        (950, "canary"), (8_550, "champion"), (500, "holdout")
    ]  # fmt: skip
    stamps = {one["header"]["key"]: one["header"]["value"] for one in entries[2]["request_headers_to_add"]}
    assert stamps["x-seatrial-arm"] == "holdout"
    assert [one.version for one in ROUTE.chain("holdout")] == ["1", "2"], "and nobody is asked twice"
    assert [one.version for one in ROUTE.chain("champion")] == ["2", "1"]
    named = {cluster["name"] for cluster in cluster_config(table)}
    assert {entry["name"] for entry in entries} <= named
    without = route_config(RouteTable(1, (replace(ROUTE, holdout=None, held=0),)))["virtual_hosts"][0]["routes"][0]
    assert [entry["weight"] for entry in without["route"]["weighted_clusters"]["clusters"]] == [950, 9_050]


def test_the_table_is_read_back_and_what_leaves_nobody_is_refused() -> None:
    table = RouteTable(3, (ROUTE,))
    assert RouteTable.from_json(table.to_json()) == table
    for wrong in ({"held": 10_000}, {"held": -1}, {"holdout": None}, {"canary_weight": 9_600}):
        with pytest.raises(UsageError, match="ST0700"):
            replace(ROUTE, **wrong)


def test_a_kill_passes_over_it() -> None:
    for mode in ("champion", "previous", "off"):
        latch = KillLatch("fraud", mode, "ann", "drill", datetime(2026, 3, 1, tzinfo=UTC))  # type: ignore[arg-type]
        (safe,) = apply_latches(RouteTable(1, (ROUTE,)), [latch]).models
        assert safe.held == 0


@given(held=st.integers(0, 5_000), canary=st.integers(0, 5_000), shares=st.lists(st.integers(1, POINTS), max_size=3))
def test_pieces_and_points_agree(held: int, canary: int, shares: list[int]) -> None:
    cut = pieces(canary=canary, mirrored=0, standing=shares, held=held)
    assert sum(piece.points for piece in cut) == POINTS
    slots = [piece.slot for piece in cut for _ in range(piece.points)]
    for point in {0, canary, POINTS - held - 1, min(POINTS - held, POINTS - 1), POINTS - 1}:
        assert slots[point] == arm_of(point, canary=canary, mirrored=0, held=held)
    assert sum(slot.arm == "holdout" for slot in slots) == held
    assert not any(piece.copies for piece in cut if piece.slot.arm != "champion")


def test_the_router_assigns_as_envoy_does() -> None:
    places, standing = Places(ROUTE), Places(replace(ROUTE, canary=None, canary_weight=0, rollout=None, phase=None))
    for unit in (f"u{n}" for n in range(2_000)):
        point = assign("r-1", unit)
        assert places.of(unit).arm == arm_of(point, canary=950, mirrored=0, held=500).arm
        assert standing.of(unit).version == ("1" if point >= 9_500 else "2")
    assert places.of(None).version == "2", "who has no unit is in no holdout"
    copied = replace(ROUTE, standing=(Standing(Backend("9", Endpoint("127.0.0.1", 9009), "shadow"), 500),))
    assert [piece.points for piece in pieces(canary=950, mirrored=0, standing=[500], held=500)] == [
        950,
        8_050,
        500,
        500,
    ]
    assert len(route_config(RouteTable(1, (copied,)))["virtual_hosts"][0]["routes"]) > 1
