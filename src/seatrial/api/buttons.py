"""What a person can do from a page: each button with its role, what it will do in words, and a reason that is required.

Every button leads to a page that says what will happen and asks why; only its form does it.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from starlette.concurrency import run_in_threadpool

from seatrial.api.deps import services
from seatrial.api.errors import Forbidden, Unauthenticated, status_of
from seatrial.api.forms import form_fields
from seatrial.api.html import PageRoute, Visitor, page, visitor_of
from seatrial.control.documents import catalog
from seatrial.control.documents.views import Document
from seatrial.control.operations import Operations
from seatrial.errors import Conflict, NotFound, SeatrialError, UsageError
from seatrial.registry.people import Role

Fields = Mapping[str, str]
DONE: Final = {
    "pause": "paused",
    "resume": "resumed",
    "abort": "aborted",
    "promote": "promoted",
    "hold": "released from its stage",
}
MAX_REASON: Final = 500

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Button:
    """One thing to do to a rollout or a model, and where its form is."""

    verb: str
    label: str
    target: str
    what: str
    danger: bool = False

    @property
    def action(self) -> str:
        return f"{self.target}/{self.verb}"


ROLES: Final = {
    "pause": Role.OPERATOR,
    "resume": Role.OPERATOR,
    "promote": Role.APPROVER,
    "abort": Role.OPERATOR,
    "rollback": Role.OPERATOR,
    "kill": Role.OPERATOR,
    "revive": Role.APPROVER,
}
"""The same as the API's own routes ask for."""


def rollout_buttons(r: Document, visitor: Visitor | None) -> list[Button]:
    """What this visitor may do to a rollout now."""
    if not r["active"]:
        return []
    target, name, home = f"/rollouts/{quote(r['id'])}", f"{r['model']} v{r['candidate']}", f"v{r['champion']}"
    paused = r["status"] == "paused"
    buttons = [
        Button("resume", "Resume", target, f"{r['id']} goes on: the next look decides again.")
        if paused
        else Button("pause", "Pause", target, f"{r['id']} stays at {r['step']['name']}; harm still brings it home."),
        Button("promote", "Promote …", target, f"{name} is released from a stage that ends by hand."),
        Button("abort", "Abort", target, f"{name} leaves traffic; everybody is on {home}. {r['id']} is over.", True),
    ]
    return _allowed(buttons, visitor)


def model_buttons(m: Document, visitor: Visitor | None) -> list[Button]:
    """What this visitor may do to a model now."""
    target, name = f"/models/{quote(m['name'])}", m["name"]
    previous, champion = m["pointers"]["previous"], m["pointers"]["champion"]
    if m["killed"]:
        return _allowed([Button("revive", "Revive", target, f"v{champion} serves {name} again.")], visitor)
    buttons = []
    if m["rollout"] is not None:
        back = f"The candidate leaves traffic; everybody is on v{champion}. {m['rollout']} is over."
        buttons.append(Button("rollback", "Roll back", target, back, True))
    elif previous is not None:
        back = f"v{previous} becomes the champion of {name} again; v{champion} is archived, and that is final."
        buttons.append(Button("rollback", "Roll back", target, back, True))
    if champion is not None:
        stop = f"{name} is taken out at once and stays out until it is revived. A rollout under way is over."
        buttons.append(Button("kill", "Kill", target, stop, True))
    return _allowed(buttons, visitor)


def _allowed(buttons: list[Button], visitor: Visitor | None) -> list[Button]:
    return [b for b in buttons if visitor is not None and visitor.principal.may(ROLES[b.verb])]


# ── what was done, to be read on the next page ─────────────────────────────────────────────────────────────────────


class Notes:
    """Lines for the page that follows a form. An address names one by a number nobody can guess, so nobody can make
    a page say something."""

    def __init__(self, kept: int = 200) -> None:
        self._kept = kept
        self._lines: OrderedDict[str, str] = OrderedDict()

    def leave(self, line: str) -> str:
        key = secrets.token_urlsafe(9)
        self._lines[key] = line
        while len(self._lines) > self._kept:
            self._lines.popitem(last=False)
        return key

    def find(self, key: str | None) -> str:
        return self._lines.get(key or "", "")


# ── forms ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@router.get("/rollouts/{name}/{verb}")
def ask_rollout(request: Request, name: str, verb: str) -> Response:
    """The form of one button."""
    button, document = _of_rollout(request, name, verb)
    return _form(request, button, document["model"], {})


