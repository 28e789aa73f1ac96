"""What interventions have in common, for those who watch over releases."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from seatrial.api.deps import Wired
from seatrial.control.analyses.incidents import analyse
from seatrial.control.analyses.span import since_of, span_of

router = APIRouter(prefix="/v1/incident-analysis", tags=["incidents"])


@router.get("")
def analysis(
    wired: Wired,
    model: str | None = None,
    since: str = "30d",
    baseline: Annotated[float | None, Query(ge=0, le=1_000_000)] = None,
    window: str = "1h",
) -> dict[str, Any]:
    """Kills, rollbacks and aborts: common factors, rate against expectation, true or false, and what changed."""
    now = wired.operations.clock.now()
    return analyse(
        wired.project, wired.store, now=now, model=model, since=since_of(since, now, "since"), baseline=baseline,
        window=span_of(window, "window"),
    )  # fmt: skip
