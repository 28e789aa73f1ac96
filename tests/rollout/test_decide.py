"""The rule table: what wins over what, strikes, epochs, and that every evidence sequence ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.ids import ModelName, RolloutId, VersionNumber
from seatrial.rollout.decide import decide, evolve
from seatrial.rollout.metric import Metric
from seatrial.rollout.plan import Analysis, Pause, Plan, Shadow, Step, Strikes
from seatrial.rollout.rules import RULES
from seatrial.rollout.stages import compile_stages
from seatrial.rollout.start import by_hand, start
from seatrial.rollout.state import RolloutState
from seatrial.rollout.verdicts import EXACT, Alarm, Decision, Judgement, MetricVerdict, Signals, Verdict
from seatrial.values import Duration, Margin, Share

T0 = datetime(2013, 7, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def share(text: str) -> Step:
    return Step(set_weight=Share.parse(text))


def pause(text: str | None) -> Step:
    return Step(pause=Pause(duration=Duration.parse(text) if text else None))


PLAN = Plan(
    name="p",
    metrics=(Metric(name="loss", kind="loss", loss="log_loss", outcome="y", margin=Margin.parse("5%")),),
    steps=(
        Step(shadow=Shadow()), pause("2d"),
        share("10%"), pause("2d"),
        share("25%"), pause("2d"),
        share("50%"), pause("2d"),
    ),
    deadline=Duration.parse("60d"),
)  # fmt: skip


def begin(plan: Plan = PLAN) -> RolloutState:
    ids = (RolloutId("r-0001"), ModelName("m"), VersionNumber(1), VersionNumber(2))
    return start(plan, *ids, "salt", T0, "ann")[1]


def verdict(word: Verdict = "pass", name: str = "loss") -> MetricVerdict:
    return MetricVerdict(
        metric=name, role="guardrail", arms="live", verdict=word, status="ok", method="joined boundary",
        scale="relative", better="decrease", bound=0.15, margin=0.05, estimate=0.1, lower=0.01, upper=0.2,
    )  # fmt: skip


def judged(word: Verdict = "pass", *alarms: Alarm, units: int = 10_000) -> Judgement:
    return Judgement(verdicts=(verdict(word),), alarms=alarms, units=units, outcomes=units, pairs=units)


def look(
    state: RolloutState, word: Verdict = "pass", days: float = 2.0, plan: Plan = PLAN, **signals: str
) -> tuple[Decision, RolloutState]:
    judgement = judged(word)
    decision = decide(plan, state, judgement, Signals(**signals), state.phase.started + days * DAY)
    return decision, evolve(state, judgement, decision)


def walk(state: RolloutState, words: str, plan: Plan = PLAN) -> tuple[list[str], RolloutState]:
    """``p`` and ``f`` looks, two days apart; stops when the rollout is over."""
    steps = []
    for letter in words:
        decision, state = look(state, {"p": "pass", "f": "fail", "i": "inconclusive"}[letter], plan=plan)  # type: ignore[arg-type]
        steps.append(f"{decision.action}:{decision.stage_name}")
        if state.over:
            break
    return steps, state


def test_a_healthy_candidate_walks_every_step_and_is_promoted() -> None:
    steps, state = walk(begin(), "pppp")
    assert steps == ["advance:canary 10%", "advance:canary 25%", "advance:canary 50%", "promote:everyone"]
    assert state.status == "promoted"
    assert state.phase.weight == 10_000


def test_a_loss_in_shadow_is_judged_on_its_whole_minimum_duration() -> None:
    early = Judgement(verdicts=(replace(verdict("fail"), arms="shadow"),), units=10_000, outcomes=10_000, pairs=10_000)
    decision = decide(PLAN, begin(), early, Signals(), T0 + 1.9 * DAY)
    assert (decision.action, decision.rule) == ("hold", "min_duration")
    decision = decide(PLAN, begin(), early, Signals(), T0 + 2 * DAY)
    assert (decision.action, decision.rule) == ("abort", "guardrail_harm")
    errors = Judgement(verdicts=(replace(verdict("fail"), arms="shadow", method=EXACT),), units=10_000)
    assert decide(PLAN, begin(), errors, Signals(), T0).action == "abort", "a shadow that fails is not waited for"


def test_harm_in_shadow_aborts_before_any_user_is_touched() -> None:
    steps, state = walk(begin(), "f")
    assert steps == ["abort:nobody"]
    assert all(phase.weight == 0 for phase in state.phases)


def test_two_strikes_at_the_same_step_abort() -> None:
    """Exercise 29.13(a): fails at 25%, recovers, fails at 25% again."""
    steps, state = walk(begin(), "ppfpf")
    assert steps[-3:] == ["step_back:canary 10%", "advance:canary 25%", "abort:nobody"]
    assert state.status == "aborted"
    assert [s.stage for s in state.strikes] == [2, 2]


def test_strikes_at_different_steps_step_back_each() -> None:
    """Fail at 25%, recover, pass 25%, fail at 50%: back to 25%, where a global counter would abort."""
    steps, state = walk(begin(), "ppfppf")
    assert steps[-1] == "step_back:canary 25%"
    assert not state.over


def test_a_total_cap_ends_the_oscillation() -> None:
    plan = replace(PLAN, strikes=Strikes(per_step=2, total=2))
    steps, _ = walk(begin(plan), "ppfppf", plan)
    assert steps[-1] == "abort:nobody"


def test_a_strike_opens_an_epoch_with_its_own_clock() -> None:
    _, state = walk(begin(), "pp")
    state = replace(state, closed=("loss/live/fail", "loss/live/pass"))
    decision, after = look(state, "fail")
    assert after.epoch == decision.phase == state.phase.number + 1
    assert after.closed == ("loss/live/pass",)


@pytest.mark.parametrize(("word", "action", "rule"), [
    ("inconclusive", "extend", "not_proven"),
    ("insufficient", "extend", "not_proven"),
    ("immature", "extend", "not_proven"),
    ("invalid", "extend", "not_proven"),
    ("fail", "abort", "guardrail_harm"),
    ("pass", "advance", "advance"),
])  # fmt: skip
def test_only_a_pass_advances(word: Verdict, action: str, rule: str) -> None:
    decision, _ = look(begin(), word)
    assert (decision.action, decision.rule) == (action, rule)


def test_time_and_sample_hold_a_candidate_that_passes() -> None:
    assert look(begin(), "pass", days=1.99)[0].rule == "min_duration"
    assert look(begin(), "pass", days=2.0)[0].rule == "advance", "the boundary itself is enough"
    decision = decide(PLAN, begin(), judged(units=99), Signals(), T0 + 2 * DAY)
    assert (decision.action, decision.rule) == ("extend", "min_sample")
    assert decision.needs[0] == "needs 1 more units (99 of 100)"


def test_a_manual_pause_waits_for_promote() -> None:
    plan = replace(PLAN, steps=(share("10%"), pause(None)))
    state = begin(plan)
    decision, state = look(state, plan=plan)
    assert (decision.action, decision.rule) == ("hold", "approval")
    _, state = by_hand(plan, state, "promote", full=False, reason="", actor="bob", now=T0)
    assert look(state, plan=plan)[0].action == "promote"


def test_after_the_deadline_nothing_advances_but_harm_is_still_found() -> None:
    plan = replace(PLAN, deadline=Duration.parse("1d"), steps=(share("10%"), share("20%")))
    state = begin(plan)
    assert look(state, "pass", days=1, plan=plan)[0].action == "advance", "at the deadline itself it may"
    assert look(state, "pass", days=1.01, plan=plan)[0].rule == "deadline"
    assert look(state, "fail", days=1.01, plan=plan)[0].action == "abort"
    ends = replace(plan, on_deadline="abort")
    assert look(state, "inconclusive", days=2, plan=ends)[0].action == "abort"


def test_capture_loss_holds_and_then_takes_the_canary_out() -> None:
    state, actions = begin(), []
    lossy = judged("pass", Alarm(kind="capture_loss", text="phase 1"))
    for _ in range(3):
        decision = decide(PLAN, state, lossy, Signals(), T0 + 2 * DAY)
        state = evolve(state, lossy, decision)
        actions.append(decision.action)
    assert actions == ["hold", "hold", "abort"]


def test_capture_that_recovers_starts_counting_anew() -> None:
    lossy = judged("inconclusive", Alarm(kind="capture_loss", text="phase 1"))
    state = begin()
    for judgement in (lossy, lossy, judged("inconclusive"), lossy, lossy):
        decision = decide(PLAN, state, judgement, Signals(), T0 + 2 * DAY)
        state = evolve(state, judgement, decision)
    assert not state.over


PRECEDENCE: list[tuple[str, Judgement, Signals]] = [
    ("killed", judged("fail", Alarm(kind="limit", text="l")), Signals(killed="ann", alerts=("a",))),
    ("hard_signal", judged("fail", Alarm(kind="limit", text="l"), Alarm(kind="sample_ratio", text="s")), Signals()),
    ("sample_ratio", judged("fail", Alarm(kind="sample_ratio", text="s")), Signals()),
    ("guardrail_harm", judged("fail", Alarm(kind="capture_loss", text="c")), Signals(freeze="freeze")),
    ("capture_loss", judged("pass", Alarm(kind="capture_loss", text="c")), Signals(freeze="freeze")),
    ("shared_outage", judged("pass", Alarm(kind="shared_outage", text="o")), Signals(freeze="freeze")),
    ("frozen", judged("pass"), Signals(freeze="freeze", approval="needs ann")),
    ("approval", judged("pass"), Signals(approval="needs ann")),
    ("advance", judged("pass"), Signals()),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "judgement", "signals"), PRECEDENCE)
def test_precedence(rule: str, judgement: Judgement, signals: Signals) -> None:
    decision = decide(PLAN, begin(), judgement, signals, T0 + 2 * DAY)
    assert decision.rule == rule
    names = [r.__name__ for r in RULES]
    assert list(decision.considered) == names[: names.index(rule)], "every rule above it was asked and was silent"


def test_a_broken_split_is_no_strike() -> None:
    judgement = judged("pass", Alarm(kind="sample_ratio", text="s"))
    decision = decide(PLAN, begin(), judgement, Signals(), T0)
    assert (decision.action, decision.strikes) == ("abort", 0)


def test_a_rollout_that_is_over_decides_nothing() -> None:
    _, state = walk(begin(), "pppp")
    with pytest.raises(ValueError, match="promoted"):
        decide(PLAN, state, judged(), Signals(), T0)
    for verb in ("pause", "resume", "promote", "abort"):
        with pytest.raises(Exception, match="ST0310"):
            by_hand(PLAN, state, verb, full=False, reason="", actor="bob", now=T0)  # type: ignore[arg-type]


def test_a_paused_rollout_still_goes_home() -> None:
    _, state = by_hand(PLAN, walk(begin(), "pp")[1], "pause", full=False, reason="lunch", actor="bob", now=T0)
    assert look(state, "pass")[0].reason == "lunch"
    assert look(state, "fail")[0].action == "step_back"


words = st.lists(
    st.sampled_from(["pass", "fail", "inconclusive", "insufficient", "immature", "invalid"]), min_size=1, max_size=80
)


@given(words, st.integers(1, 3), st.integers(1, 6))
@settings(max_examples=200, deadline=None)
def test_laws_of_every_sequence(sequence: list[Verdict], per_step: int, total: int) -> None:
    """One step a look, strikes within their caps, weights only of the plan, terminal stays terminal."""
    plan = replace(PLAN, strikes=Strikes(per_step=per_step, total=total))
    weights = {stage.weight for stage in compile_stages(plan)} | {0, 10_000}
    state = begin(plan)
    for word in sequence:
        decision, after = look(state, word, plan=plan)
        assert abs(after.stage - state.stage) <= 1
        assert decision.weight in weights
        assert len(after.strikes) <= total
        assert max((after.strikes_at(i) for i in range(5)), default=0) <= per_step
        assert (word == "fail") <= (decision.action in ("step_back", "abort"))
        assert decision.action not in ("advance", "promote") or word == "pass"
        assert [p.number for p in after.phases] == list(range(1, len(after.phases) + 1))
        if after.over:
            return
        state = after


def test_analysis_refines_the_stage_before_it() -> None:
    steps = (share("10%"), pause("1d"), pause("12h"), Step(analysis=Analysis(min_units=7)), share("100%"))
    stages = compile_stages(replace(PLAN, steps=steps))
    assert [(s.name, s.min_duration, s.min_units) for s in stages] == [("canary 10%", 129_600.0, 7)]
