"""Approvals of releases: asked for, reviewed, signed; as calls and as pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse
from starlette.concurrency import run_in_threadpool

from seatrial.api.deps import Approver, Operator, Services, Wired, services
from seatrial.api.errors import Forbidden, Unauthenticated, status_of
from seatrial.api.forms import form_fields
from seatrial.api.html import PageRoute, page, visitor_of
from seatrial.api.security import Principal
from seatrial.control.access import token_digest
from seatrial.control.approvals.case import Case
from seatrial.control.approvals.desk import Desk, Signer
from seatrial.control.approvals.documents import approval_document, approvals_document, stage_document
from seatrial.control.documents.views import Document
from seatrial.errors import NotFound, SeatrialError
from seatrial.governance.approvals.policy import MEANINGS, Meaning
from seatrial.registry.people import Role
from seatrial.store.plans import check_plan, plan_from_json, plan_of, plan_to_yaml
from seatrial.values import to_camel

_CONFIG: dict[str, Any] = {"extra": "forbid", "alias_generator": to_camel, "populate_by_name": True}

router = APIRouter(prefix="/v1/approvals", tags=["approvals"])
pages = APIRouter(route_class=PageRoute, include_in_schema=False)

ROLES: Final[Mapping[str, Role]] = {
    "approve": Role.APPROVER,
    "reject": Role.APPROVER,
    "withdraw": Role.OPERATOR,
    "emergency": Role.OPERATOR,
    "review": Role.APPROVER,
}
"""Of the forms; the calls below ask for the same."""

DONE: Final[Mapping[str, str]] = {
    "approve": "signed", "reject": "rejected", "withdraw": "taken back", "emergency": "let go in an emergency",
    "review": "reviewed",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """A version that somebody wants to release by ``plan`` (JSON Schema: ``/v1/schema/plan``)."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    model: str
    version: int
    plan: dict[str, Any]
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """``digest``: of the evidence that was reviewed, as the request shows it (its first 8 digits will do)."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    digest: str
    meaning: Meaning = "approval"
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejecting:
    """No, why, and to which evidence."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    digest: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """A reason, for the audit log."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    reason: str


def signer_of(caller: Principal, wired: Services) -> Signer:
    """Who signs. The project's own token believes any name, so what it signs is nobody's signature."""
    return Signer(caller.name, caller.role, own=caller.credential != token_digest(wired.project.token()))


@router.get("")
def list_approvals(wired: Wired, waiting: Annotated[bool, Query()] = False) -> dict[str, Any]:
    """Releases that were asked for and stages that ask, oldest first; with ``waiting`` those that wait for somebody."""
    with wired.store.read() as tx:
        return approvals_document(tx, wired.project, wired.operations.clock.now(), waiting=waiting)


@router.post("", status_code=201)
def ask(body: Asking, wired: Wired, caller: Operator) -> dict[str, Any]:
    """Ask for the approvals of a release; the same again is the same request."""
    plan = check_plan(plan_of(body.plan), override=body.reason)
    case = wired.operations.approvals.ask(body.model, body.version, plan, reason=body.reason, actor=caller.name)
    return approval_document(case)


@router.get("/{request}")
def show(request: str, wired: Wired) -> dict[str, Any]:
    """All that is reviewed, its digest, who signed, and what is missing."""
    return _document(request, wired)


@router.post("/{request}/approve")
def approve(request: str, body: Signing, wired: Wired, caller: Approver) -> dict[str, Any]:
    """One signature, by a token of one's own, on the evidence of this digest."""
    signer = signer_of(caller, wired)
    case = wired.operations.approvals.sign(
        request, signer, meaning=body.meaning, digest=body.digest, reason=body.reason
    )
    return approval_document(case)


@router.post("/{request}/reject")
def reject(request: str, body: Rejecting, wired: Wired, caller: Approver) -> dict[str, Any]:
    """No to this very evidence."""
    signer = signer_of(caller, wired)
    return approval_document(wired.operations.approvals.reject(request, signer, digest=body.digest, reason=body.reason))


@router.post("/{request}/withdraw")
def withdraw(request: str, body: Why, wired: Wired, caller: Operator) -> dict[str, Any]:
    """Take back one's own signature or rejection; as who asked, the request."""
    return approval_document(wired.operations.approvals.withdraw(request, signer_of(caller, wired), reason=body.reason))


