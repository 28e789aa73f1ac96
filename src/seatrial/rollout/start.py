"""Beginning a rollout, and what a person may do to one by hand: each is a Decision of rule ``manual``."""

from __future__ import annotations

import operator
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import Literal

from seatrial.errors import Conflict
from seatrial.ids import ModelName, RolloutId, VersionNumber
from seatrial.rollout.approvals import Same, approve, check_override
from seatrial.rollout.decide import decide, evolve
from seatrial.rollout.plan import Plan
from seatrial.rollout.sites import withdraw
from seatrial.rollout.stages import compile_stages
from seatrial.rollout.state import Phase, RolloutState
from seatrial.rollout.verdicts import Action, Decision, Judgement, Signals

Verb = Literal["pause", "resume", "promote", "abort"]


def start(
    plan: Plan,
    rollout: RolloutId,
    model: ModelName,
    champion: VersionNumber,
    candidate: VersionNumber,
    salt: str,
    now: datetime,
    actor: str,
) -> tuple[Decision, RolloutState]:
    """The first stage, as a decision like every other."""
    first = compile_stages(plan)[0]
    state = RolloutState(
        rollout=rollout,
        model=model,
        champion=champion,
        candidate=candidate,
        salt=salt,
        started=now,
        phases=(Phase(1, 0, first.weight, first.mirrored, now),),
        submitter=actor,
    )
    reason = f"{model} v{candidate} against v{champion} by plan {plan.name}"
    return _decision(plan, state, "start", reason, now, actor, rule="start"), state


def by_hand(
    plan: Plan,
    state: RolloutState,
    verb: Verb,
    *,
    full: bool,
    reason: str,
    actor: str,
    now: datetime,
    same: Same = operator.eq,
) -> tuple[Decision, RolloutState]:
    """Pause, resume, promote or abort.

    ``promote`` releases a manual pause; with ``full`` it skips what is left, which overrides the gates and needs a
    reason (the caller checks the role); whoever began a rollout with approvals may not (UsageError). Verbs on a rollout
    that is over raise Conflict.
    """
    if state.over:
        raise Conflict("ST0310", f"rollout '{state.rollout}' is already {state.status}.")
    if verb == "pause":
        moved = replace(state, status="paused", reason=reason or "paused by hand")
    elif verb == "resume":
        moved = replace(state, status="running", reason="")
    elif verb == "abort":
        moved = _end(state, "aborted", 0, reason or "aborted by hand", now)
    elif full:
        check_override(plan, state, actor, same)
        moved = _end(state, "promoted", 10_000, reason, now)
    else:
        moved = replace(state, status="running", reason="", confirmed=True)
    action: Action = "hold" if verb == "promote" and not full else verb
    return _decision(plan, moved, action, reason or f"{verb} by hand", now, actor, rule="manual"), moved


def by_approval(
    plan: Plan,
    state: RolloutState,
    who: str,
    roles: Collection[str],
    *,
    reason: str,
    now: datetime,
    same: Same = operator.eq,
) -> tuple[Decision, RolloutState]:
    """One approval of the present stage; the evidence decides with the next look. Raises what ``approve`` raises."""
    after = approve(plan, state, who, roles, reason=reason, now=now, same=same)
    stage = compile_stages(plan)[state.stage]
    given = f"{len(after.approvals)} of {stage.approval.count}" if stage.approval else ""
    text = f"{stage.name} approved ({given})" + (f": {reason}" if reason else "")
    return _decision(plan, after, "hold", text, now, who, rule="manual"), after


def by_withdrawal(
    plan: Plan, state: RolloutState, unit: str, *, reason: str, actor: str, now: datetime
) -> tuple[Decision, RolloutState]:
    """One unit leaves; nobody else moves. Raises what ``sites.withdraw`` raises."""
    after = withdraw(state, unit, reason=reason, actor=actor, now=now)
    text = f"'{unit}' left, everybody else stays where they are" + (f": {reason}" if reason else "")
    decision = _decision(plan, after, "hold", text, now, actor, rule="manual")
    return replace(decision, units_held=(unit,)), after


def by_alert(plan: Plan, state: RolloutState, text: str, *, actor: str, now: datetime) -> tuple[Decision, RolloutState]:
    """Something outside found grave harm: everybody on the champion, at once and without a look at evidence."""
    if state.over:
        raise Conflict("ST0310", f"rollout '{state.rollout}' is already {state.status}.")
    nothing = Judgement()
    decision = replace(decide(plan, state, nothing, Signals(alerts=(text,)), now), actor=actor, look=state.look)
    return decision, evolve(state, nothing, decision)


def _end(
    state: RolloutState, status: Literal["aborted", "promoted"], weight: int, why: str, now: datetime
) -> RolloutState:
    phase = Phase(state.phase.number + 1, state.stage, weight, 0, now)
    return replace(state, status=status, reason=why, phases=(*state.phases, phase))


def _decision(
    plan: Plan, state: RolloutState, action: Action, reason: str, now: datetime, actor: str, *, rule: str
) -> Decision:
    stages = compile_stages(plan)
    names = {"promoted": "everyone", "aborted": "nobody"}
    return Decision(
        rollout=state.rollout,
        look=state.look,
        at=now,
        action=action,
        rule=rule,
        reason=reason,
        stage=state.stage,
        stage_name=names.get(state.status, stages[min(state.stage, len(stages) - 1)].name),
        weight=state.phase.weight,
        mirrored=state.phase.mirrored,
        phase=state.phase.number,
        strikes=len(state.strikes),
        actor=actor,
    )
