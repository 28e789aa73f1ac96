"""Standing shadows in a running system: outside of a rollout, in one, sick, and over a restart."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from seatrial.control.analyses.shadow import Options, standing_report
from seatrial.gateway.assignment import assign, copied_to
from seatrial.store.plans import parse_plan
from seatrial.values import Share

pytestmark = [pytest.mark.live, pytest.mark.slow]

PLAN = parse_plan("""
name: shadowed
lookEvery: 30m
deadline: 10d
metrics: [{name: errors, kind: error_rate, margin: 10pp}]
steps: [{shadow: {share: 50%}}, {pause: {duration: 1d}}, {setWeight: 50%}]
""")


def copies(live: Any, version: int) -> list[dict[str, Any]]:
    rows = [row for row in live.events().to_pylist() if row["arm"] == "shadow" and row["rollout"] is None]
    return [row for row in rows if row["served_version"] == str(version)]


def test_sick_shadows_and_a_restart_are_no_business_of_users_nor_of_the_rollout(make: Any) -> None:
    live = make("shadows")
    live.adopt(live.server("champion"))
    servers = {live.register(server): server for server in (live.server(name) for name in ("well", "hangs", "dies"))}
    well, hangs, dies = servers
    for version, share in ((well, 4_000), (hangs, 3_000), (dies, 2_000)):
        live.operations.add_shadow(live.model, version, Share(share), actor="ann")

    first = live.hour(0, live.people(0, 150))
    assert {sent.answer.version for sent in first} == {"1"}
    units = {version: {row["unit"] for row in copies(live, version)} for version in servers}
    points = [assign(live.model, sent.unit) for sent in first]
    for place, version in enumerate(servers):
        assert len(units[version]) == sum(place in copied_to(point, [4_000, 3_000, 2_000]) for point in points) > 10
    assert units[dies] < units[hangs] < units[well]

    candidate = live.register(live.server("candidate"))
    rollout = live.begin(candidate, PLAN)
    servers[hangs].mode = "hang"
    servers[dies].die()
    live.start()  # another controller: what is stored is in force
    second = live.hour(1, live.people(1, 150))
    assert {(sent.answer.version, sent.answer.level) for sent in second} == {("1", "primary")}
    captured = live.captured(rollout)
    assert captured[1, "champion"] == len(second)
    assert captured[1, "shadow"] == sum(assign(live.salt, sent.unit) < 5_000 for sent in second)
    assert captured == Counter(live.counted(rollout))
    failed = Counter(version for version in servers for row in copies(live, version) if row["error"])
    assert failed[well] == 0
    assert min(failed[hangs], failed[dies]) > 10
    assert live.status(rollout) == "running"

    with live.store.read() as tx:
        found = standing_report(live.project, tx, live.model, well, Options(min_pairs=20)).document
    assert found["segments"][0]["pairs"] == len(copies(live, well))
    assert found["unmatched"]["unmatched"] == 0

    for version in servers:
        live.operations.remove_shadow(live.model, version, actor="ann")
    before = len(copies(live, well))
    live.hour(2, live.people(2, 30))
    assert len(copies(live, well)) == before
    assert live.actions().count("shadow.add") == live.actions().count("shadow.remove") == 3
