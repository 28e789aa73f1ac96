"""HTTP/1.1 as the server speaks it: the head of a request comes soon and is not large, or the connection is closed.

uvicorn bounds the time between two requests only. A client that sends one byte of a header every second would hold its
connection for ever, and headers without end would fill the memory.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_S: Final = 10.0
HEAD_BYTES: Final = 64 * 1024
UNREAD_BYTES: Final = 64 << 20
"""Of a body that was answered before its end so much is read and dropped, for the client to get to the answer."""


class PromptHttp(HttpToolsProtocol):
    """uvicorn's protocol with limits on the head of each request, and on a body that nobody wants any more."""

    head_s = HEAD_S

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self._waiting: asyncio.TimerHandle | None = None
        self._head = self._unread = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._begin()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._waiting is not None and self._head > HEAD_BYTES:
            self.transport.abort()
            return
        self._head += len(data)
        super().data_received(data)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._waiting is None:
            self._begin()

    def on_headers_complete(self) -> None:
        self._end()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        if self.cycle.response_complete:
            self._unread += len(body)
            if self._unread > UNREAD_BYTES:
                self.transport.abort()

    def _begin(self) -> None:
        self._head = self._unread = 0
        self._waiting = self.loop.call_later(self.head_s, self.transport.abort)

    def _end(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
