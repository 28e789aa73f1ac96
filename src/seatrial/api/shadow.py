"""What a shadow answered beside the champion, and what both had seen: as documents, and as a page."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from seatrial.api.deps import Wired
from seatrial.api.html import PageRoute
from seatrial.control.analyses.inputs import rollout_inputs
from seatrial.control.analyses.shadow import Options, ShadowReport, rollout_report
from seatrial.control.documents import shadow_page
from seatrial.rollout.plan import ServingDecision

router = APIRouter(prefix="/v1/rollouts", tags=["rollouts"])
pages = APIRouter(route_class=PageRoute, include_in_schema=False)

ALONE = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'", "cache-control": "no-store"}
"""The report brings its own style, runs nothing and asks for nothing."""


@router.get("/{rollout}/shadow")
def report(
    rollout: str,
    wired: Wired,
    threshold: Annotated[
        float | None, Query(allow_inf_nan=False, description="From here on a score means the other decision.")
    ] = None,
    above: str = "above",
    below: str = "below",
    min_pairs: Annotated[int | None, Query(alias="minPairs", ge=1)] = None,
    cost_per_day: Annotated[float | None, Query(alias="costPerDay", ge=0, allow_inf_nan=False)] = None,
) -> dict[str, Any]:
    """How alike champion and shadow answered, over all and by segment: agreement, not quality."""
    decision = None if threshold is None else ServingDecision(threshold=threshold, above=above, below=below)
    return _report(rollout, wired, Options(decision=decision, min_pairs=min_pairs, cost_per_day=cost_per_day)).document


@router.get("/{rollout}/inputs")
def inputs(rollout: str, wired: Wired) -> dict[str, Any]:
    """Whether champion and shadow saw the same: the features that both said they used."""
    with wired.store.read() as tx:
        return rollout_inputs(wired.project, tx, rollout)


@pages.get("/shadows/{name}")
def report_page(name: str, request: Request) -> HTMLResponse:
    """The report as `seatrial shadow report --html` writes it."""
    found = _report(name, request.app.state.services, Options())
    return HTMLResponse(shadow_page.render(found), headers=ALONE)


def _report(name: str, wired: Wired, options: Options) -> ShadowReport:
    with wired.store.read() as tx:
        return rollout_report(wired.project, tx, name, options)
