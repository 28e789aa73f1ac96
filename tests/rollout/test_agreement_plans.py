"""Plans that ask for agreement: what is refused, and that nothing else of a plan is disturbed by it."""

from __future__ import annotations

import pytest

from seatrial.errors import PlanError
from seatrial.rollout.metric import Metric
from seatrial.rollout.plan import Plan
from seatrial.rollout.simulate.plan import simulable
from seatrial.rollout.validate import problems
from seatrial.store.plans import check_plan, parse_plan, plan_from_json, plan_to_json

HEALTHY = """
name: p
deadline: 10d
segments: [{name: age, field: days, bounds: [7, 90], labels: [new, medium, power]}, {name: origin, field: origin}]
decision: {threshold: 0.8, above: block, below: allow}
metrics:
  - {name: errors, kind: error_rate, margin: 1pp}
  - {name: alike, kind: agreement, role: guardrail, floor: 0.9, segmentFloor: 0.8, maxGap: 0.2, minPairs: 500,
     segment: age}
steps:
  - shadow: {share: 100%}
  - pause: {duration: 2d}
  - setWeight: 10%
"""


def test_the_healthy_plan_is_accepted_and_read_back() -> None:
    plan = parse_plan(HEALTHY)
    assert problems(plan) == []
    assert plan_from_json(plan_to_json(plan)) == plan


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("bounds: [7, 90], ", "", "ST0225"),
        (", labels: [new, medium, power]", "", "ST0225"),
        ("[7, 90]", "[90, 7]", "ST0225"),
        ("[7, 90]", "[7, 7]", "ST0225"),
        ("[7, 90]", "[7, .inf]", "ST0225"),
        ("[new, medium, power]", "[new, power]", "ST0225"),
        ("[new, medium, power]", "[new, new, power]", "ST0225"),
        ("[new, medium, power]", "[new, other, power]", "ST0225"),
        ("name: origin,", "name: age,", "ST0225"),
        ("floor: 0.9, ", "", "ST0226"),
        ("floor: 0.9,", "floor: 1,", "ST0226"),
        ("segmentFloor: 0.8", "segmentFloor: 1.2", "ST0226"),
        ("maxGap: 0.2", "maxGap: 0", "ST0226"),
        ("minPairs: 500", "minPairs: 9", "ST0226"),
        ("     segment: age}", "     segment: agee}", "ST0227"),
        ("segmentFloor: 0.8, maxGap: 0.2, ", "", "ST0227"),
        ("  - shadow: {share: 100%}\n  - pause: {duration: 2d}\n", "", "ST0227"),
        ("above: block", "above: allow", "ST0227"),
        ("threshold: 0.8", "threshold: .nan", "ST0227"),
        ("kind: agreement,", "kind: agreement, margin: 2%,", "ST0217"),
        ("kind: agreement,", "kind: agreement, weight: 2,", "ST0217"),
        ("kind: error_rate,", "kind: error_rate, floor: 0.9,", "ST0217"),
        ("kind: agreement,", "kind: agreement, outcome: y,", "ST0217"),
        ("  - {name: errors, kind: error_rate, margin: 1pp}\n", "", "ST0211"),
    ],
)
def test_what_cannot_be_honoured_is_refused(old: str, new: str, code: str) -> None:
    assert old in HEALTHY
    with pytest.raises(PlanError) as refused:
        check_plan(parse_plan(HEALTHY.replace(old, new)))
    assert code in str(refused.value)


def test_agreement_is_a_signal_unless_it_is_said() -> None:
    assert Metric(name="a", kind="agreement").role == "signal"
    assert Metric(name="a", kind="loss").role == "guardrail"
    assert parse_plan(HEALTHY.replace("role: guardrail, ", "")).metrics[1].role == "signal"
    assert Metric(name="a", kind="agreement", role="guardrail").role == "guardrail"


def test_agreement_has_no_part_of_the_budget_and_is_not_simulated() -> None:
    plan = parse_plan(HEALTHY)
    without = Plan(name="p", steps=plan.steps, metrics=plan.metrics[:1])
    assert plan.budget() == without.budget()
    simulated, left = simulable(plan, recorded=False)
    assert [metric.name for metric in simulated.metrics] == ["errors"]
    assert any("alike" in one.what for one in left)
