"""Micro-batching: requests that are waiting at the same moment are predicted in one call.

A scikit-learn pipeline costs milliseconds a call and almost nothing a row, so under load the answer is to call it less
often. One request alone is not held back: the queue waits only while recent batches say that more are on their way.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")

_PAUSE = 0.5  # of the last call's duration: waiting for company pays only while it is cheaper than another call
_PAUSES = 2  # at most, so that a steady trickle cannot postpone a batch for ever


class Busy(RuntimeError):
    """More requests are waiting than could be answered in time."""


@dataclass(eq=False, slots=True)
class _Waiting(Generic[Item, Answer]):
    item: Item
    future: asyncio.Future[Answer]


class Batcher(Generic[Item, Answer]):
    """Collects items and answers them together in one worker thread, so that the event loop stays responsive.

    ``predict`` gets items of one ``key`` and returns one answer each, in order. When it raises, every item of the batch
    is tried alone, so one bad request fails alone. ``max_batch`` counts ``size`` (rows); an item larger than that is
    its own batch. Abandoned items (cancelled futures) are dropped before they cost a prediction.
    """

    def __init__(
        self,
        predict: Callable[[Sequence[Item]], Sequence[Answer]],
        *,
        size: Callable[[Item], int] = lambda _: 1,
        key: Callable[[Item], Hashable] = lambda _: None,
        max_batch: int = 64,
        max_wait_s: float = 0.004,
        max_waiting: int = 2048,
    ) -> None:
        self._predict, self._size, self._key = predict, size, key
        self._max_batch, self._max_wait, self._max_waiting = max_batch, max_wait_s, max_waiting
        self._queue: deque[_Waiting[Item, Answer]] = deque()
        self._pool = ThreadPoolExecutor(1, "predict")
        self._timer: asyncio.TimerHandle | None = None
        self._since = 0.0  # when the queue began to wait: first arrival, or end of the last call
        self._expected = 1
        self._last_call = 0.0
        self._running_since: float | None = None
        self.batches = 0

    async def submit(self, item: Item) -> Answer:
        """The answer to ``item``. Raises what ``predict`` raised for it, or ``Busy``."""
        if len(self._queue) >= self._max_waiting:
            raise Busy(f"{len(self._queue)} requests are waiting")
        loop = asyncio.get_running_loop()
        waiting: _Waiting[Item, Answer] = _Waiting(item, loop.create_future())
        if not self._queue:
            self._since = loop.time()
        self._queue.append(waiting)
        self._schedule(loop)
        return await waiting.future

    def stalled(self, seconds: float) -> bool:
        """True while one call has been running for longer than ``seconds``: the model hangs."""
        return self._running_since is not None and asyncio.get_running_loop().time() - self._running_since > seconds

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._running_since is not None or not self._queue:
            return
        if len(self._queue) >= min(self._expected, self._max_batch):
            self._launch(loop)
        else:
            pause = min(self._max_wait, _PAUSE * self._last_call)
            due = min(loop.time() + pause, self._since + _PAUSES * pause)
            self._timer = loop.call_at(due, self._launch, loop)

    def _launch(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        batch = self._take()
        if not batch:
            return
        self._running_since = loop.time()
        self.batches += 1
        call = loop.run_in_executor(self._pool, self._answer, [waiting.item for waiting in batch])
        call.add_done_callback(lambda done: self._deliver(loop, batch, done))

    def _take(self) -> list[_Waiting[Item, Answer]]:
        """The oldest item and those behind it with the same key, as many as fit."""
        batch: list[_Waiting[Item, Answer]] = []
        left: list[_Waiting[Item, Answer]] = []
        key, room = None, self._max_batch
        while self._queue and room > 0:
            waiting = self._queue.popleft()
            if waiting.future.done():
                continue
            if not batch:
                key = self._key(waiting.item)
            size = self._size(waiting.item)
            if batch and (self._key(waiting.item) != key or size > room):
                left.append(waiting)
                continue
            batch.append(waiting)
            room -= size
        self._queue.extendleft(reversed(left))
        return batch

    def _answer(self, items: list[Item]) -> list[Answer | BaseException]:
        try:
            answers = self._predict(items)
            if len(answers) != len(items):
                raise RuntimeError(f"{len(items)} requests and {len(answers)} answers")
            return list(answers)
        except Exception as error:
            if len(items) == 1:
                return [error]
            return [self._answer([item])[0] for item in items]

    def _deliver(
        self,
        loop: asyncio.AbstractEventLoop,
        batch: list[_Waiting[Item, Answer]],
        done: asyncio.Future[list[Answer | BaseException]],
    ) -> None:
        self._since = loop.time()
        if self._running_since is not None:
            self._last_call = self._since - self._running_since
        self._running_since = None
        self._expected = len(batch) + len(self._queue)  # callers who come back at once join those who queued meanwhile
        failure = Busy("the host is shutting down") if done.cancelled() else done.exception()
        answers = done.result() if failure is None else [failure] * len(batch)
        for waiting, answer in zip(batch, answers, strict=True):
            if waiting.future.done():
                continue
            if isinstance(answer, BaseException):
                waiting.future.set_exception(answer)
            else:
                waiting.future.set_result(answer)
        self._schedule(loop)
