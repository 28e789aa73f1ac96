"""Following a release after everybody has it: planned at promotion, with a warning where the way home is not sure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from seatrial.control.alerting import alerts
from seatrial.control.documents.views import Document, plain
from seatrial.registry.version import ModelVersion
from seatrial.rollout.maturity import enrolment
from seatrial.rollout.reconciliation.schedule import Due, schedule
from seatrial.rollout.state import RolloutState
from seatrial.store.canonical import canonical, iso_z
from seatrial.store.db import Transaction
from seatrial.store.follow_ups import StoredFollowUp
from seatrial.store.plans import plan_from_json

SECOND_LOOK = timedelta(days=1)
"""Outcomes of the last day are often reported by a job of the next night: each reconciliation is made good then."""


def begin(tx: Transaction, state: RolloutState, at: datetime) -> None:
    """Plan what is reconciled of a rollout that was just promoted; nothing where no metric outlasts it."""
    plan = plan_from_json(json.loads(tx.rollouts.get(state.rollout).plan))
    dues, window = schedule(plan, state), enrolment(state)
    if not dues or window is None:
        return
    standby = tx.models.get_version(state.model, state.champion)
    warning = unsure(standby, dues[-1].at)
    document = {
        "schedule": [plain(due) for due in dues],
        "standby": {"version": state.champion, "until": iso_z(dues[-1].at), "warning": warning},
    }
    following = StoredFollowUp(state.rollout, state.model, window[0], dues[0].at, canonical(document))
    tx.follow_ups.open(following)
    tx.audit.append("seatrial", "rollout.follow_up", state.rollout, document, at)
    if warning:
        tx.alerts.put(alerts.of_standby(state, warning, at))


def unsure(standby: ModelVersion, until: datetime) -> str:
    """Why nobody can promise that the champion of before still starts then; empty for an artifact of our own.

    Artifacts are never deleted, and the standby's host is kept up until the next promotion takes its place.
    """
    if standby.serving.kind == "artifact":
        return ""
    return (
        f"v{standby.number} is the way home until {until:%Y-%m-%d}, the last reconciliation, and is served from "
        f"{standby.serving.url}, which somebody else runs: keep it running until then"
    )


def visits(dues: Sequence[Due]) -> Iterator[tuple[datetime, Due]]:
    """When each reconciliation is made: when it is due, and once more a day later."""
    for due in dues:
        yield due.at, due
        yield due.at + SECOND_LOOK, due


def next_visit(dues: Sequence[Due], after: datetime) -> datetime | None:
    """The first visit after a time."""
    return min((moment for moment, _ in visits(dues) if moment > after), default=None)


def follow_up_document(tx: Transaction, rollout: str) -> Document | None:
    """What is planned and what was found: ``reconciliation`` of a rollout's document. None for one not followed.

    Of several results of one moment the latest counts.
    """
    planned, results = tx.follow_ups.find(rollout), tx.follow_ups.results(rollout)
    if planned is None and not results:
        return None
    document = {"schedule": [], "standby": None} if planned is None else json.loads(planned.document)
    latest = {result.at: result for result in results}
    return {
        **document,
        "next": iso_z(planned.next_at) if planned is not None and planned.next_at is not None else None,
        "results": [
            {
                **json.loads(result.document),
                "revision": result.revision,
                "takenAt": iso_z(result.taken_at),
                "actor": result.actor,
            }
            for result in latest.values()
        ],
        "incidents": [
            {"id": one.id, "open": one.open, "choice": one.choice, "text": json.loads(one.document)["text"]}
            for one in tx.incidents.list(rollout=rollout)
        ],
    }
