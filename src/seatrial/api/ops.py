"""What operations need: health, metrics, the audit log, schemas."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from seatrial import __version__
from seatrial.api.deps import Wired
from seatrial.api.metrics import CONTENT_TYPE, scrape
from seatrial.control.anchoring.checking import checked
from seatrial.control.documents import catalog, views
from seatrial.control.way_home.emergency import observed_weights
from seatrial.errors import SeatrialError
from seatrial.gateway.kill import read_latches
from seatrial.store.plans import plan_schema

router = APIRouter(tags=["operations"])


@router.get("/healthz")
def healthz(wired: Wired) -> dict[str, Any]:
    """This process answers; ``instance`` tells one project directory from another."""
    return {
        "schema": "seatrial.health.v1",
        "status": "ok",
        "project": wired.project.config.project,
        "instance": catalog.instance(wired.project),
        "version": __version__,
    }


@router.get("/readyz", responses={503: {"model": dict[str, str], "description": "What is missing."}})
def readyz(wired: Wired) -> JSONResponse:
    """Store, gateway and hosts are there: 200, else 503 with what is missing."""
    missing = wired.ready()
    if not missing:
        try:
            with wired.store.read():
                pass
        except SeatrialError as error:
            missing = error.message
    document = {"schema": "seatrial.ready.v1", "status": "starting" if missing else "ready", "missing": missing}
    return JSONResponse(document, 503 if missing else 200)


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(wired: Wired) -> Response:
    killed = {latch.model for latch in read_latches(wired.project.kill_latches)}
    return Response(scrape(wired.store, killed, observed_weights(wired.project)), media_type=CONTENT_TYPE)


@router.get("/v1/audit")
def audit(wired: Wired, limit: Annotated[int, Query(ge=1, le=10_000)] = 50) -> dict[str, Any]:
    with wired.store.read() as tx:
        return catalog.audit(tx, limit)


@router.get("/v1/audit/verify")
def verify(wired: Wired) -> dict[str, Any]:
    """The whole chain, held against the files of anchors in seatrial.yaml."""
    with wired.store.read() as tx:
        return views.audit_report_document(checked(tx, wired.project))


@router.get("/v1/schema/plan")
def schema() -> dict[str, Any]:
    return plan_schema()
