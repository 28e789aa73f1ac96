"""Alerts: what was told to whom, once more, and a trial."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from seatrial.api.bodies import AlertRetry, AlertTest
from seatrial.api.deps import Operator, Wired
from seatrial.control.alerting import notices

router = APIRouter(prefix="/v1/alerts", tags=["alerts"])


@router.get("")
def list_alerts(
    wired: Wired, limit: Annotated[int, Query(ge=1, le=10_000)] = 50, undelivered: bool = False
) -> dict[str, Any]:
    """The latest alerts, newest first, each with what became of it at each target."""
    with wired.store.read() as tx:
        return notices.listed(tx, limit=limit, undelivered=undelivered)


@router.post("/retry")
def retry(body: AlertRetry, wired: Wired, caller: Operator) -> dict[str, Any]:
    """Deliver at once what failed or waits: to one target, or to all."""
    return notices.retry(wired.project, wired.store, target=body.target, actor=caller.name)


@router.post("/test")
def send_test(body: AlertTest, wired: Wired, caller: Operator) -> dict[str, Any]:
    """Send a test to a target now, with the environment of this process, and say what came back."""
    return notices.send_test(wired.project, body.target, actor=caller.name)
