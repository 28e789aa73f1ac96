"""Exercise 29.12(a): a clinic's rollout goes on by people's word, holds where a site fares badly, ends on an alert."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from seatrial.control.documents import catalog
from seatrial.control.replay import replay
from seatrial.errors import Conflict, UsageError
from seatrial.evidence.facts import UnitCounts
from seatrial.evidence.snapshot import Evidence, MetricEvidence
from seatrial.evidence.tally import MICRO, Tally
from seatrial.ids import CANARY, CHAMPION, ModelName, RolloutId, VersionNumber
from seatrial.registry.people import Role
from seatrial.rollout.look import Looked, take_look
from seatrial.rollout.plan import Plan
from seatrial.rollout.start import start
from seatrial.rollout.state import RolloutState
from seatrial.rollout.validate import problems
from seatrial.rollout.verdicts import Signals
from seatrial.store.artifacts import ArtifactStore
from seatrial.store.plans import parse_plan

T0 = datetime(2026, 3, 2, tzinfo=UTC)
CLINIC = """
name: nodules
timeBucket: 1d
lookEvery: 1h
deadline: 200d
impact: clinical
ethics: {reference: IRB 2026-113}
unit: {header: x-unit-id, kind: site}
segments: [{name: site, field: site}]
metrics:
  - {name: sensitivity, kind: proportion, outcome: found, horizon: 7d, margin: 5%}
floors: [{metric: sensitivity, segment: site, least: 80%, minOutcomes: 20, hold: unit}]
steps:
  - shadow: {}
  - pause: {duration: 14d}
  - setWeight: 10%
  - pause: {duration: 14d}
  - approval: {by: [radiology-lead]}
  - setWeight: 50%
  - pause: {duration: 14d}
  - approval: {by: [radiology-lead]}
"""


def plan(text: str = CLINIC) -> Plan:
    return parse_plan(text)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  - approval: {by: [radiology-lead]}\n  - setWeight: 50%", "  - setWeight: 50%"),
        ("approval: {by: [radiology-lead]}\n  - setWeight", "approval: {}\n  - setWeight"),
        (", kind: site}", "}"),
        ("ethics: {reference: IRB 2026-113}\n", ""),
        ("IRB 2026-113", '" "'),
    ],
)
def test_nobody_is_promoted_without_named_people_sites_and_an_ethics_board(old: str, new: str) -> None:
    assert problems(plan()) == []
    assert CLINIC.replace(old, new) != CLINIC
    assert "ST0345" in {p.code for p in problems(plan(CLINIC.replace(old, new)))}


@pytest.mark.parametrize(
    ("old", "new"),
    [("least: 80%", "least: 80%, hold: all"), ("segment: site,", "segment: sex,"), ("metric: sens", "metric: spec")],
)
def test_floors_are_of_what_the_plan_knows(old: str, new: str) -> None:
    text = CLINIC.replace(", hold: unit", "") if "hold" in new else CLINIC
    codes = [p.code for p in problems(plan(text.replace(old, new)))]
    assert codes == ([] if "hold" in new else ["ST0346"])


def running(of: Plan) -> RolloutState:
    """At 10% for long enough."""
    ids = (RolloutId("r-0001"), ModelName("m"), VersionNumber(1), VersionNumber(2))
    state = start(of, *ids, "salt", T0, "ann")[1]
    first = replace(state.phases[0], number=2, stage=1, weight=1000, mirrored=0)
    return replace(state, stage=1, phases=(*state.phases, first))


def seen(**sites: tuple[int, int]) -> Evidence:
    """Outcomes and hits of the canary, by site; both arms find as much in all."""
    rng, rows = np.random.default_rng(1), []
    for site, (n, hits) in sites.items():
        outcomes = np.array([len(range(bucket, n, 256)) for bucket in range(256)])
        for arm in (CANARY, CHAMPION):
            found = rng.multivariate_hypergeometric(outcomes, hits)
            for bucket in np.flatnonzero(outcomes).tolist():
                sums = (int(outcomes[bucket]), int(found[bucket]) * MICRO, int(outcomes[bucket]) * MICRO)
                rows += [(2, 0, segment, arm, bucket, *sums) for segment in ("total", f"site={site}")]
    units = UnitCounts(arms={CANARY: 5_000, CHAMPION: 45_000})
    return Evidence(T0 + timedelta(days=20), {"sensitivity": MetricEvidence(Tally.from_rows(rows))}, units=units)


def look(of: Plan, state: RolloutState, evidence: Evidence) -> Looked:
    return take_look(of, state, evidence, Signals())


HEALTHY = (9_000, 8_100)


def test_a_site_below_its_floor_goes_home_alone() -> None:
    clinic, state = plan(), running(plan())
    looked = look(clinic, state, seen(north=HEALTHY, south=HEALTHY, east=(300, 150)))
    assert (looked.decision.action, looked.decision.rule) == ("hold", "subgroup_floor")
    assert "sensitivity in site east is 50.0% of 300" in looked.decision.reason
    assert [one.unit for one in looked.state.withdrawn] == ["east"]
    assert (looked.state.stage, looked.state.phase.weight) == (1, 1000), "nobody else moves"
    again = look(clinic, looked.state, seen(north=HEALTHY, south=HEALTHY, east=(300, 150)))
    assert again.decision.rule == "approval", "the others go on"
    assert look(clinic, state, seen(north=HEALTHY, south=HEALTHY, east=(300, 270))).state.withdrawn == ()


def test_or_everybody_waits_as_the_plan_says() -> None:
    clinic = plan(CLINIC.replace("hold: unit", "hold: all"))
    looked = look(clinic, running(clinic), seen(north=HEALTHY, east=(300, 150)))
    assert (looked.decision.rule, looked.state.withdrawn) == ("subgroup_floor", ())
    assert look(clinic, looked.state, seen(north=HEALTHY, east=(300, 150))).decision.rule == "subgroup_floor"


def test_too_few_positives_in_one_site_extend_the_stage() -> None:
    clinic = plan()
    looked = look(clinic, running(clinic), seen(north=HEALTHY, east=(19, 17)))
    assert (looked.decision.action, looked.decision.rule) == ("extend", "min_sample")
    assert looked.decision.needs == ("sensitivity in site east: 19 of 20 outcomes",)


def test_without_labels_it_stays_extended() -> None:
    clinic = plan()
    young = MetricEvidence(immature={(2, CANARY): 400, (2, CHAMPION): 3_600})
    evidence = replace(seen(north=HEALTHY), metrics={"sensitivity": young})
    looked = look(clinic, running(clinic), evidence)
    assert (looked.decision.action, looked.decision.verdicts[0].verdict) == ("extend", "immature")


LIVE = parse_plan("""
name: careful
timeBucket: 1h
lookEvery: 1h
deadline: 10d
metrics: [{name: errors, kind: error_rate, margin: 60pp}]
steps:
  - {setWeight: 10%, name: first}
  - pause: {duration: 1h}
  - analysis: {minUnits: 5}
  - approval: {by: [bob, admin], count: 1}
  - {setWeight: 50%, name: second}
  - pause: {duration: 5h}
