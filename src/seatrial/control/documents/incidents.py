"""Incidents as documents: what was known when one was opened, the ways on with their costs, and what was chosen."""

from __future__ import annotations

import json

from seatrial.control.documents.views import Document, listing, plain
from seatrial.control.render import Release
from seatrial.rollout.reconciliation.confounds import Confound
from seatrial.rollout.reconciliation.incident import loss_per_day, options
from seatrial.rollout.reconciliation.judge import Reconciled, Reconciliation
from seatrial.rollout.reconciliation.wording import amount, interval
from seatrial.rollout.state import RolloutState
from seatrial.store.canonical import iso_z
from seatrial.store.db import Transaction
from seatrial.store.incidents import StoredIncident


def way_home(tx: Transaction, state: RolloutState) -> str:
    """Why a release cannot be rolled back any more; empty if it can."""
    pointers = tx.models.pointers(state.model)
    champion, previous = pointers.get("champion"), pointers.get("previous")
    if champion != state.candidate:
        return f"v{champion} is the champion now"
    if previous != state.champion:
        return f"v{state.champion} is the standby no more"
    running = tx.rollouts.list(state.model, active=True)
    return f"rollout {running[0].id} runs: end it first" if running else ""


def incident_of(release: Release, found: Reconciliation, metric: Reconciled, home: str) -> Document:
    """What is kept of an incident; it does not change when more becomes known (the reconciliations do)."""
    state = release.state
    text = (
        f"{state.model} v{state.candidate} made {metric.metric} worse: {amount(metric, metric.estimate or 0.0)} "
        f"{interval(metric)} by first exposure, {found.days_since:.3g} days after everyone got it"
    )
    return {
        "text": text,
        "metric": metric.metric,
        "candidate": state.candidate,
        "champion": state.champion,
        "at": iso_z(found.at),
        "daysSince": found.days_since,
        "effect": {
            name: getattr(metric, name)
            for name in ("estimate", "lower", "upper", "scale", "better", "alpha", "diluted")
        },
        "exposed": found.exposed,
        "daily": found.daily,
        "lossPerDay": plain(loss_per_day(metric, found.daily)),
        "contaminated": metric.contaminated,
        "confounds": [plain(one) for one in found.confounds if _concerns(one, metric)],
        "options": [plain(option) for option in options(release.plan, found, metric, home)],
        "surrogates": [{"metric": name, "correlation": r} for name, r in metric.surrogates],
    }


def _concerns(confound: Confound, metric: Reconciled) -> bool:
    return confound.metric in ("", metric.metric)


def incident_document(stored: StoredIncident) -> Document:
    """``seatrial.incident.v1``."""
    return {
        "schema": "seatrial.incident.v1",
        "id": stored.id,
        "rollout": stored.rollout,
        "model": stored.model,
        "open": stored.open,
        "opened": iso_z(stored.opened_at),
        **json.loads(stored.document),
        "choice": stored.choice,
        "reason": stored.reason,
        "closed": None if stored.closed_at is None else iso_z(stored.closed_at),
        "closedBy": stored.closed_by or None,
    }


def listed(tx: Transaction, *, open_only: bool = False) -> Document:
    """All incidents, oldest first."""
    return listing("seatrial.incidents.v1", "incidents", map(incident_document, tx.incidents.list(open_only=open_only)))
