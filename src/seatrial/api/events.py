"""What was captured: how much there is, compaction, and erasing a unit."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from seatrial.api.bodies import Compaction, Erasure
from seatrial.api.deps import Admin, Operator, Wired
from seatrial.control.documents.stock import compacted_document, erased_document, stock

router = APIRouter(prefix="/v1", tags=["events"])


@router.get("/events")
def list_events(wired: Wired) -> dict[str, Any]:
    """What is kept of each model, since when, and for how long."""
    with wired.store.read() as tx:
        return stock(wired.project, tx)


@router.post("/events/compact")
def compact(body: Compaction, wired: Wired, caller: Operator) -> dict[str, Any]:
    """Merge small parts into large ones now, of one model or of all."""
    return compacted_document(wired.operations.compact(body.model))


@router.post("/models/{model}/erase")
def erase(model: str, body: Erasure, wired: Wired, caller: Admin) -> dict[str, Any]:
    """Take a unit's predictions and their outcomes out of everything that is kept. The answer names it by its hash."""
    return erased_document(wired.operations.erase(model, body.unit, actor=caller.name))
