"""Rollouts: begin one, look at it, move it by hand."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter

from seatrial.api.bodies import ByHand, Start
from seatrial.api.deps import Approver, Operator, Wired
from seatrial.api.security import Principal
from seatrial.control import catalog, views
from seatrial.control.emergency import observed_weights
from seatrial.rollout.start import Verb
from seatrial.store.plans import check_plan, plan_of

router = APIRouter(prefix="/v1/rollouts", tags=["rollouts"])


@router.get("")
def list_rollouts(wired: Wired, model: str | None = None, active: bool | None = None) -> dict[str, Any]:
    with wired.store.read() as tx:
        return catalog.rollouts(tx, model=model, active=active)


@router.post("", status_code=201)
def start(body: Start, wired: Wired, caller: Operator) -> dict[str, Any]:
    plan = check_plan(plan_of(body.plan))
    rollout = wired.operations.start_rollout(body.model, body.version, plan, actor=caller.name, salt=body.salt)
    return {"schema": "seatrial.started.v1", "rollout": rollout}


@router.get("/{rollout}")
def show_rollout(rollout: str, wired: Wired) -> dict[str, Any]:
    """By id, or by model: then its active rollout, or the latest."""
    weights = observed_weights(wired.project)
    with wired.store.read() as tx:
        return catalog.rollout(tx, rollout, weights)


@router.get("/{rollout}/decisions")
def list_decisions(rollout: str, wired: Wired) -> dict[str, Any]:
    with wired.store.read() as tx:
        return catalog.decisions(tx, rollout)


@router.post("/{rollout}/promote")
def promote(rollout: str, body: ByHand, wired: Wired, caller: Approver) -> dict[str, Any]:
    """Release a `pause: {}`; with ``full``, go past all gates."""
    return _by_hand(rollout, "promote", body, wired, caller)


@router.post("/{rollout}/{verb}")
def by_hand(
    rollout: str, verb: Literal["pause", "resume", "abort"], body: ByHand, wired: Wired, caller: Operator
) -> dict[str, Any]:
    return _by_hand(rollout, verb, body, wired, caller)


def _by_hand(rollout: str, verb: Verb, body: ByHand, wired: Wired, caller: Principal) -> dict[str, Any]:
    decision = wired.operations.by_hand(rollout, verb, full=body.full, reason=body.reason, actor=caller.name)
    return views.decision_document(decision)
