"""Copies for a shadow: asked in the background, logged, and never anybody's concern.

There is a bound on everything. What is beyond is shed, and the log says so, as behind Envoy.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic, time
from typing import Any, Final

from seatrial.router.answers import Features, checked
from seatrial.router.attempts import Handler, NoHandler, Way, called_async, handler_of, run
from seatrial.router.pool import Busy, Pool

AT_ONCE: Final = 4
WAITING: Final = 64
HUNG: Final = 32
"""Calls that may hang at the same time before every further copy is shed."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of one copy. ``shed``: nobody was asked."""

    way: Way
    answers: Sequence[Any] | None
    started: float
    took_s: float
    shed: bool = False


Tell = Callable[[Answered], None]


class Shadows:
    """``send`` returns at once; ``tell`` is called once for each copy, on another thread or later in the event loop."""

    def __init__(self) -> None:
        self._turns = Pool("seatrial-shadow", threads=AT_ONCE, waiting=WAITING)
        self._calls = Pool("seatrial-shadow-call", threads=HUNG)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def busy(self) -> bool:
        return self._turns.busy or bool(self._tasks)

    def send(self, way: Way, features: Features, rows: int | None, tell: Tell) -> None:
        try:
            self._turns.submit(partial(self._ask, way, _kept(features), rows, tell))
        except Busy:
            tell(Answered(way, None, time(), 0.0, shed=True))

    def send_async(self, way: Way, features: Features, rows: int | None, tell: Tell) -> None:
        """In the running event loop."""
        if len(self._tasks) >= WAITING:
            tell(Answered(way, None, time(), 0.0, shed=True))
            return
        task = asyncio.get_running_loop().create_task(self._await(way, _kept(features), rows, tell))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _ask(self, way: Way, features: Features, rows: int | None, tell: Tell) -> None:
        started, began, answers = time(), monotonic(), None
        try:
            answers = checked(self._calls.call(partial(run, _handler(way), features), way.attempt_s), rows)
        except Exception as error:
            way.failed(error)
        tell(Answered(way, answers, started, monotonic() - began))

    async def _await(self, way: Way, features: Features, rows: int | None, tell: Tell) -> None:
        started, began, answers = time(), monotonic(), None
        try:
            answers = checked(await called_async(_handler(way), features, way.attempt_s, self._calls), rows)
        except Exception as error:
            way.failed(error)
        tell(Answered(way, answers, started, monotonic() - began))


def _handler(way: Way) -> Handler:
    assert way.backend is not None
    handler = handler_of(way.handlers, way.backend)
    if handler is None:
        raise NoHandler(f"there is no handler for version {way.backend.version}")
    return handler


def _kept(features: Features) -> Features:
    """As they are now: the caller goes on with its own."""
    return dict(features) if isinstance(features, Mapping) else [dict(row) for row in features]
