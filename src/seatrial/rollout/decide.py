"""The decision of one look and the state after it: pure functions of plan, state, judgement, signals and event time."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from seatrial.rollout.pacing import pace_of, weight_before
from seatrial.rollout.plan import Plan
from seatrial.rollout.rules import RULES, Case, Finding
from seatrial.rollout.sites import withdraw
from seatrial.rollout.stages import compile_stages
from seatrial.rollout.state import Phase, RolloutState, Status, Strike
from seatrial.rollout.verdicts import Action, Decision, Judgement, Signals


def decide(plan: Plan, state: RolloutState, judgement: Judgement, signals: Signals, now: datetime) -> Decision:
    """The decision of one look. A rollout that is over has none: callers do not ask (ValueError)."""
    if state.over:
        raise ValueError(f"rollout {state.rollout} is {state.status}")
    stages = compile_stages(plan)
    case = Case(plan, stages, state, judgement, signals, now, pace_of(plan, stages, state, judgement))
    considered: list[str] = []
    for rule in RULES:
        finding = rule(case)
        if finding is not None:
            return _decision(case, rule.__name__, finding, tuple(considered))
        considered.append(rule.__name__)
    raise AssertionError("the last rule always speaks")


def _decision(case: Case, rule: str, finding: Finding, considered: tuple[str, ...]) -> Decision:
    stage, weight, mirrored = _target(case, finding.action)
    moved = finding.action in ("advance", "step_back", "abort", "promote")
    struck = rule == "guardrail_harm"
    return Decision(
        rollout=case.state.rollout,
        look=case.state.look + 1,
        at=case.now,
        action=finding.action,
        rule=rule,
        reason=finding.reason,
        stage=stage,
        stage_name=_stage_name(case, finding.action, stage),
        weight=weight,
        mirrored=mirrored,
        phase=case.state.phase.number + 1 if moved else case.state.phase.number,
        strikes=len(case.state.strikes) + struck,
        verdicts=case.judgement.verdicts,
        signals=case.judgement.signals,
        alarms=case.judgement.alarms,
        needs=finding.needs,
        units=case.judgement.units,
        outcomes=case.judgement.outcomes,
        pairs=case.judgement.pairs,
        considered=considered,
        pace=case.pace,
        units_held=case.judgement.held if rule == "subgroup_floor" else (),
    )


def _target(case: Case, action: Action) -> tuple[int, int, int]:
    """Stage, weight and mirrored share after the action."""
    if action == "promote":
        return len(case.stages), 10_000, 0
    if action == "abort":
        return case.state.stage, 0, 0
    if action not in ("advance", "step_back"):
        return case.state.stage, case.state.phase.weight, case.state.phase.mirrored
    index = case.state.stage + (1 if action == "advance" else -1)
    stage, weight = case.stages[index], case.stages[index].weight
    if case.pace:
        weight = case.pace.next_weight if action == "advance" else weight_before(case.stages, case.state)
    return index, weight, stage.mirrored


def _stage_name(case: Case, action: Action, stage: int) -> str:
    if action == "promote":
        return "everyone"
    return "nobody" if action == "abort" else case.stages[stage].name


def evolve(state: RolloutState, judgement: Judgement, decision: Decision) -> RolloutState:
    """The state after a decision."""
    lossy = state.lossy_looks + 1 if judgement.alarm("capture_loss") else 0
    closed = tuple(sorted({*state.closed, *judgement.closed}))
    state = replace(state, look=decision.look, looked_at=decision.at, closed=closed, lossy_looks=lossy)
    for unit in decision.units_held:
        state = withdraw(state, unit, reason=decision.reason, actor=decision.actor, now=decision.at)
    if decision.rule == "guardrail_harm":
        names = tuple(v.metric for v in judgement.failing())
        state = replace(state, strikes=(*state.strikes, Strike(state.stage, decision.at, names)))
    if decision.action in ("abort", "promote"):
        status: Status = "aborted" if decision.action == "abort" else "promoted"
        return _enter(replace(state, status=status, reason=decision.reason), decision)
    if decision.action == "advance":
        return _enter(state, decision)
    if decision.action == "step_back":
        # A new epoch: harm is judged afresh on new strata, with its own information clock.
        kept = tuple(key for key in state.closed if key.endswith("/pass"))
        return _enter(replace(state, epoch=decision.phase, closed=kept), decision)
    return state


def _enter(state: RolloutState, decision: Decision) -> RolloutState:
    phase = Phase(decision.phase, decision.stage, decision.weight, decision.mirrored, decision.at)
    return replace(state, stage=decision.stage, phases=(*state.phases, phase), confirmed=False, approvals=())
