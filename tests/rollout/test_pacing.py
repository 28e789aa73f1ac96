"""The pace: what it reads, its bounds, and what validation refuses."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from seatrial.control.states import decision_from_json, decision_to_json
from seatrial.ids import ModelName, RolloutId, VersionNumber
from seatrial.rollout.decide import decide, evolve
from seatrial.rollout.plan import Plan
from seatrial.rollout.start import start
from seatrial.rollout.state import RolloutState
from seatrial.rollout.validate import problems
from seatrial.rollout.verdicts import Decision, Judgement, MetricVerdict, Signals
from seatrial.store.plans import parse_plan

T0 = datetime(2026, 3, 2, tzinfo=UTC)
PLAN = """
name: p
deadline: 60d
metrics:
  - {name: ctr, kind: proportion, outcome: click, horizon: 1h, margin: 1%}
  - {name: errors, kind: error_rate, margin: 1pp}
pacing: {metric: ctr, strong: 2%, fastest: 0.5x, slowest: 2x, maxStep: 30%}
steps:
  - setWeight: 10%
  - pause: {duration: 4d}
  - setWeight: 25%
  - pause: {duration: 4d}
  - setWeight: 50%
  - pause: {duration: 4d}
"""


@pytest.fixture
def plan() -> Plan:
    return parse_plan(PLAN)


def begin(plan: Plan) -> RolloutState:
    ids = (RolloutId("r-0001"), ModelName("m"), VersionNumber(1), VersionNumber(2))
    return start(plan, *ids, "salt", T0, "ann")[1]


def seen(lower: float, upper: float, name: str = "ctr") -> Judgement:
    v = MetricVerdict(metric=name, role="guardrail", arms="live", verdict="pass", status="ok", method="joined boundary",
                      scale="relative", better="increase", bound=-0.01, margin=-0.01, estimate=(lower + upper) / 2,
                      lower=lower, upper=upper)  # fmt: skip
    return Judgement(verdicts=(v,), units=10_000)


def look(plan: Plan, state: RolloutState, judgement: Judgement, days: float) -> tuple[Decision, RolloutState]:
    decision = decide(plan, state, judgement, Signals(), state.phase.started + timedelta(days=days))
    return decision, evolve(state, judgement, decision)


STRONG, NEUTRAL, WEAK = seen(0.021, 0.04), seen(-0.005, 0.06), seen(-0.009, -0.001)


@pytest.mark.parametrize(
    ("judgement", "word", "days", "weight"),
    [(STRONG, "fast", 2.0, 3250), (NEUTRAL, "standard", 4.0, 2500), (WEAK, "slow", 8.0, 1750)],
)
def test_strong_neutral_and_weak_evidence(
    plan: Plan, judgement: Judgement, word: str, days: float, weight: int
) -> None:
    assert problems(plan) == []
    early, _ = look(plan, begin(plan), judgement, days - 0.01)
    assert (early.rule, early.pace and early.pace.word) == ("min_duration", word)
    decision, state = look(plan, begin(plan), judgement, days)
    assert (decision.action, decision.weight, state.phase.weight) == ("advance", weight, weight)


def test_a_good_estimate_whose_interval_crosses_zero_is_neutral(plan: Plan) -> None:
    judgement = seen(-0.01, 0.06)
    assert judgement.verdicts[0].estimate == pytest.approx(0.025), "+2.5%"
    decision, _ = look(plan, begin(plan), judgement, 0)
    assert decision.pace is not None
    assert decision.pace.word == "standard"
    at_the_line, _ = look(plan, begin(plan), seen(0.02, 0.04), 0)
    assert at_the_line.pace is not None
    assert at_the_line.pace.word == "standard", "the bound itself is not above it"


def test_a_metric_that_is_better_when_it_falls(plan: Plan) -> None:
    v = replace(seen(-0.04, -0.021).verdicts[0], better="decrease")
    assert look(plan, begin(plan), Judgement(verdicts=(v,), units=10_000), 2)[0].action == "advance"
    v = replace(seen(0.021, 0.04).verdicts[0], better="decrease")
    assert look(plan, begin(plan), Judgement(verdicts=(v,), units=10_000), 2)[0].action == "hold"


def test_any_guardrail_slows_and_only_the_named_one_speeds_up(plan: Plan) -> None:
    worse = replace(seen(0.001, 0.004, "errors").verdicts[0], better="decrease", scale="absolute")
    both = replace(STRONG, verdicts=(*STRONG.verdicts, worse))
    decision, _ = look(plan, begin(plan), both, 0)
    assert decision.pace is not None
    assert decision.pace.word == "slow"
    other, _ = look(plan, begin(plan), seen(0.05, 0.06, "errors"), 0)
    assert other.pace is not None
    assert other.pace.word == "standard"


def test_fast_looks_skip_no_stage_and_leave_a_trace(plan: Plan) -> None:
    state, trace = begin(plan), []
    while not state.over:
        decision, state = look(plan, state, STRONG, 2)
        assert decision.pace is not None
        trace.append((decision.action, decision.weight, decision.pace.min_duration / 86_400, decision.pace.word))
    assert trace == [("advance", 3250, 2.0, "fast"), ("advance", 5875, 2.0, "fast"), ("promote", 10_000, 2.0, "fast")]
    assert "gains more than 2%" in decision.pace.why


def test_a_step_rises_by_no_more_than_the_plan_lets_it(plan: Plan) -> None:
    bound = parse_plan(PLAN.replace("maxStep: 30%", "maxStep: 25%"))
    state = look(bound, begin(bound), STRONG, 2)[1]
    assert look(bound, state, STRONG, 2)[1].phase.weight == 3250 + 2500


def test_a_whole_week_stays_a_whole_week(plan: Plan) -> None:
    weekly = parse_plan(PLAN.replace("2x,", "2x, floor: 7d,").replace("{duration: 4d}", "{duration: 8d}"))
    assert look(weekly, begin(weekly), STRONG, 6.99)[0].rule == "min_duration"
    assert look(weekly, begin(weekly), STRONG, 7)[0].action == "advance"
    short = parse_plan(PLAN.replace("slowest: 2x", "slowest: 2x, floor: 7d"))
    assert look(short, begin(short), STRONG, 4)[0].action == "advance", "a floor shortens less; it lengthens nothing"


def test_a_step_back_goes_to_the_planned_share_or_less(plan: Plan) -> None:
    _, fast = look(plan, begin(plan), STRONG, 2)
    _, fast = look(plan, fast, STRONG, 2)
    fail = Judgement(verdicts=(replace(WEAK.verdicts[0], verdict="fail"),), units=10_000)
    decision, _ = look(plan, fast, fail, 0)
    assert (decision.action, decision.weight) == ("step_back", 2500)
    _, slow = look(plan, begin(plan), WEAK, 8)
    _, slow = look(plan, slow, WEAK, 8)
    assert look(plan, slow, fail, 0)[0].weight == 1750


def test_a_decision_without_a_pace_is_written_as_before(plan: Plan) -> None:
    paced, _ = look(plan, begin(plan), STRONG, 0)
    assert decision_from_json(decision_to_json(paced)) == paced
    plain = replace(plan, pacing=None)
    decision, _ = look(plain, begin(plain), STRONG, 0)
    assert "pace" not in decision_to_json(decision)
    assert decision_from_json(decision_to_json(decision)) == decision


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("metric: ctr", "metric: errors", "ST0236"),
        ("strong: 2%", "strong: 2pp", "ST0236"),
        ("fastest: 0.5x", "fastest: 1.5x", "ST0237"),
        ("slowest: 2x", "slowest: 0.5x", "ST0237"),
        ("maxStep: 30%", "maxStep: 20%", "ST0237"),
        ("deadline: 60d", "deadline: 20d", "ST0238"),
        ("horizon: 1h", "horizon: 3d", "ST0238"),
    ],
)
def test_what_validation_refuses(old: str, new: str, code: str) -> None:
    assert code in [p.code for p in problems(parse_plan(PLAN.replace(old, new)))]
