"""Approvals of a stage: who may give one, who gave one, and how many are missing.

Four eyes: whoever began a rollout approves nothing of it. What was approved is a stage with the split it has now: a
move to another one, forward or back, asks anew.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime

from seatrial.errors import Conflict, UsageError
from seatrial.rollout.plan import Approval, Plan
from seatrial.rollout.stages import Stage, compile_stages
from seatrial.rollout.state import Approved, RolloutState

Same = Callable[[str, str], bool]
"""Whether two names stand for one person."""


def missing(stage: Stage, state: RolloutState) -> int:
    """How many approvals the stage still needs."""
    return max(stage.approval.count - len(state.approvals), 0) if stage.approval else 0


def asked(stage: Stage, state: RolloutState) -> str:
    """``canary 25% passes; waiting for 1 approval of 2 by ann, bob: `seatrial approve r-0001``` with the question."""
    wanted = stage.approval or Approval()
    who = f" by {', '.join(wanted.by)}" if wanted.by else ""
    question = f" ({wanted.asks})" if wanted.asks else ""
    return (
        f"{stage.name} passes; waiting for {missing(stage, state)} of {wanted.count} approvals{who}{question}: "
        f"`seatrial approve {state.rollout}`"
    )


def approve(
    plan: Plan,
    state: RolloutState,
    who: str,
    roles: Collection[str],
    *,
    reason: str,
    now: datetime,
    same: Same = operator.eq,
) -> RolloutState:
    """The state with one more approval of the present stage. ``roles``: every role that this person has.

    Raises Conflict if the rollout is over, the stage asks for no approval or has this person's; UsageError if the plan
    does not let this person approve it.
    """
    if state.over:
        raise Conflict("ST0310", f"rollout '{state.rollout}' is already {state.status}.")
    stage = compile_stages(plan)[state.stage]
    if stage.approval is None:
        raise Conflict(
            "ST0340", f"rollout '{state.rollout}': {stage.name} asks for no approval.",
            remedy=f"`seatrial rollout get {state.rollout}` shows what it waits for.",
        )  # fmt: skip
    _check_person(state, stage.approval, who, roles, same)
    if any(same(one.by, who) for one in state.approvals):
        raise Conflict("ST0343", f"rollout '{state.rollout}': {who} has approved {stage.name}.", remedy="Ask another.")
    return replace(state, approvals=(*state.approvals, Approved(who, now, reason)))


def check_override(plan: Plan, state: RolloutState, who: str, same: Same = operator.eq) -> None:
    """Whoever began a rollout that asks for approvals may not go past them either. Raises UsageError."""
    if same(state.submitter, who) and any(stage.approval for stage in compile_stages(plan)):
        raise _own(state, who)


def _check_person(state: RolloutState, wanted: Approval, who: str, roles: Collection[str], same: Same) -> None:
    if same(who, state.submitter):
        raise _own(state, who)
    named = any(same(who, name) for name in wanted.by)
    if wanted.by and not named and not any(role in wanted.by for role in roles):
        raise UsageError(
            "ST0342", f"rollout '{state.rollout}': {who} is not among those who approve this step.",
            remedy=f"Its plan names {', '.join(wanted.by)}.",
        )  # fmt: skip


def _own(state: RolloutState, who: str) -> UsageError:
    return UsageError(
        "ST0341", f"rollout '{state.rollout}': {who} began it and cannot approve it.",
        remedy="Four eyes: somebody else has to.",
    )  # fmt: skip
