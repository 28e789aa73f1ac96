"""What changed, told to every open page: one poller for all of them, and none while nobody listens.

A page is told *that* something changed (``rollouts/r-0003``, ``health``), not what: it asks for itself again. So there
is one way to draw a page, and one that slept through a change catches up by the same means.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping

from starlette.concurrency import run_in_threadpool

log = logging.getLogger("seatrial.api")

Marks = Mapping[str, object]
"""Topic → something that is different whenever what the topic is about is different."""

POLL_S = 0.5
SILENCE_S = 15.0
"""A page that hears nothing for longer than twice this takes the connection for dead."""


class Listener:
    """One open page: the topics it has not been told of yet."""

    def __init__(self) -> None:
        self._waiting = asyncio.Event()
        self._topics: set[str] = set()

    def tell(self, topics: set[str]) -> None:
        self._topics |= topics
        self._waiting.set()

    async def topics(self, timeout_s: float) -> set[str]:
        """Everything since the last time; empty when there was nothing for so long."""
        try:
            await asyncio.wait_for(self._waiting.wait(), timeout_s)
        except TimeoutError:
            return set()
        self._waiting.clear()
        told, self._topics = self._topics, set()
        return told


class Pulse:
    """Compares ``read()`` with what it was half a second ago, for all listeners at once."""

    def __init__(self, read: Callable[[], Marks], *, poll_s: float = POLL_S) -> None:
        self._read, self._poll_s = read, poll_s
        self._listeners: set[Listener] = set()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    async def stream(self) -> AsyncIterator[str]:
        """Server-sent events until the page goes away or the server does."""
        listener = self._join()
        try:
            yield "event: hello\ndata: {}\n\n"
            while not self._closed:
                topics = await listener.topics(SILENCE_S)
                if not self._closed:
                    yield f"event: {'changed' if topics else 'quiet'}\ndata: {json.dumps(sorted(topics))}\n\n"
        finally:
            self._leave(listener)

    def close(self) -> None:
        """End all streams: a server that ends does not wait for pages to be closed."""
        self._closed = True
        for listener in self._listeners:
            listener.tell(set())

    def _join(self) -> Listener:
        listener = Listener()
        self._listeners.add(listener)
        if self._task is None:
            self._task = asyncio.create_task(self._poll())
        return listener

    def _leave(self, listener: Listener) -> None:
        self._listeners.discard(listener)
        if not self._listeners and self._task is not None:
            self._task.cancel()
            self._task = None

    async def _poll(self) -> None:
        before: Marks | None = None
        while True:
            try:
                marks = await run_in_threadpool(self._read)
            except Exception:  # whatever it was, the pages are told again as soon as it is over
                log.exception("what changed cannot be read; the next round tries again")
            else:
                self._tell(set() if before is None else _differing(before, marks))
                before = marks
            await asyncio.sleep(self._poll_s)

    def _tell(self, topics: set[str]) -> None:
        if topics:
            for listener in self._listeners:
                listener.tell(topics)


def _differing(before: Marks, after: Marks) -> set[str]:
    """Topics that came, went or changed."""
    return {topic for topic in {*before, *after} if before.get(topic) != after.get(topic)}