@router.post("/{request}/emergency")
def emergency(request: str, body: Why, wired: Wired, caller: Operator) -> dict[str, Any]:
    """Let it begin without its approvals, for a limited time, by whom the policy names; reviewed afterwards."""
    signer = signer_of(caller, wired)
    return approval_document(wired.operations.approvals.break_glass(request, signer, reason=body.reason))


@router.post("/{request}/review")
def review(request: str, body: Why, wired: Wired, caller: Approver) -> dict[str, Any]:
    """What was found when an emergency was looked at afterwards."""
    return approval_document(wired.operations.approvals.review(request, signer_of(caller, wired), reason=body.reason))


def _document(request: str, wired: Services) -> Document:
    with wired.store.read() as tx:
        found = tx.approvals.get(request)
        if found.kind == "step":
            return stage_document(tx, found)
    return approval_document(wired.operations.approvals.show(request))


# ── pages ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pages.get("/approvals")
def board(request: Request) -> Response:
    """What waits for somebody first."""
    wired = services(request)
    with wired.store.read() as tx:
        found = approvals_document(tx, wired.project, wired.operations.clock.now())["approvals"]
    waits = [one for one in found if one["status"] in ("waiting", "rejected") or one["reviews"]]
    return page(request, "approvals.html", waiting=waits, others=[one for one in found if one not in waits][::-1])


@pages.get("/approvals/{name}")
def one(request: Request, name: str, note: str = "") -> Response:
    """What an approver sees: what changed, what CI found, the plan and its margins; and where they sign."""
    return _page(request, name, note_text=request.app.state.notes.find(note))


@pages.post("/approvals/{name}/{verb}")
async def act(request: Request, name: str, verb: str) -> Response:
    """Do it; what went wrong comes back with the form."""
    given = form_fields(await request.body())
    return await run_in_threadpool(_act, request, name, verb, given)


def _act(request: Request, name: str, verb: str, given: Mapping[str, str]) -> Response:
    if verb not in ROLES:
        raise NotFound("ST0851", f"there is no page '{request.url.path}'.")
    visitor = visitor_of(request)
    if visitor is None:
        raise Unauthenticated("ST0853", f"to {verb} something needs a session.", remedy="Log in first: /login.")
    if not visitor.principal.may(ROLES[verb]):
        raise Forbidden.below(visitor.principal.name, visitor.principal.role, ROLES[verb])
    wired = services(request)
    try:
        case = _do(wired.operations.approvals, verb, name, signer_of(visitor.principal, wired), given)
    except SeatrialError as error:
        return _page(request, name, error=error, given=given)
    line = f"{case.request.id} was {DONE[verb]} by {visitor.principal.name}"
    return RedirectResponse(f"/approvals/{quote(name)}?note={request.app.state.notes.leave(line)}", 303)


def _do(desk: Desk, verb: str, name: str, signer: Signer, given: Mapping[str, str]) -> Case:
    reason, digest = " ".join(given.get("reason", "").split()), given.get("digest", "")
    match verb:
        case "approve":
            meaning: Any = given.get("meaning", "approval")
            return desk.sign(name, signer, meaning=meaning, digest=digest, reason=reason)
        case "reject":
            return desk.reject(name, signer, digest=digest, reason=reason)
        case "withdraw":
            return desk.withdraw(name, signer, reason=reason)
        case "emergency":
            return desk.break_glass(name, signer, reason=reason)
    return desk.review(name, signer, reason=reason)


def _page(
    request: Request, name: str, *, note_text: str = "", error: SeatrialError | None = None,
    given: Mapping[str, str] | None = None,
) -> Response:  # fmt: skip
    wired = services(request)
    document = _document(name, wired)
    if document["kind"] == "step":
        return RedirectResponse(f"/rollouts/{quote(document['rollout'])}", 303)
    plan = plan_from_json(document["evidence"]["plan"]["plan"])
    visitor = visitor_of(request)
    may = frozenset() if visitor is None else {verb for verb, role in ROLES.items() if visitor.principal.may(role)}
    return page(
        request, "approval.html", 200 if error is None else status_of(error),
        a=document, plan_yaml=plan_to_yaml(plan), may=may, meanings=MEANINGS, given=given or {}, error=error,
        note_text=note_text, ended=document["status"] in ("released", "closed"),
    )  # fmt: skip
