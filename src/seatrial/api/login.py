"""In with a token, out with a button. The token is shown once; what the browser keeps is a session."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from starlette.concurrency import run_in_threadpool

from seatrial.api.buttons import fields_of
from seatrial.api.html import PageRoute, page

_HERE = re.compile(r"/(?![/\\])[\w/.?=&%+-]*")
_NAME = re.compile(r"[A-Za-z0-9._@+-]{1,64}")
REFUSED = "The token is not valid here: it was never granted, was revoked, or has run out."
MISNAMED = "A name is 1 to 64 letters, digits and . _ @ + - (an e-mail address will do)."

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/login")
def ask(request: Request, next: str = "/") -> Response:
    return page(request, "login.html", next=_here(next), error="", name="")


@router.post("/login")
async def log_in(request: Request) -> Response:
    """A wrong token is answered by the form; nothing is said of why it is wrong."""
    given = await fields_of(request)
    back, name, now = _here(given.get("next", "/")), given.get("name", "").strip(), datetime.now(UTC)
    if name and not _NAME.fullmatch(name):
        return page(request, "login.html", 422, next=back, error=MISNAMED, name=name)
    credentials, sessions = request.app.state.credentials, request.app.state.sessions
    principal = await run_in_threadpool(credentials.of_token, given.get("token", "").strip(), name, now)
    if principal is None:
        return page(request, "login.html", 401, next=back, error=REFUSED, name=name)
    response = RedirectResponse(back, 303)
    sessions.set(response, sessions.issue(principal, now), https=request.url.scheme == "https")
    return response


@router.post("/logout")
def log_out(request: Request) -> Response:
    response = RedirectResponse("/", 303)
    request.app.state.sessions.clear(response, https=request.url.scheme == "https")
    return response


def _here(path: str) -> str:
    """A page of this server, or the front page: a link must not lead elsewhere by way of the login."""
    return path if _HERE.fullmatch(path) else "/"
