"""How large a request may be, and how slow: neither fills the memory, nor holds a connection for ever."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from seatrial.api.errors import TooLarge, TooSlow, answer

BODY: Final = 1 << 20
LARGER: Final = {"/v1/outcomes": 64 << 20}
"""Bytes of a body, by path where it is not the usual limit."""

SILENCE_S: Final = 30.0
"""A client that is sending a body says something at least this often."""


class Limits:
    """ASGI middleware, outermost. A declared length is refused at once; an undeclared one is counted as it comes."""

    def __init__(self, app: ASGIApp, silence_s: float = SILENCE_S) -> None:
        self._app, self._silence_s = app, silence_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = LARGER.get(scope["path"], BODY)
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared) > limit:
            await answer(TooLarge.above(limit))(scope, receive, send)
            return
        await self._app(scope, self._counted(receive, limit), send)

    def _counted(self, receive: Receive, limit: int) -> Receive:
        size, whole = 0, False

        async def counted() -> Message:
            nonlocal size, whole
            if whole:  # what follows is the client's leaving, which a stream of events waits for
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), self._silence_s)
            except TimeoutError:
                raise TooSlow.after(self._silence_s) from None
            size += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if size > limit:
                raise TooLarge.above(limit)
            return message

        return counted
