"""Exercise 29.24(b): a site that withdraws is on the champion at once; nobody else is randomised anew."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest

from seatrial.cli.render import tree
from seatrial.control.documents import catalog
from seatrial.control.replay import replay
from seatrial.errors import Conflict, UsageError
from seatrial.gateway.assignment import arm_of, assign
from seatrial.store.artifacts import ArtifactStore
from seatrial.store.plans import parse_plan

pytestmark = pytest.mark.live

PLAN = parse_plan("""
name: sites
timeBucket: 1h
lookEvery: 1h
deadline: 10d
unit: {header: x-unit-id, kind: site}
metrics: [{name: errors, kind: error_rate, margin: 60pp}]
steps:
  - setWeight: 30%
  - pause: {duration: 8h}
  - setWeight: 60%
  - pause: {duration: 8h}
""")
SITES = [f"site-{n}" for n in range(60)]


def arms(sent: list[Any]) -> dict[str, set[str]]:
    """Which arm answered each site, by what Envoy stamped."""
    found = defaultdict(set)
    for one in sent:
        found[one.unit].add(one.answer.arm)
    return dict(found)


def test_a_site_leaves_and_all_others_stay_where_they_are(make: Any) -> None:
    live = make()
    live.adopt(live.server("champion"))
    rollout = live.begin(live.register(live.server("candidate")), PLAN)
    before = arms(live.hour(0, SITES * 3))
    planned = {site: {arm_of(assign(live.salt, site), canary=3000, mirrored=0).arm} for site in SITES}
    assert before == planned
    leaving = next(site for site in SITES if before[site] == {"canary"})
    phase = live.decisions(rollout)[-1].phase

    decision = live.operations.withdraw(rollout, leaving, reason="consent withdrawn", actor="ann")
    assert (decision.units_held, decision.weight, decision.phase) == ((leaving,), 3000, phase), "one command"
    sent = live.hour(1, SITES * 3)
    after = arms(sent)
    assert after.pop(leaving) == {"none"}
    assert {one.answer.version for one in sent if one.unit == leaving} == {"1"}
    assert after == {site: arm for site, arm in before.items() if site != leaving}, "nobody else moved"

    seen = [row for row in live.events().to_pylist() if row["rollout"] == rollout]
    mine = [row["arm"] for row in seen if row["arm"] in ("canary", "champion")]
    assert len(mine) == 3 * 60 + 3 * 59, "what it saw before stays in its arm; after that it is in none"
    assert {d.rule for d in live.decisions(rollout)} <= {"start", "manual", "min_duration"}, "no sample-ratio alarm"
    with pytest.raises(Conflict, match="ST0347"):
        live.operations.withdraw(rollout, leaving, actor="ann")
    with pytest.raises(UsageError, match="ST0347"):
        live.operations.withdraw(rollout, " ", actor="ann")

    with live.store.read() as tx:
        assert replay(tx, ArtifactStore(live.project.artifacts), rollout).different == ()
    live.start()  # as after a crash
    assert arms(live.hour(2, SITES * 2))[leaving] == {"none"}, "a restart forgets nobody"
    assert live.actions().count("rollout.withdraw") == 1
    with live.store.read() as tx:
        shown = tree(catalog.rollout(tx, rollout, {}))
    assert f"{leaving} at 2026-03-01 01:00 by ann: consent withdrawn; evidence until then is kept" in shown
    live.operations.by_hand(rollout, "abort", reason="enough", actor="ann")
    assert arms(live.send([leaving], live.t0 + 3 * live.hour_long))[leaving] == {"champion"}, "it is over"
