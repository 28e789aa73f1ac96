"""A release from adoption to the end, through the real gateway: promoted, stopped in shadow, or aborted as a canary."""

from __future__ import annotations

import math
from typing import Any

import pytest

from seatrial.control.documents import catalog
from seatrial.control.replay import replay
from seatrial.gateway.assignment import arm_of, assign
from seatrial.store.artifacts import ArtifactStore
from seatrial.store.plans import parse_plan

pytestmark = pytest.mark.live

METRICS = """
timeBucket: 1h
lookEvery: 1h
deadline: 10d
metrics:
  - {name: loss, kind: loss, loss: absolute, outcome: y, horizon: 1h, margin: 20%}
  - {name: errors, kind: error_rate, margin: 10pp}
"""
WHOLE = parse_plan(f"""
name: whole
{METRICS}
steps:
  - shadow: {{share: 100%}}
  - pause: {{duration: 2h}}
  - analysis: {{minPairs: 200}}
  - setWeight: 10%
  - pause: {{duration: 2h}}
  - setWeight: 50%
  - pause: {{duration: 2h}}
  - setWeight: 100%
""")
ERRORS = parse_plan("""
name: errors
timeBucket: 1h
lookEvery: 15m
deadline: 10d
metrics:
  - {name: errors, kind: error_rate, margin: 10pp}
steps:
  - setWeight: 10%
  - pause: {duration: 2h}
  - analysis: {minUnits: 20}
  - setWeight: 25%
  - pause: {duration: 2h}
""")


def test_a_good_candidate_is_promoted(make: Any) -> None:
    live = make()
    champion, candidate = live.server("champion"), live.server("candidate")
    live.adopt(champion)
    version = live.register(candidate)
    rollout = live.begin(version, WHOLE)
    assert live.stages() == {1: "Production", version: "Shadow"}

    sent: list[Any] = []
    hour, stages = 0, []
    while live.status(rollout) == "running" and hour < 14:
        stages.append(live.decisions(rollout)[-1].stage)
        busy = stages.count(stages[-1]) <= (1, 2, 1)[stages[-1]]  # then the outcomes have time to mature
        sent += live.hour(hour, live.people(hour, (240, 1050, 120)[stages[-1]] if busy else 40))
        hour += 1

    told = live.told(rollout)
    assert [action for action, _, _ in told if action not in ("hold", "extend")] == [
        "start", "advance", "advance", "promote",
    ]  # fmt: skip
    assert live.status(rollout) == "promoted"
    assert live.pointers() == {"champion": version, "previous": 1}
    assert live.stages() == {1: "Standby", version: "Production"}
    assert [s.answer for s in sent if not s.answer.ok] == []
    assert "rollout.promote" in live.actions()
    with live.store.read() as tx:
        replayed = replay(tx, ArtifactStore(live.project.artifacts), rollout)
        explained = catalog.explanation(tx, rollout, {}, live.decisions(rollout)[-1].look)
    assert replayed.identical, replayed.different
    assert (replayed.decisions, replayed.looks) == (len(told), len(told) - 1)
    assert [rule["rule"] for rule in explained["rules"] if rule["spoke"]] == ["advance"]
    assert all(rule["saw"] for rule in explained["rules"])

    after = live.send(live.people(99, 20))
    assert {s.answer.version for s in after} == {str(version)}
    assert live.weight() == 0


def test_a_bad_candidate_is_stopped_in_shadow_and_no_user_meets_it(make: Any) -> None:
    live = make()
    live.adopt(live.server("champion"))
    version = live.register(live.server("candidate", miss=0.6))
    rollout = live.begin(version, WHOLE)
    sent, hour = [], 0
    while live.status(rollout) == "running" and hour < 8:
        sent += live.hour(hour, live.people(hour, 260))
        hour += 1

    decisions = live.decisions(rollout)
    assert (decisions[-1].action, decisions[-1].rule) == ("abort", "guardrail_harm")
    assert "loss is worse" in decisions[-1].reason
    assert {d.weight for d in decisions} == {0}
    assert {s.answer.version for s in sent} == {"1"}, "nobody was answered by the candidate"
    assert live.pointers() == {"champion": 1}
    assert live.stages() == {1: "Production", version: "Staging"}
    assert live.weight() == 0
    assert "rollout.abort" in live.actions()


@pytest.mark.parametrize("fault", ["dead", *(pytest.param(mode, marks=pytest.mark.slow) for mode in ("nan", "hang"))])
def test_a_dead_canary_is_aborted_while_users_see_no_error(make: Any, fault: str) -> None:
    live = make(attempt="400ms" if fault == "hang" else "2s")
    candidate = live.server("candidate")
    live.adopt(live.server("champion"))
    rollout = live.begin(live.register(candidate), ERRORS)
    sent = live.hour(0, live.people(0, 300))
    assert live.told(rollout)[-1][0] == "hold"
    assert live.weight() == 1000

    if fault == "dead":
        candidate.die()
    candidate.mode = fault
    sent += live.send(live.people(1, 300), live.t0 + live.hour_long)
    live.operations.advance(live.t0 + 2 * live.hour_long)

    last = live.decisions(rollout)[-1]
    assert (last.action, last.rule) == ("abort", "guardrail_harm")
    assert [s.answer.status for s in sent] == [200] * 600, "the champion answered for the canary"
    assert live.weight() == 0
    rows = [
        row for row in live.events().to_pylist() if row["arm"] == "canary" and row["time"] > live.t0 + live.hour_long
    ]
    assert rows
    assert all(row["error"] and row["served_version"] == "1" for row in rows)
    before = [row for row in live.events().to_pylist() if row["time"] <= live.t0 + live.hour_long]
    assert not any(row["error"] for row in before), "while it lived nothing was wrong"


def test_shares_are_as_planned_and_nobody_leaves_the_canary(make: Any) -> None:
    live = make()
    live.adopt(live.server("champion"))
    rollout = live.begin(live.register(live.server("candidate")), ERRORS)
    units = live.people(0, 300)
    arms: dict[str, list[str]] = {unit: [] for unit in units}
    for hour in range(4):
        weight = live.weight()
        for sent in live.hour(hour, units):
            arms[sent.unit].append(sent.answer.arm)
            planned = arm_of(assign(live.salt, sent.unit), canary=weight, mirrored=0).arm
            assert sent.answer.arm == planned
            assert sent.answer.version == ("2" if planned == "canary" else "1")
    assert [d.weight for d in live.decisions(rollout) if d.action in ("start", "advance")] == [1000, 2500]

    captured = live.captured(rollout)
    assert captured == live.counted(rollout)
    for phase, share in ((1, 0.10), (2, 0.25)):
        canary, all_of = captured[phase, "canary"], captured[phase, "canary"] + captured[phase, "champion"]
        assert all_of == 600
        assert abs(canary - all_of * share) < 4 * math.sqrt(all_of * 2 * share * (1 - share)), "each unit came twice"
    for seen in arms.values():
        assert seen == sorted(seen, key=("champion", "canary").index), "once in the canary, always in the canary"
