"""Standing shadows come and go: the host answers first, then it is on the record, then copies flow."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from seatrial.control.clock import Clock
from seatrial.control.controller import Controller
from seatrial.control.shadows import standing
from seatrial.store.db import Store, Transaction
from seatrial.values import Share


def add_shadow(
    store: Store, controller: Controller | None, clock: Clock, model: str, version: int, share: Share, *, actor: str
) -> dict[str, Any]:
    """Raises what ``standing.check`` does, and Unavailable if the version does not come up; nothing changed then."""
    with store.read() as tx:
        standing.check(tx, model, version, share)
        wanted = tx.models.get_version(model, version)

    def change(tx: Transaction) -> None:
        standing.add(tx, model, version, share, actor=actor, now=clock.now())

    with nullcontext() if controller is None else controller.candidate_up(wanted):
        return _changed(store, controller, model, change)


def remove_shadow(
    store: Store, controller: Controller | None, clock: Clock, model: str, version: int, *, actor: str
) -> dict[str, Any]:
    """Raises what ``standing.remove`` does."""

    def change(tx: Transaction) -> None:
        standing.remove(tx, model, version, actor=actor, now=clock.now())

    return _changed(store, controller, model, change)


def _changed(
    store: Store, controller: Controller | None, model: str, change: Callable[[Transaction], None]
) -> dict[str, Any]:
    with store.begin() as tx:
        change(tx)
        document = standing.shadows_document(tx, model)
    if controller is not None:
        controller.reconcile()
    return document