""")


@pytest.mark.live
def test_a_stage_ends_by_somebody_elses_word_and_the_rollout_by_an_alert(make: Any) -> None:
    live = make()
    live.adopt(live.server("champion"))
    rollout = live.begin(live.register(live.server("candidate")), LIVE)  # by ann
    live.hour(0, live.people(0, 150))
    live.hour(1, live.people(1, 60))
    assert live.decisions(rollout)[-1].rule == "approval", "it waits, however good it is"
    with pytest.raises(UsageError, match="ST0341"):
        live.operations.approve(rollout, actor="ann", role=Role.ADMIN)
    with pytest.raises(UsageError, match="ST0342"):
        live.operations.approve(rollout, actor="eve", role=Role.APPROVER)
    live.operations.approve(rollout, reason="read 20 cases", actor="bob", role=Role.APPROVER)
    live.start()  # as after a crash: what bob said is in the store
    live.hour(2, live.people(2, 40))
    assert (live.decisions(rollout)[-1].stage_name, live.weight()) == ("second (canary 50%)", 5000)
    with live.store.read() as tx:
        given = catalog.rollout(tx, rollout, {})["stages"][0]["approval"]
    assert given == {"by": ["bob", "admin"], "count": 1, "asks": "", "given": []}, "the next stage begins anew"

    live.operations.alert(rollout, "weekly audit", severity="warning", actor="pacs")
    assert (live.status(rollout), live.weight()) == ("paused", 5000)
    decision = live.operations.alert(rollout, "missed nodule, case 17", actor="pacs")
    assert (decision.rule, decision.actor, live.weight(), live.status(rollout)) == ("hard_signal", "pacs", 0, "aborted")
    with pytest.raises(Conflict, match="ST0310"):
        live.operations.alert(rollout, "again", actor="pacs")
    with live.store.read() as tx:
        assert replay(tx, ArtifactStore(live.project.artifacts), rollout).different == ()
    actions = live.actions()
    assert [a for a in actions if a.startswith("rollout.")] == [
        "rollout.start", "rollout.approve", "rollout.advance", "rollout.pause", "rollout.abort",
    ]  # fmt: skip
