"""Incidents: what was found after a release, and what somebody chose to do about it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from seatrial.api.bodies import Closing
from seatrial.api.deps import Approver, Wired
from seatrial.control.documents import incidents

router = APIRouter(prefix="/v1/incidents", tags=["incidents"])


@router.get("")
def list_incidents(wired: Wired, open_only: Annotated[bool, Query(alias="open")] = False) -> dict[str, Any]:
    """All of them, or the open ones, oldest first."""
    with wired.store.read() as tx:
        return incidents.listed(tx, open_only=open_only)


@router.get("/{incident}")
def show_incident(incident: str, wired: Wired) -> dict[str, Any]:
    """One, with the ways on and their estimated costs."""
    with wired.store.read() as tx:
        return incidents.incident_document(tx.incidents.get(incident))


@router.post("/{incident}/close")
def close(incident: str, body: Closing, wired: Wired, caller: Approver) -> dict[str, Any]:
    """Do what was chosen, and record why: *roll_back* brings the former champion back before it is answered."""
    return wired.operations.close_incident(incident, body.choice, reason=body.reason, actor=caller.name)
