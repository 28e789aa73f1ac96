"""Who may call: a token on everything that changes something, and only from where this server is meant to be.

Host and Origin are checked because a page in the user's own browser can reach loopback: by a name that is re-bound to
127.0.0.1, or by a form that posts here.
"""

from __future__ import annotations

import ipaddress
import re
from secrets import compare_digest
from urllib.parse import urlsplit

from fastapi import Request
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from seatrial.api.errors import refusal

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
ACTOR_HEADER = "x-seatrial-actor"
_ACTOR = re.compile(r"[A-Za-z0-9._@+-]{1,64}")


class Guard:
    """ASGI middleware before all routes: a route cannot forget to ask. ``hosts``: names this server answers to."""

    def __init__(self, app: ASGIApp, *, token: str, hosts: frozenset[str] = frozenset()) -> None:
        self._app, self._token, self._hosts = app, token.encode(), hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (refused := self._refuse(scope["method"], Headers(scope=scope))):
            await refused(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _refuse(self, method: str, headers: Headers) -> JSONResponse | None:
        host = headers.get("host", "")
        if not self._is_ours(host):
            return refusal(
                403, "ST0843", f"this server does not answer to the name {host!r}.", "Set api.host in seatrial.yaml."
            )
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return refusal(403, "ST0844", f"pages of {origin} may not call this server.")
        if method not in SAFE_METHODS and not self._has_token(headers.get("authorization", "")):
            return refusal(
                401,
                "ST0845",
                "this call changes something and needs the token.",
                "Send 'Authorization: Bearer TOKEN' with the content of .seatrial/run/token.",
                **{"www-authenticate": "Bearer"},
            )
        return None

    def _is_ours(self, host: str) -> bool:
        name = (_hostname(host) or "").lower()
        return name in self._hosts or name == "localhost" or _is_loopback(name)

    def _has_token(self, authorization: str) -> bool:
        scheme, _, given = authorization.partition(" ")
        return scheme.lower() == "bearer" and compare_digest(given.strip().encode(), self._token)


def actor(request: Request) -> str:
    """Who the caller says it is; whoever has the token is trusted with that."""
    named = request.headers.get(ACTOR_HEADER, "")
    return named if _ACTOR.fullmatch(named) else "api"


def _hostname(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
