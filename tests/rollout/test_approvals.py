"""Named steps, approvals, guardrails that begin at a step, and dry runs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from seatrial.errors import SeatrialError
from seatrial.evidence.facts import UnitCounts
from seatrial.evidence.snapshot import Evidence, MetricEvidence
from seatrial.evidence.tally import MICRO, Tally
from seatrial.ids import CANARY, CHAMPION, ModelName, RolloutId, VersionNumber
from seatrial.rollout.decide import decide, evolve
from seatrial.rollout.look import take_look
from seatrial.rollout.plan import Plan
from seatrial.rollout.stages import compile_stages
from seatrial.rollout.start import by_approval, by_hand, start
from seatrial.rollout.state import RolloutState
from seatrial.rollout.validate import problems
from seatrial.rollout.verdicts import Decision, Judgement, MetricVerdict, Signals
from seatrial.store.plans import parse_plan

T0 = datetime(2026, 3, 2, tzinfo=UTC)
PLAN = """
name: p
metrics:
  - {name: ctr, kind: proportion, outcome: click, horizon: 1h, margin: 2%}
  - {name: retention, kind: proportion, outcome: back, horizon: 1d, margin: 2%, startingStep: half}
  - {name: basket, kind: mean, outcome: sum, horizon: 1h, margin: 2%, role: dryRun}
steps:
  - {setWeight: 10%, name: tenth}
  - pause: {duration: 2h}
  - {setWeight: 50%, name: half}
  - pause: {duration: 2d}
  - approval: {by: [bob, admin], count: 2, asks: "is the clinic informed?"}
