"""What becomes of a release whose models did not see the same: when that is proven, and what it does where."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from seatrial.evidence.facts import UnitCounts
from seatrial.evidence.inputs import FeatureTally, InputTally
from seatrial.evidence.snapshot import Evidence, ShadowEvidence
from seatrial.ids import ModelName, RolloutId, VersionNumber
from seatrial.rollout.inputs import INPUTS_ALPHA, judge_inputs
from seatrial.rollout.look import take_look
from seatrial.rollout.plan import Inputs, Plan
from seatrial.rollout.start import start
from seatrial.rollout.state import Phase, RolloutState
from seatrial.rollout.validate import problems
from seatrial.rollout.verdicts import Decision, Signals
from seatrial.store.plans import parse_plan

T0 = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
PLAN = parse_plan("""
name: inputs
deadline: 5d
metrics: [{name: errors, kind: error_rate, margin: 10pp}]
steps: [{shadow: {}}, {pause: {duration: 1d}}, {setWeight: 50%}, {pause: {duration: 1d}}]
""")
UNITS = 2000


def told(diverging: int, pairs: int = 1500, **more: FeatureTally) -> InputTally:
    balance = FeatureTally(pairs, diverging, differing=diverging, largest_absolute=12.5 if diverging else 0.0)
    return InputTally({"age": FeatureTally(pairs), "balance": balance, **more}, pairs=pairs)


def begin(plan: Plan = PLAN) -> RolloutState:
    return start(plan, RolloutId("r"), ModelName("m"), VersionNumber(1), VersionNumber(2), "salt", T0, "ann")[1]


def look(
    inputs: InputTally, plan: Plan = PLAN, state: RolloutState | None = None, days: float = 1.0
) -> tuple[Decision, RolloutState]:
    state = state or begin(plan)
    phase = state.phase.number
    both: Any = {"champion": UNITS, "shadow": UNITS, "canary": UNITS}
    units = UnitCounts(
        arms=both, live=both, mirrored=both, phases={(phase, arm): UNITS for arm in both},
        new={(phase, "champion"): UNITS, (phase, "canary"): UNITS} if state.phase.weight else {},
    )  # fmt: skip
    evidence = Evidence(T0 + days * DAY, units=units, shadow=ShadowEvidence(pairs=3000), inputs=inputs)
    looked = take_look(plan, state, evidence, Signals())
    return looked.decision, looked.state


def test_a_shadow_that_saw_something_else_holds_and_one_that_saw_the_same_advances() -> None:
    decision, state = look(told(45))
    assert (decision.action, decision.rule, decision.weight, decision.strikes) == ("hold", "input_divergence", 0, 0)
    assert decision.reason == (
        "input divergence: balance diverges in 45 of 1,500 pairs (3.00%, at least 1.48%): "
        "45 differ by up to 12.5; at most 1.00% may"
    )
    assert [(v.verdict, v.status) for v in decision.verdicts] == [("invalid", "invalid")]
    assert look(told(45, pairs=15_000), state=state)[0].action == "advance", "repaired, and healthy for long enough"
    for healthy in (told(0), told(12), told(1, pairs=10), InputTally()):
        decision, _ = look(healthy)
        assert (decision.action, decision.alarms) == ("advance", ())
        assert [v.verdict for v in decision.verdicts] == ["pass"]


def test_on_the_canary_it_goes_home_without_a_strike() -> None:
    state = replace(begin(), stage=1, phases=(*begin().phases, Phase(2, 1, 5000, 0, T0 + DAY)))
    decision, after = look(told(45), state=state, days=2)
    assert (decision.action, decision.rule, decision.weight, decision.strikes) == ("abort", "input_divergence", 0, 0)
    assert (after.status, after.strikes) == ("aborted", ())
    assert look(told(12), state=state, days=2)[0].action == "promote"


@pytest.mark.parametrize(("said", "action"), [("hold", "hold"), ("abort", "abort")])
def test_after_the_deadline_the_plan_says_what_becomes_of_it(said: Any, action: str) -> None:
    decision, _ = look(told(45), replace(PLAN, on_deadline=said), days=6)
    assert (decision.action, decision.rule) == (action, "deadline")
    assert decision.alarms
    assert {v.verdict for v in decision.verdicts} == {"invalid"}


def test_a_release_by_hand_does_not_pass_it() -> None:
    manual = parse_plan("""
