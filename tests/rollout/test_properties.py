"""Laws of every evidence sequence, each with a planted violation that the same test finds."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from seatrial.errors import Conflict
from seatrial.ids import ModelName, RolloutId, VersionNumber
from seatrial.rollout import decide as decisions
from seatrial.rollout import pacing, rules, stages, state
from seatrial.rollout.metric import Metric
from seatrial.rollout.plan import Approval, Pacing, Pause, Plan, Shadow, Step, Strikes
from seatrial.rollout.start import by_hand, start
from seatrial.rollout.state import RolloutState
from seatrial.rollout.verdicts import Decision, Judgement, MetricVerdict, Signals, Verdict
from seatrial.values import Duration, Margin, Share

T0 = datetime(2026, 3, 2, tzinfo=UTC)
MARGIN = 0.05
PLAN = Plan(
    name="p",
    metrics=(Metric(name="ctr", kind="proportion", outcome="click", margin=Margin(MARGIN, "relative")),),
    steps=(
        Step(shadow=Shadow()), Step(pause=Pause(duration=Duration.parse("1d"))),
        Step(set_weight=Share.parse("10%")), Step(pause=Pause(duration=Duration.parse("2d"))),
        Step(set_weight=Share.parse("25%")), Step(pause=Pause(duration=Duration.parse("2d"))),
        Step(set_weight=Share.parse("50%")), Step(pause=Pause(duration=Duration.parse("2d"))),
    ),
    deadline=Duration.parse("40d"),
    on_deadline="abort",
    pacing=Pacing(metric="ctr", strong=Margin(0.02, "relative")),
)  # fmt: skip
ASKING = replace(PLAN, steps=(*PLAN.steps[:6], Step(approval=Approval()), *PLAN.steps[6:]))


@dataclass(frozen=True, slots=True)
class Seen:
    """An interval of the gain, and days since the look before."""

    lower: float
    width: float
    days: float

    def judged(self, plan: Plan, stage: int) -> Judgement:
        compiled = stages.compile_stages(plan)
        here = compiled[stage]
        factor = 1.0 if stage + 1 == len(compiled) else here.tolerance
        upper = self.lower + self.width
        verdict: Verdict = "inconclusive"
        if self.lower > -MARGIN * factor:
            verdict = "pass"
        if upper < 0 and self.lower <= -MARGIN:
            verdict = "fail"
        v = MetricVerdict(
            metric="ctr", role="guardrail", arms="shadow" if here.kind == "shadow" else "live", verdict=verdict,
            status="ok", method="joined boundary", scale="relative", better="increase", bound=-MARGIN, margin=-MARGIN,
            estimate=self.lower + self.width / 2, lower=self.lower, upper=upper,
        )  # fmt: skip
        return Judgement(verdicts=(v,), units=10_000, outcomes=10_000, pairs=10_000)


@dataclass(frozen=True, slots=True)
class Tick:
    """One look: the state it found, what it saw, what it decided, and the state it left."""

    before: RolloutState
    judgement: Judgement
    decision: Decision
    after: RolloutState


seen = st.builds(Seen, st.floats(-0.2, 0.1), st.floats(0, 0.2), st.sampled_from([0.5, 1.0, 3.0]))
evidence = st.lists(seen, min_size=1, max_size=40)
better = st.floats(0, 0.2)


def begin(plan: Plan) -> RolloutState:
    ids = (RolloutId("r-0001"), ModelName("m"), VersionNumber(1), VersionNumber(2))
    return start(plan, *ids, "salt", T0, "ann")[1]


def ticks(plan: Plan, sequence: Sequence[Seen]) -> list[Tick]:
    """Looks at a sequence over and over, until the rollout is over or has long been due."""
    here, now, taken = begin(plan), T0, []
    for one in itertools.cycle(sequence):
        now += timedelta(days=one.days)
        judgement = one.judged(plan, here.stage)
        decision = decisions.decide(plan, here, judgement, Signals(), now)
        after = decisions.evolve(here, judgement, decision)
        taken.append(Tick(here, judgement, decision, after))
        here = after
        if here.over or now > T0 + timedelta(days=50):
            return taken
    raise AssertionError("a cycle does not end")


# ── the laws ───────────────────────────────────────────────────────────────────────────────────────────────────────


def law_every_sequence_ends(sequence: Sequence[Seen]) -> None:
    assert ticks(PLAN, sequence)[-1].after.over, "not over long after the deadline"


def law_moves_are_bounded(sequence: Sequence[Seen]) -> None:
    """Every move is an advance or a strike; strikes are capped, so with no deadline at all moves would end."""
    plan = replace(PLAN, strikes=Strikes(per_step=2, total=3))
    moves = len(ticks(plan, sequence)[-1].after.phases) - 1
    assert moves <= len(stages.compile_stages(plan)) + 2 * plan.strikes.total


def law_one_step_a_tick(sequence: Sequence[Seen]) -> None:
    for tick in ticks(PLAN, sequence):
        reached = {"promote": 1, "advance": 1, "step_back": -1}.get(tick.decision.action, 0)
        assert tick.after.stage - tick.before.stage == reached


def law_never_above_the_approved_step(sequence: Sequence[Seen]) -> None:
    """No approval was given: nothing goes past the step that asks for one, and no share past the step that is next."""
    compiled = stages.compile_stages(ASKING)
    weights = [*(stage.weight for stage in compiled), 10_000]
    asking = next(stage.index for stage in compiled if stage.approval)
    for tick in ticks(ASKING, sequence):
        assert tick.after.stage <= asking
        assert tick.decision.weight < weights[tick.after.stage + 1]


def law_terminal_stays_terminal(sequence: Sequence[Seen]) -> None:
    last = ticks(PLAN, sequence)[-1]
    assert last.after.status in ("promoted", "aborted")
    with pytest.raises(ValueError, match=last.after.status):
        decisions.decide(PLAN, last.after, last.judgement, Signals(), T0 + timedelta(days=60))
    with pytest.raises(Conflict, match="ST0310"):
        by_hand(PLAN, last.after, "promote", full=True, reason="x", actor="bob", now=T0)


def law_better_evidence_is_never_slower(sequence: Sequence[Seen], gain: float) -> None:
    """At every state that is reached, and over whole releases on evidence that stays what it is."""
    order = ("abort", "step_back", "hold", "extend", "advance", "promote")
    for tick, one in zip(ticks(PLAN, sequence), itertools.cycle(sequence), strict=False):
        more = replace(one, lower=one.lower + gain).judged(PLAN, tick.before.stage)
        other = decisions.decide(PLAN, tick.before, more, Signals(), tick.decision.at)
        if tick.decision.rule != "deadline":
            assert order.index(other.action) >= order.index(tick.decision.action)
        assert other.weight >= tick.decision.weight
        if tick.decision.pace and other.pace:
            assert other.pace.min_duration <= tick.decision.pace.min_duration
            assert other.pace.next_weight >= tick.decision.pace.next_weight
    one = replace(sequence[0], days=0.5)
    faster = ticks(PLAN, [replace(one, lower=one.lower + gain)])
    slower = ticks(PLAN, [one])
    if slower[-1].after.status == "promoted":
        assert faster[-1].after.status == "promoted"
        assert len(faster) <= len(slower)


def law_kill_wins(sequence: Sequence[Seen]) -> None:
    for tick in ticks(PLAN, sequence):
        decision = decisions.decide(PLAN, tick.before, tick.judgement, Signals(killed="ann"), tick.decision.at)
        assert (decision.action, decision.rule, decision.weight) == ("abort", "killed", 0)


Law = Callable[..., None]
LAWS: tuple[Law, ...] = (
    law_every_sequence_ends,
    law_moves_are_bounded,
    law_one_step_a_tick,
    law_never_above_the_approved_step,
    law_terminal_stays_terminal,
    law_kill_wins,
)


def hold(law: Law, examples: int = 40, phases: tuple[Phase, ...] = tuple(Phase)) -> None:
    """Raises AssertionError with a sequence that breaks it."""
    wanted = (evidence, better) if law is law_better_evidence_is_never_slower else (evidence,)
    calm = settings(
        max_examples=examples, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck), phases=phases,
    )  # fmt: skip
    calm(given(*wanted)(law))()


@pytest.mark.parametrize("law", [*LAWS, law_better_evidence_is_never_slower], ids=lambda law: law.__name__[4:])
def test_laws(law: Law) -> None:
    hold(law)


# ── what breaks them ───────────────────────────────────────────────────────────────────────────────────────────────


def without(rule: str) -> tuple[rules.Rule, ...]:
    return tuple(r for r in rules.RULES if r.__name__ != rule)


def guardrail_harm(case: rules.Case) -> rules.Finding | None:
    """Forgets its strikes."""
    return rules.Finding("step_back", "again") if case.harmful() and case.state.stage else None


FORGETS = tuple(guardrail_harm if r.__name__ == "guardrail_harm" else r for r in rules.RULES)
KILL_LAST = (*without("killed")[:-1], rules.killed, rules.advance)


def jumps(case: rules.Case, action: str) -> tuple[int, int, int]:
    """Two stages at once."""
    index = min(case.state.stage + (2 if action == "advance" else 0), len(case.stages) - 1)
    return index, case.stages[index].weight, 0


def upside_down(plan: Pacing, judgement: Judgement) -> tuple[str, str]:
    """Good news is slow."""
    strong = any(v.lower is not None and v.lower > 0 for v in judgement.verdicts)
    return ("slow" if strong else "fast"), ""


BROKEN: list[tuple[Law, ModuleType, str, Any]] = [
    (law_every_sequence_ends, decisions, "RULES", without("deadline")),
    (law_moves_are_bounded, decisions, "RULES", FORGETS),
    (law_one_step_a_tick, decisions, "_target", jumps),
    (law_never_above_the_approved_step, decisions, "RULES", without("approval")),
    (law_never_above_the_approved_step, pacing, "next_weight", lambda *_: 9_000),
    (law_terminal_stays_terminal, state, "TERMINAL", frozenset({"promoted"})),
    (law_better_evidence_is_never_slower, pacing, "_word", upside_down),
    (law_kill_wins, decisions, "RULES", KILL_LAST),
]


@pytest.mark.parametrize(("law", "module", "name", "broken"), BROKEN, ids=lambda part: getattr(part, "__name__", None))
def test_a_broken_table_breaks_its_law(
    law: Law, module: ModuleType, name: str, broken: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, name, broken)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        hold(
            law, examples=5_000, phases=(Phase.generate,)
        )  # the first that breaks it ends it, and need not be the smallest
