"""The evidence of a rollout goes back to the run that made its version, once the rollout is over.

What is to be delivered is in the store before anything goes out, and stays there until MLflow has it; the same artifact
twice is the same artifact.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta

from seatrial.control.alerting.delivery import Pace
from seatrial.control.documents import catalog
from seatrial.control.mlflow.truth import verdict_of
from seatrial.control.states import decision_from_json
from seatrial.errors import SeatrialError
from seatrial.integrations.mlflow.tracking import Tracking
from seatrial.store.db import Store
from seatrial.store.mlflow import EvidenceDelivery

PACE = Pace(attempts=1 << 30, first_s=10.0, longest_s=900.0)
"""MLflow may be down for days: what was decided is still true when it is back."""


def plan(store: Store, now: datetime) -> None:
    """Put down what is to be delivered of rollouts that are over."""
    with store.read() as tx:
        if not tx.mlflow.undelivered():
            return
    with store.begin() as tx:
        for one in tx.mlflow.undelivered():
            tx.mlflow.send(replace(one, next_at=now))


def deliver(store: Store, tracking: Tracking, now: datetime) -> tuple[int, str]:
    """Deliver what is due: how much MLflow took, and the last error."""
    with store.read() as tx:
        due = [one for one in tx.mlflow.deliveries(pending=True) if one.next_at <= now]
    taken, failed = 0, ""
    for delivery in due:
        after = _attempt(store, tracking, delivery, now)
        taken += after.state == "delivered"
        failed = after.last_error or failed
        with store.begin() as tx:
            tx.mlflow.settle(after)
    return taken, failed


def _attempt(store: Store, tracking: Tracking, delivery: EvidenceDelivery, now: datetime) -> EvidenceDelivery:
    attempts = delivery.attempts + 1
    try:
        _put(store, tracking, delivery)
    except SeatrialError as error:
        pause = timedelta(seconds=PACE.pause_s(delivery.rollout, min(attempts, 20)))
        return replace(delivery, attempts=attempts, next_at=now + pause, last_error=error.message)
    return replace(delivery, state="delivered", attempts=attempts, last_error="")


def _put(store: Store, tracking: Tracking, delivery: EvidenceDelivery) -> None:
    """The rollout with all its decisions as an artifact, and what it came to as tags."""
    with store.read() as tx:
        document = {**catalog.rollout(tx, delivery.rollout, {}), "decisions": catalog.decisions(tx, delivery.rollout)}
        stored = next(one for one in tx.decisions.list(delivery.rollout) if one.seq == delivery.decision)
    decision = decision_from_json(stored.document)
    path = f"seatrial/{delivery.rollout}.json"
    tracking.put_artifact(delivery.run, path, json.dumps(document, indent=2, ensure_ascii=False, default=str))
    said = {
        "rollout": delivery.rollout, "decision": f"{decision.action} ({decision.rule}): {decision.reason}",
        "verdict": verdict_of(decision), "evidence": stored.evidence_digest or "", "report": path,
    }  # fmt: skip
    for name, value in said.items():
        if value:
            tracking.tag_run(delivery.run, f"seatrial.{name}", value)
