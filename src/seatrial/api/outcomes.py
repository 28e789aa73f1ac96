"""Outcomes come in; the clock of a replay is moved."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool

from seatrial.api.bodies import Advance
from seatrial.api.deps import Operator, Reporter, Wired
from seatrial.control.feedback import outcomes_document
from seatrial.events.outcomes import parse_ndjson

router = APIRouter(prefix="/v1", tags=["outcomes"])


@router.post(
    "/outcomes",
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/x-ndjson": {"schema": {"type": "string"}}}}
    },
)
async def ingest(request: Request, wired: Wired, caller: Reporter, model: str | None = None) -> dict[str, Any]:
    """One JSON object a line: ``{model, key, name, value, time, revision?}``. All or nothing.

    The answer comes when all of them are on disk: what is acknowledged is kept. Sending the same again is harmless.
    """
    body = await request.body()

    def keep() -> int:
        return wired.operations.ingest(parse_ndjson(body, model=model))

    return {"schema": "seatrial.accepted.v1", "accepted": await run_in_threadpool(keep)}


@router.get("/models/{model}/outcomes")
def received(
    model: str, wired: Wired, days: Annotated[int, Query(ge=1, le=3650, description="Received this long ago.")] = 31
) -> dict[str, Any]:
    """What was received: how much of it met a prediction, what is pending, late, repeated, contradicted."""
    now = wired.operations.clock.now()
    with wired.store.read() as tx:
        return outcomes_document(tx, wired.project, model, now=now, days=days)


@router.post("/replay/advance")
def advance(body: Advance, wired: Wired, caller: Operator) -> dict[str, Any]:
    """Replay projects: move the stored clock once everything sent so far is captured, and take the looks due."""
    return {"schema": "seatrial.advanced.v1", **wired.operations.advance(body.to)}
