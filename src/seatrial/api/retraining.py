"""Retraining: policies, what they measured and did, runs; requests for a run, by people and by webhooks; its page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from fastapi import APIRouter, Query, Request, Response

from seatrial.api.deps import Admin, Operator, Wired, services
from seatrial.api.html import PageRoute, page
from seatrial.control.retraining import documents
from seatrial.control.retraining.desk import RetrainingDesk
from seatrial.errors import NotFound
from seatrial.values import to_camel

router = APIRouter(prefix="/v1/retraining", tags=["retraining"])
pages = APIRouter(route_class=PageRoute, include_in_schema=False)

PICTURE = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}

_CONFIG: dict[str, Any] = {"extra": "forbid", "alias_generator": to_camel, "populate_by_name": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyText:
    """A policy as YAML (or JSON, which is YAML)."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """``trigger``: the manual one that is meant; the policy's first, unless given."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    trigger: str | None = None


@router.get("")
def status(wired: Wired, model: str | None = None) -> dict[str, Any]:
    """How every model with a policy stands, or one model."""
    with wired.store.read() as tx:
        return documents.status_document(tx, wired.operations.clock.now(), model)


@router.get("/policies")
def list_policies(wired: Wired) -> dict[str, Any]:
    with wired.store.read() as tx:
        return documents.policies_document(tx)


@router.get("/policies/{model}")
def show_policy(model: str, wired: Wired) -> dict[str, Any]:
    with wired.store.read() as tx:
        return documents.policy_document(tx, model)


@router.put("/policies/{model}")
def set_policy(model: str, body: PolicyText, wired: Wired, caller: Admin) -> dict[str, Any]:
    """Put a policy in force. Its command runs with this server's rights, so this takes an admin."""
    return RetrainingDesk(wired.operations).set(body.text, model=model, actor=caller.name)


@router.get("/policies/{model}/test")
def test_policy(model: str, wired: Wired) -> dict[str, Any]:
    """What is measured now, and what the manager would do about it. Nothing is changed."""
    return RetrainingDesk(wired.operations).test(model)


@router.get("/timeline/{model}")
def show_timeline(model: str, wired: Wired) -> dict[str, Any]:
    """Triggers, runs and rollouts of a model, in order of time."""
    with wired.store.read() as tx:
        return documents.timeline(tx, model)


@router.get("/runs")
def list_runs(wired: Wired, model: str | None = None) -> dict[str, Any]:
    """Oldest first; of one model, or of all."""
    with wired.store.read() as tx:
        return documents.runs_document(tx, model)


@router.get("/runs/{run}")
def show_run(run: str, wired: Wired) -> dict[str, Any]:
    with wired.store.read() as tx:
        return documents.run_document(tx.training.run(run))


@router.get("/runs/{run}/log")
def show_log(run: str, wired: Wired, last: Annotated[int | None, Query(ge=1, le=100_000)] = None) -> dict[str, Any]:
    """What the command printed."""
    return RetrainingDesk(wired.operations).log(run, last=last)


@router.post("/runs/{run}/cancel")
def cancel(run: str, wired: Wired, caller: Operator) -> dict[str, Any]:
    """End a run, with everything its command began."""
    return RetrainingDesk(wired.operations).cancel(run, actor=caller.name)


@router.post("/models/{model}/run", status_code=202)
def ask(model: str, body: Asked, wired: Wired, caller: Operator) -> dict[str, Any]:
    """Ask for a run by hand. Twice before it begins is once."""
    return RetrainingDesk(wired.operations).ask(model, body.trigger, actor=caller.name)


@router.post("/models/{model}/webhooks/{trigger}", status_code=202)
def webhook(model: str, trigger: str, wired: Wired, caller: Operator) -> dict[str, Any]:
    """A program asks for a run: no body is read, the caller is known by its token."""
    return RetrainingDesk(wired.operations).ask(model, trigger, actor=caller.name)


@pages.get("/retraining")
def board(request: Request) -> Response:
    """How every model with a policy stands."""
    return _page(request, None)


@pages.get("/retraining/{model}")
def one(request: Request, model: str) -> Response:
    """The same, with the timeline of one model."""
    return _page(request, model)


@pages.get("/retraining/{model}/timeline.svg")
def picture(request: Request, model: str) -> Response:
    from seatrial.charts.retraining import retraining_chart
    from seatrial.charts.save import to_page_svg

    with services(request).store.read() as tx:
        told = documents.timeline(tx, model)
    drawn = retraining_chart(told["entries"], model)
    if drawn is None:
        raise NotFound("ST1309", f"nothing has happened to '{model}' yet: there is no picture.")
    return Response(to_page_svg(drawn), media_type="image/svg+xml", headers=PICTURE)


def _page(request: Request, model: str | None) -> Response:
    wired = services(request)
    with wired.store.read() as tx:
        stands = documents.status_document(tx, wired.operations.clock.now())["models"]
        told = None if model is None else documents.timeline(tx, model)
    return page(request, "retraining.html", models=stands, told=told)