name: by hand
metrics: [{name: errors, kind: error_rate, margin: 10pp}]
steps: [{shadow: {}}, {pause: {}}, {setWeight: 50%}]
""")
    state = replace(begin(manual), confirmed=True)
    assert look(told(45), manual, state)[0].rule == "input_divergence"
    assert look(told(0), manual, state)[0].action == "advance"


def test_a_plan_that_asks_for_inputs_waits_until_they_are_told() -> None:
    asking = replace(PLAN, inputs=Inputs())
    decision, _ = look(InputTally(), asking)
    assert (decision.action, decision.rule) == ("extend", "min_sample")
    assert decision.needs == ("needs 200 more pairs with features as used (0 of 200)",)
    assert look(told(0), asking)[0].action == "advance"
    naming = replace(PLAN, inputs=Inputs(features=("age", "country")))
    assert look(told(0), naming)[0].rule == "min_sample", "nobody told the country"
    alone = FeatureTally(pairs=1500, diverging=15, champion_only=15)
    assert look(told(0, country=alone), naming)[0].action == "advance"


def test_what_the_plan_allows_counts() -> None:
    assert look(told(45), replace(PLAN, inputs=Inputs(max_divergence=PLAN.steps[0].shadow.share)))[0].alarms == ()  # type: ignore[union-attr]
    strict = parse_plan("""
name: strict
inputs: {maxDivergence: 0.1%, tolerance: 1e-6, staleness: 5m, features: [balance]}
metrics: [{name: errors, kind: error_rate, margin: 10pp}]
steps: [{shadow: {}}, {pause: {duration: 1d}}, {setWeight: 50%}]
""")
    assert strict.inputs is not None
    assert (strict.inputs.tolerance, strict.inputs.staleness.seconds) == (1e-6, 300)
    assert look(told(12), strict)[0].rule == "input_divergence"


def test_alarms_tell_of_many_features_in_few_words() -> None:
    many = {f"f{n}": FeatureTally(1500, 100 - n, differing=100 - n, largest_absolute=3.25) for n in range(9)}
    text = look(told(45, **many))[0].reason
    assert text.count("diverges in") == 3
    assert "7 more features" in text


def test_one_in_ten_is_no_proof_and_looking_often_makes_it_none() -> None:
    """At the allowed share itself, 300 releases looked at after every hundred pairs: hardly any false alarm."""
    rng = np.random.default_rng(1)
    runs = rng.binomial(100, 0.01, size=(300, 20)).cumsum(axis=1)
    alarms = sum(any(found(int(x), 100 * n) for n, x in enumerate(run, 1) if x > 1.5 * n) for run in runs)
    assert alarms <= 300 * INPUTS_ALPHA + 2
    assert judge_inputs(told(1, 10), 0.01)[0].result == "unclear"
    assert all(found(int(x), 4000) for x in rng.binomial(4000, 0.03, size=50)), "what is there is found"


def found(diverging: int, pairs: int) -> bool:
    return judge_inputs(told(diverging, pairs), 0.01)[0].result == "diverges"


@pytest.mark.parametrize(
    ("inputs", "steps", "codes"),
    [
        ("{tolerance: 1}", "[{shadow: {}}]", ["ST0228"]),
        ("{tolerance: -1e-9}", "[{shadow: {}}]", ["ST0228"]),
        ("{maxDivergence: 100%}", "[{shadow: {}}]", ["ST0228"]),
        ("{features: []}", "[{shadow: {}}]", ["ST0228"]),
        ("{features: [a, a]}", "[{shadow: {}}]", ["ST0228"]),
        ("{features: ['@as_of']}", "[{shadow: {}}]", ["ST0228"]),
        ("{}", "[{setWeight: 10%}]", ["ST0229"]),
        ("{}", "[{shadow: {}}]", []),
        ("{maxDivergence: 0%, tolerance: 0, staleness: 0s}", "[{shadow: {}}]", []),
    ],
)
def test_what_cannot_be_asked_of_inputs(inputs: str, steps: str, codes: list[str]) -> None:
    plan = parse_plan(f"""
name: p
inputs: {inputs}
metrics: [{{name: errors, kind: error_rate, margin: 10pp}}]
steps: {steps}
""")
    assert [problem.code for problem in problems(plan)] == codes
