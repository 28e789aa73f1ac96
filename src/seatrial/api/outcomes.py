"""Outcomes come in; the clock of a replay is moved."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool

from seatrial.api.bodies import Advance
from seatrial.api.deps import Wired
from seatrial.errors import UsageError
from seatrial.events.outcomes import parse_ndjson

MAX_BODY = 64 * 1024 * 1024

router = APIRouter(prefix="/v1", tags=["outcomes"])


@router.post(
    "/outcomes",
    openapi_extra={"requestBody": {"required": True, "content": {"application/x-ndjson": {}}}},
)
async def ingest(request: Request, wired: Wired, model: str | None = None) -> dict[str, Any]:
    """One JSON object a line: ``{model, key, name, value, time, revision?}``. All or nothing.

    The answer comes when all of them are on disk: what is acknowledged is kept. Sending the same again is harmless.
    """
    body = await _body(request)

    def keep() -> int:
        return wired.operations.ingest(parse_ndjson(body, model=model))

    return {"schema": "seatrial.accepted.v1", "accepted": await run_in_threadpool(keep)}


@router.post("/replay/advance")
def advance(body: Advance, wired: Wired) -> dict[str, Any]:
    """Replay projects: move the stored clock once everything sent so far is captured, and take the looks due."""
    return {"schema": "seatrial.advanced.v1", **wired.operations.advance(body.to)}


async def _body(request: Request) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY:
            raise UsageError("ST0848", f"outcomes: the body is above {MAX_BODY >> 20} MiB.", remedy="Send it in parts.")
        parts.append(part)
    return b"".join(parts)
