"""Tickets of re-validation, from a drift that somebody or something found. Nothing else follows from them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from seatrial.control.quality import digest_of_version
from seatrial.errors import Conflict, UsageError
from seatrial.governance.tickets import Shift, Stratum, key_of, ticket_document
from seatrial.retrain.manager import Reading, State, moved_of
from seatrial.retrain.policy import Policy, Trigger
from seatrial.store.alert import Alert
from seatrial.store.canonical import iso_z
from seatrial.store.db import Transaction
from seatrial.store.tickets import StoredTicket

Document = dict[str, Any]


def ticket_from_drift(
    tx: Transaction, model: str, strata: Sequence[Stratum], *, cause: str, actor: str, now: datetime
) -> StoredTicket:
    """The ticket of these strata of the version in production: an open one, or a new one of which people are told.

    It writes a ticket and an alert; no version, pointer, rollout or artifact is touched. Raises UsageError (ST1442)
    where no stratum is affected, Conflict (ST1443) for a model without a champion.
    """
    if not strata:
        raise UsageError(
            "ST1442", f"model '{model}': no stratum is affected.", remedy="There is nothing to re-validate."
        )
    champion = tx.models.pointers(tx.models.get_model(model).name).get("champion")
    if champion is None:
        raise Conflict("ST1443", f"model '{model}' has no version in production.", remedy="Adopt or promote one first.")
    digest = digest_of_version(tx.models.get_version(model, champion))
    envelope = tx.changes.envelope(model) is not None
    document = ticket_document(model, champion, digest, strata, cause=cause, envelope=envelope)
    key = key_of(model, champion, (one.name for one in strata))
    ticket, new = tx.tickets.open(model, key, document, actor=actor, now=now)
    if new:
        tx.alerts.put(_alert(ticket, now))
    return ticket


def ticket_from_trigger(tx: Transaction, policy: Policy, state: State, now: datetime) -> StoredTicket | None:
    """What a training run that drift started asks of people, where the changes of the model are declared (an envelope):
    it makes a candidate, and this ticket. None where it is another run, or a model without an envelope or a champion.
    """
    run = state.running
    trigger = None if run is None else policy.trigger(run.trigger.trigger)
    if run is None or trigger is None or trigger.drift is None or tx.changes.envelope(policy.model) is None:
        return None
    if tx.models.pointers(policy.model).get("champion") is None:
        return None
    reading = state.readings.get(trigger.name)
    moved = () if reading is None else _moved(policy, trigger, reading)
    strata = [Stratum("model", policy.model, "drift", 0 if reading is None else reading.rows, moved)]
    return ticket_from_drift(tx, policy.model, strata, cause=f"training run {run.number}, trigger {trigger.name}",
                             actor="seatrial", now=now)  # fmt: skip


def _moved(policy: Policy, trigger: Trigger, reading: Reading) -> tuple[Shift, ...]:
    """The features that the trigger holds for, by name."""
    least = trigger.drift or 0.0
    if trigger.drift_measure == "ks":
        found = moved_of(policy, trigger, reading)
        return tuple(
            Shift(one.feature, "ks", one.distance.value, least) for one in sorted(found, key=lambda m: m.feature)
        )
    watched = [name for name in sorted(reading.psi) if not trigger.features or name in trigger.features]
    return tuple(Shift(name, "psi", reading.psi[name], least) for name in watched if reading.psi[name] > least)


def close_ticket(tx: Transaction, id: str, *, resolution: str, actor: str, now: datetime) -> StoredTicket:
    """Raises UsageError (ST1444) without a resolution, Conflict for one that is closed."""
    if not resolution.strip():
        raise UsageError("ST1444", f"ticket {id} is closed without a word.", remedy="Say what came of it: --reason.")
    return tx.tickets.close(id, resolution, actor=actor, now=now)


def ticket_told(ticket: StoredTicket) -> Document:
    """``seatrial.ticket.v1``"""
    return {
        "schema": "seatrial.ticket.v1",
        "id": ticket.id,
        "openedAt": iso_z(ticket.opened_at),
        "openedBy": ticket.opened_by,
        **ticket.document,
        "open": ticket.open,
        "closedAt": None if ticket.closed_at is None else iso_z(ticket.closed_at),
        "closedBy": ticket.closed_by or None,
        "resolution": ticket.resolution or None,
    }


def tickets_told(tx: Transaction, model: str | None, *, open_only: bool) -> Document:
    """``seatrial.tickets.v1``, oldest first."""
    if model is not None:
        tx.models.get_model(model)
    found = tx.tickets.list(model, open_only=open_only)
    return {"schema": "seatrial.tickets.v1", "tickets": [ticket_told(one) for one in found]}


def _alert(ticket: StoredTicket, now: datetime) -> Alert:
    strata = [one["text"] for one in ticket.document["strata"]]
    return Alert(
        key=f"ticket.open:{ticket.id}",
        kind="ticket.open",
        severity="warning",
        object=ticket.id,
        text=f"{ticket.model} v{ticket.document['version']} is to be re-validated: {'; '.join(strata)}",
        at=now,
        model=ticket.model,
        detail={"cause": ticket.document["cause"]},
    )