"""


@pytest.fixture
def plan() -> Plan:
    return parse_plan(PLAN)


def begin(plan: Plan, stage: int = 1) -> RolloutState:
    ids = (RolloutId("r-0001"), ModelName("m"), VersionNumber(1), VersionNumber(2))
    state = start(plan, *ids, "salt", T0, "ann")[1]
    return replace(state, stage=stage)


def passing(name: str = "ctr") -> Judgement:
    v = MetricVerdict(metric=name, role="guardrail", arms="live", verdict="pass", status="ok", method="m",
                      scale="relative", better="increase", bound=-0.02, margin=-0.02)  # fmt: skip
    return Judgement(verdicts=(v,), units=10_000)


def look(plan: Plan, state: RolloutState, judgement: Judgement | None = None) -> tuple[Decision, RolloutState]:
    judgement = judgement or passing()
    decision = decide(plan, state, judgement, Signals(), T0 + timedelta(days=3))
    return decision, evolve(state, judgement, decision)


def test_a_step_is_called_what_the_plan_calls_it(plan: Plan) -> None:
    assert problems(plan) == []
    assert [stage.name for stage in compile_stages(plan)] == ["tenth (canary 10%)", "half (canary 50%)"]


def test_a_stage_waits_for_so_many_others(plan: Plan) -> None:
    decision, state = look(plan, begin(plan))
    assert (decision.action, decision.rule) == ("hold", "approval")
    assert "2 of 2 approvals by bob, admin (is the clinic informed?): `seatrial approve r-0001`" in decision.reason
    told, state = by_approval(plan, state, "bob", {"approver"}, reason="seen", now=T0)
    assert (told.actor, told.reason) == ("bob", "half (canary 50%) approved (1 of 2): seen")
    decision, state = look(plan, state)
    assert "waiting for 1 of 2" in decision.reason
    _, state = by_approval(plan, state, "eve", {"approver", "admin"}, reason="", now=T0)
    assert look(plan, state)[0].action == "promote"


@pytest.mark.parametrize(
    ("who", "roles", "code"),
    [("ann", {"admin"}, "ST0341"), ("dan", {"approver"}, "ST0342"), ("bob", {"approver"}, "ST0343")],
)
def test_who_may_not_approve(plan: Plan, who: str, roles: set[str], code: str) -> None:
    """Who began it, who is not named, and who already has."""
    _, state = by_approval(plan, begin(plan), "bob", {"approver"}, reason="", now=T0)
    with pytest.raises(SeatrialError, match=code):
        by_approval(plan, state, who, roles, reason="", now=T0)


def test_nothing_to_approve_is_said(plan: Plan) -> None:
    with pytest.raises(SeatrialError, match="ST0340"):
        by_approval(plan, begin(plan, stage=0), "bob", {"approver"}, reason="", now=T0)


def test_who_began_it_goes_past_nothing_either(plan: Plan) -> None:
    state = begin(plan)
    with pytest.raises(SeatrialError, match="ST0341"):
        by_hand(plan, state, "promote", full=True, reason="late", actor="ann", now=T0)
    assert by_hand(plan, state, "promote", full=True, reason="late", actor="bob", now=T0)[1].status == "promoted"


def test_a_strike_asks_anew(plan: Plan) -> None:
    _, state = by_approval(plan, begin(plan), "bob", {"approver"}, reason="", now=T0)
    judgement = replace(passing(), verdicts=(replace(passing().verdicts[0], verdict="fail"),))
    decision, state = look(plan, state, judgement)
    assert (decision.action, state.approvals) == ("step_back", ())


def test_a_guardrail_counts_from_its_step_on(plan: Plan) -> None:
    first, second = compile_stages(plan)
    late = plan.metrics[1]
    assert (first.watches(late), second.watches(late)) == (False, True)
    early = replace(plan, metrics=(plan.metrics[0], replace(late, starting_step=None)))
    assert [p.code for p in problems(early)] == ["ST0203"], "without it the first step is shorter than the horizon"


def test_a_dry_run_has_no_share_of_the_budget(plan: Plan) -> None:
    assert {name for name, _ in plan.budget()} == {"ctr", "retention"}
    assert plan.budget()["ctr", "live"] == pytest.approx(0.025)
    assert plan.trying(plan.metrics[2]).budget()["basket", "live"] == pytest.approx(0.05 / 3), "as if it counted"


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("{setWeight: 10%, name: tenth}", "{setWeight: 10%, name: half}", "ST0233"),
        ("pause: {duration: 2h}", "{pause: {duration: 2h}, name: wait}", "ST0233"),
        ("startingStep: half", "startingStep: hlaf", "ST0234"),
        ("role: dryRun", "role: signal, startingStep: half", "ST0217"),
        ("kind: mean, outcome: sum", "kind: proportion, outcome: sum, limit: 5%", "ST0217"),
        ("count: 2", "count: 0", "ST0235"),
        ("by: [bob, admin]", "by: [bob]", "ST0235"),
        ("by: [bob, admin]", "by: [operator, bob]", "ST0235"),
        ("{setWeight: 10%, name: tenth}", "{setWeight: 10%, pause: {}}", "ST0201"),
    ],
)
def test_what_validation_refuses(old: str, new: str, code: str) -> None:
    assert code in [p.code for p in problems(parse_plan(PLAN.replace(old, new)))]


def sums(harmed: bool) -> MetricEvidence:
    """Of 40,000 exposures an arm; with the canary every sixth hit is lost, if it is harmed."""
    rng = np.random.default_rng(3)
    rows: list[tuple[Any, ...]] = []
    for arm, rate in ((CANARY, 0.25 if harmed else 0.3), (CHAMPION, 0.3)):
        hits = rng.binomial(160, rate, 256)
        rows += [(1, 0, "total", arm, n, 160, int(hits[n]) * MICRO, 160 * MICRO) for n in range(256)]
    return MetricEvidence(Tally.from_rows(rows))


def told(plan: Plan, harmed: str, stage: int) -> Decision:
    """What the real gates and rules say of evidence in which one metric is harmed, in the first phase of a stage."""
    state = begin(plan, stage)
    split = compile_stages(plan)[stage].weight
    state = replace(state, phases=(replace(state.phases[0], stage=stage, weight=split),))
    metrics = {m.name: sums(m.name == harmed) for m in plan.metrics}
    units = UnitCounts(arms={CANARY: 9_000, CHAMPION: 9_000})
    evidence = Evidence(T0 + timedelta(days=3), metrics, units=units)
    return take_look(plan, state, evidence, Signals()).decision


def test_a_dry_run_says_what_it_would_have_done_and_does_nothing(plan: Plan) -> None:
    decision = told(plan, "basket", stage=0)
    (dry,) = [v for v in decision.signals if v.metric == "basket"]
    assert (dry.role, dry.verdict, dry.alpha_fail) == ("dryRun", "fail", pytest.approx(0.05 / 3))
    assert (decision.action, decision.strikes) == ("advance", 0)
    real = replace(plan, metrics=(*plan.metrics[:2], replace(plan.metrics[2], role="guardrail")))
    assert told(real, "basket", stage=0).rule == "guardrail_harm", "the same evidence, if it counted"


def test_a_guardrail_stops_nothing_before_its_step(plan: Plan) -> None:
    early = told(plan, "retention", stage=0)
    assert (early.action, [v.metric for v in early.verdicts]) == ("advance", ["ctr"])
    assert next(v for v in early.signals if v.metric == "retention").role == "signal"
    late = told(plan, "retention", stage=1)
    assert (late.rule, late.action) == ("guardrail_harm", "step_back")
