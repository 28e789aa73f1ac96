"""Why a decision was made: every rule that was asked, in order, with what it saw and why it was silent or spoke."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from seatrial.rollout.erosion import erosions
from seatrial.rollout.plan import Plan
from seatrial.rollout.rules import Case
from seatrial.rollout.stages import compile_stages
from seatrial.rollout.state import RolloutState
from seatrial.rollout.verdicts import Decision, Judgement, Signals
from seatrial.rollout.wording import harm_text


@dataclass(frozen=True, slots=True)
class Considered:
    """One rule that was asked: ``saw`` is what it looked at, or what it said if it ``spoke``."""

    rule: str
    spoke: bool
    saw: str


def explain(plan: Plan, state: RolloutState, signals: Signals, decision: Decision) -> tuple[Considered, ...]:
    """The rules of a look's decision, up to the one that spoke. ``state`` and ``signals``: what it was given."""
    seen = Judgement(
        verdicts=decision.verdicts,
        signals=decision.signals,
        alarms=decision.alarms,
        units=decision.units,
        outcomes=decision.outcomes,
        pairs=decision.pairs,
    )
    case = Case(plan, compile_stages(plan), state, seen, signals, decision.at, decision.pace)
    silent = tuple(Considered(rule, False, _saw(rule, case)) for rule in decision.considered)
    return (*silent, Considered(decision.rule, True, decision.reason))


def _saw(rule: str, case: Case) -> str:
    known = SIGHTS.get(rule)
    return "nothing that concerns it" if known is None else known(case)


def _harm(case: Case) -> str:
    waiting = [v for v in case.judgement.failing() if v not in case.harmful()]
    if waiting:
        return f"{'; '.join(map(harm_text, waiting))}: losses in shadow are judged once the stage has lasted"
    verdicts = ", ".join(f"{v.metric} {v.verdict}" for v in case.judgement.verdicts)
    return f"no guardrail fails: {verdicts}" if verdicts else "no guardrail was judged"


def _limits(case: Case) -> str:
    limited = [f"{m.name} {m.limit}" for m in case.plan.metrics if m.limit is not None]
    return f"no alert; within every limit ({', '.join(limited)})" if limited else "no alert; the plan has no limits"


def _deadline(case: Case) -> str:
    return f"{case.plan.deadline} after the start, {case.deadline:%Y-%m-%d %H:%M}, has not passed"


def _duration(case: Case) -> str:
    lasted = case.in_stage.total_seconds()
    least = lasted + case.seconds_left
    if not least:
        return f"{case.stage.name} has no least time"
    return f"{case.stage.name} has lasted {lasted / 3600:,.4g} h of at least {least / 3600:,.4g} h"


def _sample(case: Case) -> str:
    stage, seen = case.stage, case.judgement
    parts = [f"{seen.units:,} of {stage.min_units:,} units"]
    if stage.kind == "shadow":
        parts.append(f"{seen.pairs:,} of {stage.min_pairs:,} pairs")
    if stage.min_outcomes:
        parts.append(f"{seen.outcomes:,} of {stage.min_outcomes:,} mature outcomes")
    return ", ".join(parts)


def _proof(case: Case) -> str:
    factor = 1.0 if case.last else case.stage.tolerance
    return f"every guardrail excludes a loss of {factor:g} x its margin"


def _erosion(case: Case) -> str:
    if not case.last:
        return "asked before everyone gets it"
    known = erosions(case.plan, case.signals.chains, case.judgement.verdicts)
    return "; ".join(e.text for e in known) or "no release before this one since the anchor"


def _split(case: Case) -> str:
    return "new units are split as planned" if case.state.phase.weight else "nobody is on the canary yet"


def _inputs(case: Case) -> str:
    alarm = case.judgement.alarm("input_divergence")
    return "no feature is shown to diverge" if alarm is None else f"{alarm.text}: the deadline has passed"


SIGHTS: Mapping[str, Callable[[Case], str]] = MappingProxyType({
    "killed": lambda case: "no kill switch is on",
    "hard_signal": _limits,
    "sample_ratio": _split,
    "input_divergence": _inputs,
    "guardrail_harm": _harm,
    "capture_loss": lambda case: "the log has the requests that Envoy counted",
    "shared_outage": lambda case: "the arms are not both beyond a limit",
    "subgroup_floor": lambda case: "no site is below a floor",
    "paused": lambda case: "nobody has paused it",
    "deadline": _deadline,
    "frozen": lambda case: "no freeze",
    "min_duration": _duration,
    "min_sample": _sample,
    "disagreement": lambda case: "no floor of agreement is missed",
    "not_proven": _proof,
    "eroded": _erosion,
    "drill_overdue": lambda case: "no drill is overdue" if case.last else "not asked before the last step",
    "approval": lambda case: "nobody is waited for" if not case.stage.manual else "released by hand",
})  # fmt: skip
"""What each rule looks at, in words, where it is silent; the last rule of the table always speaks."""
