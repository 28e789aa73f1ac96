"""Several shadows at once: each gets its own copies, and none of them is any business of the users."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.errors import UsageError
from seatrial.gateway.assignment import POINTS, arm_of, assign, copied_to, pieces
from seatrial.gateway.kill import KillLatch, apply_latches
from seatrial.gateway.routes import RouteTable, Standing

POINT = st.integers(0, POINTS)


@given(POINT, POINT, st.lists(st.integers(1, POINTS), max_size=3))
def test_pieces_are_all_points_treated_as_each_point_is(canary, mirrored, standing):
    mirrored = min(mirrored, POINTS - canary)
    found = pieces(canary=canary, mirrored=mirrored, standing=standing)
    assert sum(piece.points for piece in found) == POINTS
    start = 0
    for piece in found:
        for point in (start, start + piece.points - 1):
            assert piece.slot == arm_of(point, canary=canary, mirrored=mirrored)
            assert piece.copies == (copied_to(point, standing) if piece.slot.arm == "champion" else ())
        start += piece.points


def test_a_growing_canary_moves_no_copy():
    before, after = (pieces(canary=canary, mirrored=0, standing=[1_000, 300]) for canary in (100, 5_000))
    assert before[-2:] == after[-2:]


def test_a_table_keeps_standing_shadows_and_a_killed_model_has_none(fraud, upstream):
    standing = Standing(upstream("9").backend("shadow"), 1_000)
    table = RouteTable(1, (fraud(standing=(standing,)),))
    assert RouteTable.from_json(table.to_json()) == table
    latch = KillLatch("fraud", "champion", "ann", "test", datetime(2026, 3, 1, tzinfo=UTC))
    assert apply_latches(table, [latch]).models[0].standing == ()
    for wrong in ((upstream("9").backend("primary"), 1), (upstream("9").backend("shadow"), 0)):
        with pytest.raises(UsageError, match="ST0700"):
            Standing(*wrong)


@pytest.mark.live
@pytest.mark.slow
def test_one_is_dead_and_one_hangs_and_the_third_and_the_users_have_their_answers(gateway, fraud, upstream, table):
    rollout, healthy, dead, hanging = (upstream(name) for name in ("8", "9", "10", "11"))
    hanging.delay_s = 60.0
    dead.die()
    standing = tuple(
        Standing(server.backend("shadow"), points)
        for server, points in ((healthy, 4_000), (dead, 3_000), (hanging, 2_000))
    )
    route = fraud(
        shadow=rollout.backend("shadow"), mirrored=7_000, standing=standing, rollout="r-1", phase=3,
        timeout_s=20.0, try_timeout_s=2.0,
    )  # fmt: skip
    gateway.envoy.apply(table(1, route))
    units = [f"u{n}" for n in range(400)]
    gateway.send_all("fraud", [unit.encode() for unit in units])  # every answer is a 200
    live = gateway.lines("live", len(units))
    assert {(line["arm"], line["code"], line["version"]) for line in live} == {("champion", 200, "7")}
    points = {unit: assign("s-1", unit) for unit in units}
    wanted = {
        "8": {unit for unit, point in points.items() if point < 7_000},
        "9": {unit for unit, point in points.items() if point >= 6_000},
        "10": {unit for unit, point in points.items() if point >= 7_000},
        "11": {unit for unit, point in points.items() if point >= 8_000},
    }
    copies = gateway.lines("shadow", sum(map(len, wanted.values())))
    for version, its in wanted.items():
        lines = [line for line in copies if line.get("to", line.get("version")) == version]
        assert {line["unit"] for line in lines} == its
        assert {line["code"] < 500 for line in lines} == {version in ("8", "9")}
        belongs = {(line.get("rollout"), line.get("phase"), int(line["sampled"])) for line in lines}
        share = {"8": 7_000, "9": 4_000, "10": 3_000, "11": 2_000}[version]
        assert belongs == {("r-1", "3", share) if version == "8" else (None, None, share)}
    assert {line["id"] for line in copies} <= {line["id"] for line in live}
    counted = gateway.envoy.counters()
    assert counted[("r-1", 3, "shadow")] == len(wanted["8"])
    assert counted[(None, None, "shadow")] == len(copies) - len(wanted["8"])
    assert gateway.envoy.split() == {"fraud": {"canary": 0, "mirrored": 7_000, "champion": 3_000}}
