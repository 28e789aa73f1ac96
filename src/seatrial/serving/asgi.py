"""The little of ASGI that a host needs. It sits in front of every prediction, so there is no framework in between."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

Headers = list[tuple[bytes, bytes]]
Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

JSON_TYPE = (b"content-type", b"application/json")

_NO_BODY = frozenset({204, 304})


class Disconnected(Exception):
    """The client went away before its request was read."""


class TooLarge(Exception):
    """The request body is larger than the host reads."""


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request, read completely. Header names are lower case."""

    method: str
    path: str
    raw_target: bytes
    headers: Headers
    body: bytes

    def header(self, name: bytes) -> str | None:
        return next((value.decode("latin-1") for key, value in self.headers if key == name), None)


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP response; ``stream`` instead of ``body`` for what is passed on as it comes.

    A stream that fails, or whose client has gone, is closed.
    """

    status: int
    body: bytes = b""
    headers: Iterable[tuple[bytes, bytes]] = (JSON_TYPE,)
    stream: AsyncGenerator[bytes, None] | None = None


def reply_json(status: int, document: object, headers: Iterable[tuple[bytes, bytes]] = ()) -> Reply:
    return Reply(status, json.dumps(document, separators=(",", ":")).encode(), (JSON_TYPE, *headers))


def reply_error(status: int, message: str) -> Reply:
    return reply_json(status, {"error": message})


async def read_call(scope: Scope, receive: Receive, limit: int) -> Call:
    """Raises ``TooLarge`` and ``Disconnected``."""
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > limit:
            raise TooLarge
        more = message.get("more_body", False)
    target = scope.get("raw_path") or scope["path"].encode()
    if scope["query_string"]:
        target += b"?" + scope["query_string"]
    return Call(scope["method"], scope["path"], target, scope["headers"], b"".join(chunks))


async def send_reply(send: Send, receive: Receive, reply: Reply, extra: Headers) -> None:
    headers = [*reply.headers, *extra]
    if reply.stream is None and reply.status not in _NO_BODY:
        headers.append((b"content-length", str(len(reply.body)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    if reply.stream is not None and not await _passed_on(send, receive, reply.stream):
        return  # the server closes the connection, and so the client learns that this is not all
    await send({"type": "http.response.body", "body": reply.body})


async def _passed_on(send: Send, receive: Receive, stream: AsyncGenerator[bytes, None]) -> bool:
    """Whether all of the stream was passed on. A client that goes ends it: what nobody reads is not asked for."""
    going = asyncio.ensure_future(receive())  # the request was read completely, so this comes when the client goes
    passing = asyncio.ensure_future(_pass(send, stream))
    try:
        await asyncio.wait((going, passing), return_when=asyncio.FIRST_COMPLETED)
        return passing.done() and passing.exception() is None
    finally:
        for task in (going, passing):
            task.cancel()
        await asyncio.gather(going, passing, return_exceptions=True)
        await stream.aclose()


async def _pass(send: Send, stream: AsyncGenerator[bytes, None]) -> None:
    async for chunk in stream:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
