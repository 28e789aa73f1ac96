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


class PromptHttp(HttpToolsProtocol):
    """uvicorn's protocol with a limit on the head of each request, in time and in size."""

    head_s = HEAD_S

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self._waiting: asyncio.TimerHandle | None = None
        self._head = 0

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

    def _begin(self) -> None:
        self._head = 0
        self._waiting = self.loop.call_later(self.head_s, self.transport.abort)

    def _end(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
