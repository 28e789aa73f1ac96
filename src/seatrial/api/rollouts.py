"""Rollouts: begin one, look at it, move it by hand."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter

from seatrial.api.approvals import signer_of
from seatrial.api.bodies import Approval, ByHand, HardAlert, Reconciling, Retry, Start, WayHome, Withdrawal
from seatrial.api.deps import Approver, Operator, Wired
from seatrial.api.errors import Forbidden
from seatrial.api.security import Principal
from seatrial.control.documents import catalog
from seatrial.control.documents.rollouts import decision_document
from seatrial.control.documents.views import switched_document
from seatrial.control.way_home.emergency import observed_weights
from seatrial.registry.people import Role
from seatrial.rollout.start import Verb
from seatrial.store.plans import check_plan, plan_of

router = APIRouter(prefix="/v1/rollouts", tags=["rollouts"])


@router.get("")
def list_rollouts(wired: Wired, model: str | None = None, active: bool | None = None) -> dict[str, Any]:
    with wired.store.read() as tx:
        return catalog.rollouts(tx, model=model, active=active)


@router.post("", status_code=201)
def start(body: Start, wired: Wired, caller: Operator) -> dict[str, Any]:
    _may_override(caller, body.override)
    plan = check_plan(plan_of(body.plan), override=body.override)
    rollout = wired.operations.start_rollout(
        body.model, body.version, plan, actor=caller.name, salt=body.salt, override=body.override
    )
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


@router.post("/{rollout}/reconcile")
def reconcile(rollout: str, body: Reconciling, wired: Wired, caller: Operator) -> dict[str, Any]:
    """The arms of its canary compared as of a time, by first exposure; recorded, and harm opens an incident."""
    return wired.operations.reconcile(rollout, body.at, actor=caller.name)


@router.post("/{rollout}/retry", status_code=201)
def retry(rollout: str, body: Retry, wired: Wired, caller: Operator) -> dict[str, Any]:
    """The version of a rollout that is over once more, by the same plan; its units are drawn anew."""
    _may_override(caller, body.override)
    again = wired.operations.retry(rollout, reason=body.reason, override=body.override, actor=caller.name)
    return {"schema": "seatrial.started.v1", "rollout": again, "retries": rollout}


@router.post("/{rollout}/undo")
def undo(rollout: str, body: WayHome, wired: Wired, caller: Operator) -> dict[str, Any]:
    """Take back what it did: abort it, or after its promotion bring the former champion back."""
    return switched_document(wired.operations.undo(rollout, reason=body.reason, actor=caller.name, force=body.force))


@router.post("/{rollout}/promote")
def promote(rollout: str, body: ByHand, wired: Wired, caller: Approver) -> dict[str, Any]:
    """Release a `pause: {}`; with ``full``, go past all gates."""
    return _by_hand(rollout, "promote", body, wired, caller)


@router.post("/{rollout}/approve")
def approve(rollout: str, body: Approval, wired: Wired, caller: Approver) -> dict[str, Any]:
    """One approval of the stage it is in, by whom its plan lets and who did not begin it."""
    signer = signer_of(caller, wired)
    decision = wired.operations.approve(
        rollout, reason=body.reason, actor=signer.name, role=signer.role, own=signer.own
    )
    return decision_document(decision)


@router.post("/{rollout}/reject")
def reject(rollout: str, body: Approval, wired: Wired, caller: Approver) -> dict[str, Any]:
    """No to the stage it is in: it pauses until somebody decides."""
    signer = signer_of(caller, wired)
    decision = wired.operations.reject(rollout, reason=body.reason, actor=signer.name, role=signer.role, own=signer.own)
    return decision_document(decision)


@router.post("/{rollout}/withdraw")
def withdraw(rollout: str, body: Withdrawal, wired: Wired, caller: Operator) -> dict[str, Any]:
    """One unit leaves: on the champion at once and in no arm; everybody else stays where they are."""
    decision = wired.operations.withdraw(rollout, body.unit, reason=body.reason, actor=caller.name)
    return decision_document(decision)


@router.post("/{rollout}/alerts")
def alert(rollout: str, body: HardAlert, wired: Wired, caller: Operator) -> dict[str, Any]:
    """A hard signal from outside: everybody on the champion at once, whatever the evidence says."""
    decision = wired.operations.alert(rollout, body.reason, severity=body.severity, actor=caller.name)
    return decision_document(decision)


@router.post("/{rollout}/{verb}")
def by_hand(
    rollout: str, verb: Literal["pause", "resume", "abort"], body: ByHand, wired: Wired, caller: Operator
) -> dict[str, Any]:
    return _by_hand(rollout, verb, body, wired, caller)


def _may_override(caller: Principal, reason: str) -> None:
    if reason.strip() and not caller.may(Role.APPROVER):
        raise Forbidden.below(caller.name, caller.role, Role.APPROVER)


def _by_hand(rollout: str, verb: Verb, body: ByHand, wired: Wired, caller: Principal) -> dict[str, Any]:
    decision = wired.operations.by_hand(rollout, verb, full=body.full, reason=body.reason, actor=caller.name)
    return decision_document(decision)
