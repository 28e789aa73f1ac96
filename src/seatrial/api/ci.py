"""ML CI: what runs found, and what keeps a version from being released."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter

from seatrial.api.bodies import CIRun
from seatrial.api.deps import Operator, Wired
from seatrial.ci.results import run_document
from seatrial.control import quality

router = APIRouter(prefix="/v1/ci", tags=["ci"])


@router.get("/runs")
def list_runs(wired: Wired, model: str | None = None) -> dict[str, Any]:
    """Oldest first; of one model, or of all."""
    with wired.store.read() as tx:
        return quality.runs_document(tx, model)


@router.get("/runs/{run}")
def show_run(run: str, wired: Wired) -> dict[str, Any]:
    with wired.store.read() as tx:
        found: dict[str, Any] = json.loads(tx.ci_runs.get(run))
        return found


@router.post("/runs", status_code=201)
def record(body: CIRun, wired: Wired, caller: Operator) -> dict[str, Any]:
    """Keep what a run found. It is held against the version as it is registered here."""
    return run_document(wired.operations.record_ci(body.run(), actor=caller.name))


@router.get("/green/{model}/{version}")
def green(model: str, version: int, wired: Wired) -> dict[str, Any]:
    """What a version still needs to be released."""
    with wired.store.read() as tx:
        return quality.green_document(tx, wired.project, model, version, wired.operations.clock.now())
