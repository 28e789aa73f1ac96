"""Writing what was decided: decision, evidence, state, stages, pointers, audit and alert, in one transaction."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from seatrial.control import follow_up, holdouts
from seatrial.control.alerting import alerts
from seatrial.control.journal import Homecoming
from seatrial.control.states import decision_from_json, decision_to_json, state_to_json
from seatrial.evidence.codec import to_document
from seatrial.evidence.snapshot import Evidence
from seatrial.gateway.kill import KillLatch
from seatrial.ids import Digest
from seatrial.registry.lifecycle import Stage
from seatrial.rollout.state import RolloutState
from seatrial.rollout.verdicts import Decision, MetricVerdict
from seatrial.store import releases
from seatrial.store.artifacts import ArtifactStore
from seatrial.store.canonical import canonical
from seatrial.store.db import Transaction
from seatrial.store.decisions import StoredDecision

HEARTBEAT = timedelta(hours=1)
MOVES = frozenset({"start", "advance", "step_back", "abort", "promote", "pause", "resume"})


def worth_storing(decision: Decision, last: StoredDecision | None) -> bool:
    """A decision is stored when action, rule or a verdict changes, when something moves, and hourly (event time)."""
    if last is None or decision.action in MOVES or decision.rule == "manual":
        return True
    if decision.at - last.at >= HEARTBEAT:
        return True
    return _gist(decision) != _gist(decision_from_json(last.document))


def _gist(decision: Decision) -> tuple[object, ...]:
    pace = decision.pace and decision.pace.word
    return (decision.action, decision.rule, pace, tuple((v.metric, v.verdict) for v in _judged(decision)))


def _judged(decision: Decision) -> list[MetricVerdict]:
    """What decides, and what would have."""
    return [*decision.verdicts, *(v for v in decision.signals if v.role == "dryRun")]


def put_evidence(artifacts: ArtifactStore, evidence: Evidence) -> Digest:
    """Keep the evidence under its own digest, compressed; the same evidence is kept once."""
    return artifacts.put_bytes(zlib.compress(canonical(to_document(evidence)).encode(), 6))


def record(
    tx: Transaction,
    decision: Decision,
    state: RolloutState,
    *,
    revision: int,
    digest: Digest | None,
    store_decision: bool,
    given: str | None = None,
    agreed: Mapping[str, Any] | None = None,
) -> int:
    """Record a decision and the state after it; the new revision. ``Conflict`` if another was recorded first.

    ``digest`` and ``given``: what it was taken on, for `rollout replay`. ``agreed``: what the audit entry
    keeps beside it.
    """
    active = not state.over
    new = tx.rollouts.save(
        state.rollout, state_to_json(state), state.status, expected_revision=revision, active=active, now=decision.at
    )
    if store_decision:
        _store_decision(tx, decision, state, digest, given)
    if decision.action in MOVES:
        _move_version(tx, decision, state)
        detail = {
            "rule": decision.rule,
            "reason": decision.reason,
            "stage": decision.stage_name,
            "weight": decision.weight,
            "look": decision.look,
            "evidence": digest,
            **(agreed or {}),
        }
        tx.audit.append(decision.actor, f"rollout.{decision.action}", state.rollout, detail, decision.at)
    if decision.units_held:
        left = {"rule": decision.rule, "units": list(decision.units_held), "reason": decision.reason}
        tx.audit.append(decision.actor, "rollout.withdraw", state.rollout, left, decision.at)
    if decision.action == "promote":
        follow_up.begin(tx, state, decision.at)
        holdouts.begin(tx, state, decision.at)
    return new


def record_homecoming(tx: Transaction, move: Homecoming) -> None:
    """The standby is the champion again; nothing where the pointers have moved on since."""
    pointers = tx.models.pointers(move.model)
    if (pointers.get("champion"), pointers.get("previous")) != (move.champion, move.home):
        return
    at = datetime.fromisoformat(move.at)
    releases.roll_back(
        tx.models, move.model, expected_champion=move.champion, actor=move.actor, now=at, reason=move.reason
    )
    tx.alerts.put(alerts.of_homecoming(move.model, move.champion, move.home, move.actor, move.reason, at))


def record_kill(tx: Transaction, latch: KillLatch, now: datetime) -> None:
    """A latch that is in force gets its entry in the audit log."""
    detail = {"mode": latch.mode, "reason": latch.reason, "killed_at": latch.time.isoformat()}
    tx.audit.append(latch.actor, "model.kill", latch.model, detail, now)
    tx.alerts.put(alerts.of_kill(latch))


def record_revival(tx: Transaction, latch: KillLatch, actor: str, reason: str, now: datetime) -> None:
    """The kill is over."""
    detail = {"mode": latch.mode, "killed_by": latch.actor, "reason": reason}
    tx.audit.append(actor, "model.revive", latch.model, detail, now)
    tx.alerts.put(alerts.of_revival(latch, actor, reason, now))


def _store_decision(
    tx: Transaction, decision: Decision, state: RolloutState, digest: Digest | None, given: str | None
) -> None:
    last = tx.decisions.last(state.rollout)
    seq = 1 if last is None else last.seq + 1
    text = decision_to_json(decision)
    rollout, step = state.rollout, decision.stage
    tx.decisions.append(rollout, seq, decision.at, decision.action, decision.rule, step, text, digest, given)
    alert = alerts.of_decision(decision, state, seq, None if last is None else last.rule)
    if alert is not None:
        tx.alerts.put(alert)


def _move_version(tx: Transaction, decision: Decision, state: RolloutState) -> None:
    """The candidate's registry stage follows the rollout; promotion moves the champion pointer as well."""
    current = tx.models.get_version(state.model, state.candidate).stage
    if decision.action == "promote":
        _stage_to(tx, decision, state, current, Stage.CANARY)
        releases.promote(
            tx.models, state.model, state.candidate, expected_champion=state.champion,
            actor=decision.actor, now=decision.at, reason=f"{state.rollout}: {decision.reason}",
        )  # fmt: skip
        return
    if decision.action == "abort":
        target = Stage.STAGING
    else:
        target = Stage.SHADOW if state.phase.weight == 0 else Stage.CANARY
    _stage_to(tx, decision, state, current, target)
    challenger = tx.models.pointers(state.model).get("challenger")
    wanted = None if decision.action == "abort" else state.candidate
    if challenger != wanted:
        tx.models.move_pointer(
            state.model, "challenger", expected=challenger, to=wanted,
            actor=decision.actor, now=decision.at, reason=state.rollout,
        )  # fmt: skip


def _stage_to(tx: Transaction, decision: Decision, state: RolloutState, current: Stage, target: Stage) -> None:
    """Along the declared table; from None a version passes through Staging."""
    path = [target]
    if current is Stage.NONE:
        path.insert(0, Stage.STAGING)
    if current is Stage.STAGING and target is Stage.STAGING:
        path = []
    for stage in path:
        if stage is not current:
            tx.models.set_stage(
                state.model, state.candidate, stage, actor=decision.actor, now=decision.at, reason=state.rollout
            )