@router.get("/models/{name}/{verb}")
def ask_model(request: Request, name: str, verb: str) -> Response:
    """The form of one button."""
    button, _ = _of_model(request, name, verb)
    return _form(request, button, name, {})


@router.post("/rollouts/{name}/{verb}")
async def act_on_rollout(request: Request, name: str, verb: Any) -> Response:
    """Do it; what went wrong comes back with the form."""
    given = await fields_of(request)

    def act(button: Button, document: Document, actor: str, operations: Operations) -> str:
        decision = operations.by_hand(
            document["id"], verb, full=given.get("full") == "yes", reason=_reason(button, given), actor=actor
        )
        return f"{document['id']} was {DONE[decision.action]} by {actor}: {decision.reason}"

    return await run_in_threadpool(_act, request, name, verb, given, _of_rollout, act)


@router.post("/models/{name}/{verb}")
async def act_on_model(request: Request, name: str, verb: str) -> Response:
    """Do it; what went wrong comes back with the form."""
    given = await fields_of(request)

    def act(button: Button, document: Document, actor: str, operations: Operations) -> str:
        reason = _reason(button, given)
        if verb == "kill":
            mode: Any = given.get("mode", "previous")
            return operations.kill(name, mode=mode, reason=reason, actor=actor).text
        if verb == "revive":
            return operations.revive(name, reason=reason, actor=actor).text
        return operations.rollback(name, reason=reason, actor=actor).text

    return await run_in_threadpool(_act, request, name, verb, given, _of_model, act)


Find = Callable[[Request, str, str], tuple[Button, Document]]
Act = Callable[[Button, Document, str, Operations], str]


def _act(request: Request, name: str, verb: str, given: Fields, find: Find, act: Act) -> Response:
    button, document = find(request, name, verb)
    visitor = visitor_of(request)
    assert visitor is not None, "the button was found for this visitor"
    try:
        line = act(button, document, visitor.principal.name, services(request).operations)
    except SeatrialError as error:
        return _form(request, button, document.get("model", name), given, error)
    return RedirectResponse(f"{button.target}?note={request.app.state.notes.leave(line)}", 303)


def _form(request: Request, button: Button, model: str, given: Fields, error: SeatrialError | None = None) -> Response:
    status = 200 if error is None else status_of(error)
    return page(request, "confirm.html", status, button=button, model=model, given=given, error=error)


def _of_rollout(request: Request, name: str, verb: str) -> tuple[Button, Document]:
    document = request.app.state.desk.releases.read(name).rollout
    if verb not in ("pause", "resume", "promote", "abort"):
        raise NotFound("ST0851", f"there is no page '{request.url.path}'.")
    _check_role(request, verb)
    buttons = rollout_buttons(document, visitor_of(request))
    return _pick(buttons, verb, f"{document['id']} is {document['status']}"), document


def _of_model(request: Request, name: str, verb: str) -> tuple[Button, Document]:
    wired = services(request)
    with wired.store.read() as tx:
        document = catalog.model(tx, wired.project, name)
    if verb not in ("rollback", "kill", "revive"):
        raise NotFound("ST0851", f"there is no page '{request.url.path}'.")
    _check_role(request, verb)
    state = "is killed" if document["killed"] else "is not killed"
    return _pick(model_buttons(document, visitor_of(request)), verb, f"model '{name}' {state}"), document


def _check_role(request: Request, verb: str) -> None:
    """Before anything is said of the object: who may not do this anyway is told that."""
    visitor = visitor_of(request)
    if visitor is None:
        raise Unauthenticated("ST0853", f"to {verb} something needs a session.", remedy="Log in first: /login.")
    if not visitor.principal.may(ROLES[verb]):
        raise Forbidden.below(visitor.principal.name, visitor.principal.role, ROLES[verb])


def _pick(buttons: list[Button], verb: str, state: str) -> Button:
    found = next((button for button in buttons if button.verb == verb), None)
    if found is None:
        raise Conflict("ST0854", f"{state}: there is nothing to {verb}.", remedy="Somebody else may have been faster.")
    return found


def _reason(button: Button, given: Fields) -> str:
    reason = " ".join(given.get("reason", "").split())
    if not reason or len(reason) > MAX_REASON:
        raise UsageError(
            "ST0850",
            f"{button.verb}: a reason of 1 to {MAX_REASON} characters is needed.",
            remedy="It is kept in the audit log.",
        )
    return reason


async def fields_of(request: Request) -> dict[str, str]:
    """The fields of a posted form, the first of each name."""
    return form_fields(await request.body())
