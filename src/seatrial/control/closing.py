"""Closing an incident: what was chosen is done first where that moves traffic, and then recorded."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from seatrial.control.documents.catalog import load
from seatrial.control.documents.incidents import incident_document, way_home
from seatrial.control.documents.views import Document, switched_document
from seatrial.control.way_home.switched import Switched
from seatrial.errors import Conflict, UsageError
from seatrial.rollout.reconciliation.incident import CHOICES
from seatrial.store.db import Store

GoHome = Callable[[str, str], Switched]
"""The rollback of a model, for a reason."""


def close(
    store: Store, id: str, choice: str, reason: str, *, actor: str, now: Callable[[], datetime], go_home: GoHome
) -> Document:
    """Do what was chosen, then record it. Raises what ``act`` and ``record`` raise."""
    return record(store, id, choice, reason, actor=actor, now=now(), moved=act(store, id, choice, reason, go_home))


def act(store: Store, id: str, choice: str, reason: str, go_home: GoHome) -> Switched | None:
    """Roll back, if that was chosen; None where nothing had to move: also where somebody had done it before.

    Raises NotFound, UsageError for what is no choice, and Conflict for an incident that is closed, or from which no way
    leads home any more (ST0349): then it stays open.
    """
    if choice not in CHOICES:
        raise UsageError("ST0327", f"'{choice}' is no choice.", remedy=f"One of {', '.join(CHOICES)}.")
    if not reason.strip():
        raise UsageError("ST0327", f"incident {id} is not closed without a reason.", remedy="Say why: --reason '...'.")
    with store.read() as tx:
        incident = tx.incidents.get_open(id)
        state = load(tx.rollouts.get(incident.rollout)).state
        back = tx.models.pointers(state.model).get("champion") == state.champion
        why = "" if back else way_home(tx, state)
    if choice != "roll_back" or back:
        return None
    if why:
        raise Conflict(
            "ST0349", f"incident {id}: {state.model} cannot be rolled back to v{state.champion}: {why}.",
            remedy="Choose hold or fix_forward, or remove what is in the way.",
        )  # fmt: skip
    return go_home(state.model, f"{id}: {reason}")


def record(
    store: Store, id: str, choice: str, reason: str, *, actor: str, now: datetime, moved: Switched | None
) -> Document:
    """The incident as it is closed; ``rolledBack``: what was measured when traffic moved."""
    with store.begin() as tx:
        document = incident_document(tx.incidents.close(id, choice, reason, actor=actor, now=now))
    return {**document, "rolledBack": None if moved is None else switched_document(moved)}
