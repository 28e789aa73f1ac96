"""Exercise 29.13: two strikes. Counters per step, a way forward after a recovery, and what ends it at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from seatrial.control.states import state_from_json, state_to_json
from seatrial.errors import Conflict
from seatrial.ids import ModelName, RolloutId, VersionNumber
from seatrial.rollout.decide import decide, evolve
from seatrial.rollout.plan import Plan, Strikes
from seatrial.rollout.start import by_alert, by_hand, start
from seatrial.rollout.state import RolloutState
from seatrial.rollout.verdicts import Alarm, Judgement, MetricVerdict, Signals, Verdict
from seatrial.store.plans import parse_plan

T0 = datetime(2026, 3, 2, tzinfo=UTC)
PLAN = parse_plan("""
name: ctr
deadline: 60d
metrics: [{name: ctr, kind: proportion, outcome: click, horizon: 1h, margin: 1%}]
steps:
  - {setWeight: 10%, name: canary}
  - pause: {duration: 1d}
  - {setWeight: 25%, name: quarter}
  - pause: {duration: 1d}
  - {setWeight: 50%, name: half}
  - pause: {duration: 1d}
""")
WORDS: dict[str, Verdict] = {"p": "pass", "f": "fail", "i": "inconclusive"}


def begin(plan: Plan = PLAN) -> RolloutState:
    ids = (RolloutId("r-0001"), ModelName("m"), VersionNumber(1), VersionNumber(2))
    return start(plan, *ids, "salt", T0, "ann")[1]


def judged(word: Verdict, *alarms: Alarm) -> Judgement:
    v = MetricVerdict(metric="ctr", role="guardrail", arms="live", verdict=word, status="ok", method="joined boundary",
                      scale="relative", better="increase", bound=-0.03, margin=-0.01, estimate=-0.03, lower=-0.05,
                      upper=-0.01, count_candidate=20_000, count_champion=60_000)  # fmt: skip
    return Judgement(verdicts=(v,), alarms=alarms, units=10_000)


def walk(letters: str, plan: Plan = PLAN, state: RolloutState | None = None) -> tuple[list[str], RolloutState]:
    """A look a letter, each a day after the one before; the state is stored and read back between two looks."""
    state, steps = state or begin(plan), []
    for letter in letters:
        state = state_from_json(state_to_json(state))
        judgement = judged(WORDS[letter])
        decision = decide(plan, state, judgement, Signals(), state.phase.started + timedelta(days=1))
        state = evolve(state, judgement, decision)
        steps.append(f"{decision.action} {decision.weight / 100:g}%")
        if state.over:
            break
    return steps, state


def test_a_the_scenario_of_the_exercise_ends_at_the_second_failure_at_25() -> None:
    steps, state = walk("pfpf")
    assert steps == ["advance 25%", "step_back 10%", "advance 25%", "abort 0%"]
    assert (state.status, [strike.stage for strike in state.strikes]) == ("aborted", [1, 1])


def test_b_a_failure_at_another_step_goes_back_one_step_and_on_again() -> None:
    """A global counter would end it at the second failure. Every state is read back from what a restart finds."""
    steps, state = walk("pfppfppp")
    assert steps == ["advance 25%", "step_back 10%", "advance 25%", "advance 50%", "step_back 25%",
                     "advance 50%", "promote 100%"]  # fmt: skip
    assert state.status == "promoted"
    one_in_all = replace(PLAN, strikes=Strikes(per_step=2, total=2))
    assert walk("pfppf", one_in_all)[0][-1] == "abort 0%", "with a cap of two in all it is that counter"


def test_b_the_cap_ends_any_swing() -> None:
    steps, state = walk("pfppf" * 40)
    assert state.status == "aborted"
    assert len(steps) < 12
    assert len(walk("i" * 40)[0]) == 40, "what is not proven is no strike: it waits"


def test_b_a_strike_says_what_was_seen() -> None:
    _, state = walk("p")
    judgement = judged("fail")
    decision = decide(PLAN, state, judgement, Signals(), T0 + timedelta(days=2))
    assert decision.reason.startswith("ctr is worse: -3.00% [-5.00%, -1.00%], n 20,000 canary / 60,000 champion")
    assert "strike 1 of 2 at quarter (canary 25%)" in decision.reason


AT_ONCE = [
    ("killed", judged("pass"), Signals(killed="ann: chargebacks")),
    ("hard_signal", judged("pass"), Signals(alerts=("missed critical finding",))),
    ("hard_signal", judged("pass", Alarm(kind="limit", text="errors: 31% of 200")), Signals()),
    ("input_divergence", judged("pass", Alarm(kind="input_divergence", text="age differs")), Signals()),
    ("sample_ratio", judged("pass", Alarm(kind="sample_ratio", text="80 of 1,000")), Signals()),
]


@pytest.mark.parametrize(("rule", "judgement", "signals"), AT_ONCE)
def test_c_what_ends_it_at_once(rule: str, judgement: Judgement, signals: Signals) -> None:
    """0% in one action, with no minimum time or sample and no step back; in shadow a divergence is no user's harm."""
    _, state = walk("p")
    judgement = replace(judgement, units=1)
    decision = decide(PLAN, state, judgement, signals, state.phase.started)
    assert (decision.action, decision.rule, decision.weight, decision.strikes) == ("abort", rule, 0, 0)
    after = evolve(state, judgement, decision)
    with pytest.raises(Conflict, match="ST0310"):
        by_hand(PLAN, after, "promote", full=True, reason="please", actor="bob", now=T0)
    calm = decide(PLAN, state, replace(judged("pass"), units=1), Signals(), state.phase.started)
    assert calm.rule == "min_duration", "without it nothing happens"


def test_c_an_alert_needs_no_look() -> None:
    decision, after = by_alert(PLAN, begin(), "missed finding", actor="pacs", now=T0)
    assert (decision.rule, decision.actor, after.status, after.phase.weight) == ("hard_signal", "pacs", "aborted", 0)


def test_c_an_outage_of_both_arms_is_nobodys_fault() -> None:
    _, state = walk("p")
    outage = judged("pass", Alarm(kind="shared_outage", text="errors: 30%; the champion is beyond it too"))
    assert decide(PLAN, state, outage, Signals(), T0 + timedelta(days=3)).action == "hold"
