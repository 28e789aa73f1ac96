"""Who may call: a token or a session, a role for what changes something, and a place this server is meant to be at.

Host and Origin are checked because a page in the user's own browser can reach loopback: by a name that is re-bound to
127.0.0.1, or by a form that posts here.
"""

from __future__ import annotations

import ipaddress
import re
from datetime import UTC, datetime
from secrets import compare_digest
from typing import Annotated
from urllib.parse import quote, urlsplit

from fastapi import Depends, Request
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from seatrial.api.credentials import Credentials, Principal
from seatrial.api.errors import Forbidden, Unauthenticated, answer
from seatrial.api.forms import field_of_form
from seatrial.api.sessions import Sessions
from seatrial.errors import SeatrialError
from seatrial.registry.people import Role

__all__ = ["ACTOR_HEADER", "CSRF_FIELD", "CSRF_HEADER", "LOGIN", "Caller", "Guard", "Needs", "Principal", "require"]

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
ACTOR_HEADER = "x-seatrial-actor"
CSRF_HEADER = "x-csrf-token"
CSRF_FIELD = "csrf"
LOGIN = "/login"
_FOR_ALL = frozenset({LOGIN, "/healthz", "/readyz", "/palette.css"})
_STATIC = "/static/"
_ACTOR = re.compile(r"[A-Za-z0-9._@+-]{1,64}")


class Guard:
    """ASGI middleware before all routes: a route cannot forget to ask who calls.

    ``hosts``: names this server answers to. ``open_reads``: whether reading needs nothing. What a caller may do is
    asked by the routes (``require``).
    """

    def __init__(
        self, app: ASGIApp, *, credentials: Credentials, sessions: Sessions, hosts: frozenset[str], open_reads: bool
    ) -> None:
        self._app, self._credentials, self._sessions = app, credentials, sessions
        self._hosts, self._open_reads = frozenset(map(str.lower, hosts)), open_reads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            self._check_place(headers)
            receive = await self._admit(scope, headers, receive)
        except SeatrialError as error:
            await self._refused(error, scope, headers)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _check_place(self, headers: Headers) -> None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._is_ours(hosts[0]):
            named = hosts[0] if hosts else ""
            raise Forbidden(
                "ST0843",
                f"this server does not answer to the name {named!r}.",
                remedy="Add the name to api.names in seatrial.yaml.",
            )
        for origin in headers.getlist("origin"):
            if not _same_place(origin, hosts[0]):
                raise Forbidden("ST0844", f"pages of {origin!r} may not call this server.")

    async def _admit(self, scope: Scope, headers: Headers, receive: Receive) -> Receive:
        """Find out who calls and note it in the scope. Raises Unauthenticated, Forbidden."""
        now, changes = datetime.now(UTC), scope["method"] not in SAFE_METHODS
        caller, cookie = None, ""
        if "authorization" in headers:
            caller = await self._of_token(headers, now)
        elif cookie := _cookie(headers, self._sessions.cookie):
            caller = await run_in_threadpool(self._sessions.read, cookie, now)
        scope.setdefault("state", {})["principal"] = caller
        if scope["path"] in _FOR_ALL or scope["path"].startswith(_STATIC):
            return receive
        if caller is None and (changes or not self._open_reads):
            raise Unauthenticated.without_token("changes something" if changes else "reads")
        if caller is not None and not changes and not self._open_reads and not caller.may(Role.VIEWER):
            raise Forbidden.below(caller.name, caller.role, Role.VIEWER)
        return receive if not (cookie and changes) else await self._check_csrf(cookie, headers, receive)

    async def _of_token(self, headers: Headers, now: datetime) -> Principal:
        scheme, _, token = headers["authorization"].partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Unauthenticated.without_token("was sent with something else as authorization")
        named = headers.get(ACTOR_HEADER, "")
        named = named if _ACTOR.fullmatch(named) else ""
        caller = await run_in_threadpool(self._credentials.of_token, token.strip(), named, now)
        if caller is None:
            raise Unauthenticated(
                "ST0855",
                "the token is not valid here: it was never granted, was revoked, or has run out.",
                remedy="An admin grants another one: `seatrial access grant NAME --role ROLE`.",
            )
        return caller

    async def _check_csrf(self, cookie: str, headers: Headers, receive: Receive) -> Receive:
        """A page of this server says so with every change; its forms do it in a field."""
        given = headers.get(CSRF_HEADER)
        if given is None:
            given, receive = await field_of_form(CSRF_FIELD, headers, receive)
        if not compare_digest(given.encode(), self._sessions.csrf(cookie).encode()):
            raise Forbidden(
                "ST0857",
                "this change does not come from a page of this session.",
                remedy="Load the page again and repeat it there.",
            )
        return receive

    def _refused(self, error: SeatrialError, scope: Scope, headers: Headers) -> Response:
        """As JSON; a browser that is to show a page is sent to the login instead."""
        form = scope["method"] == "POST" and not scope["path"].startswith("/v1/")
        wants_page = (form or scope["method"] == "GET") and "text/html" in headers.get("accept", "")
        if wants_page and isinstance(error, Unauthenticated):
            return RedirectResponse(f"{LOGIN}?next={quote(scope['path'])}", 303)
        return answer(error)

    def _is_ours(self, host: str) -> bool:
        name = (_hostname(host) or "").lower()
        return name in self._hosts or name == "localhost" or _is_loopback(name)


class Needs(SecurityBase):
    """A dependency: the caller, if their role includes the one that is needed."""

    def __init__(self, role: Role) -> None:
        self.role = role
        self.model = HTTPBearer(description="The project's token, or one of `seatrial access grant`.")
        self.scheme_name = "token"

    def __call__(self, request: Request) -> Principal:
        caller = principal_of(request)
        if caller is None:
            raise Unauthenticated.without_token(f"needs the role {self.role}")
        if not caller.may(self.role):
            raise Forbidden.below(caller.name, caller.role, self.role)
        return caller


def require(role: Role) -> Needs:
    """``Annotated[Principal, Depends(require(Role.OPERATOR))]``."""
    return Needs(role)


def principal_of(request: Request) -> Principal | None:
    """Who calls; None where nobody had to say."""
    found: Principal | None = request.state.principal
    return found


Caller = Annotated[Principal | None, Depends(principal_of)]


def _cookie(headers: Headers, name: str) -> str:
    return cookie_parser("; ".join(headers.getlist("cookie"))).get(name, "")


def _same_place(origin: str, host: str) -> bool:
    """Whether a page's origin is the place it calls: scheme aside, because TLS may end before this server."""
    return origin.lower() in (f"http://{host}".lower(), f"https://{host}".lower())


def _hostname(host: str) -> str | None:
    """The name in a Host header; None for what is not one."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port  # raises where it is no number
    except ValueError:
        return None
    return parts.hostname if parts.netloc == host and "@" not in host else None


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
