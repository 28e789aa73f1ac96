"""What people and other systems may do to a rollout beyond its verbs, each on the record."""

from __future__ import annotations

from typing import Literal

from seatrial.control.controller import Controller
from seatrial.control.documents import catalog
from seatrial.control.moves import move_of
from seatrial.control.recorder import record
from seatrial.control.render import Release
from seatrial.errors import UsageError
from seatrial.rollout.start import by_alert, by_hand, by_withdrawal
from seatrial.rollout.state import RolloutState
from seatrial.rollout.verdicts import Decision
from seatrial.store.db import Transaction

Severity = Literal["critical", "warning"]


def withdraw(controller: Controller, rollout: str, unit: str, *, reason: str, actor: str) -> Decision:
    """One unit leaves: routed first, then recorded. Raises what ``rollout.sites.withdraw`` raises."""
    with controller.lock:
        release = release_of(controller, rollout)
        now = controller.clock.now()
        decision, after = by_withdrawal(release.plan, release.state, unit, reason=reason, actor=actor, now=now)
        _protect(controller, release, decision, after)
    return decision


def alert(controller: Controller, rollout: str, text: str, *, severity: Severity, actor: str) -> Decision:
    """A hard signal from outside: the end of the rollout, or (a warning) a pause. Raises Conflict if it is over."""
    if not text.strip():
        raise UsageError("ST0348", f"an alert on '{rollout}' without a reason.", remedy="Say what was found.")
    with controller.lock:
        release = release_of(controller, rollout)
        plan, state, now = release.plan, release.state, controller.clock.now()
        if severity == "critical":
            decision, after = by_alert(plan, state, f"alert: {text}", actor=actor, now=now)
            _protect(controller, release, decision, after)
        else:
            decision, after = by_hand(plan, state, "pause", full=False, reason=f"alert: {text}", actor=actor, now=now)
            with controller.store.begin() as tx:
                put_down(tx, release, decision, after)
    return decision


def release_of(controller: Controller, rollout: str) -> Release:
    """As it is stored now. Raises NotFound."""
    with controller.store.read() as tx:
        return catalog.load(tx.rollouts.get(rollout))


def put_down(tx: Transaction, release: Release, decision: Decision, after: RolloutState) -> None:
    """A decision that nothing was measured for, and the state after it."""
    move = move_of(release, decision, after)
    record(tx, decision, after, revision=move.revision, digest=None, store_decision=True, given=move.given)


def _protect(controller: Controller, release: Release, decision: Decision, after: RolloutState) -> None:
    """In force first; from the journal on, no crash takes it back, and its record is in the audit log."""
    controller.protect(move_of(release, decision, after))
    controller.finish()
    controller.reconcile()
