"""One request on its way down the chain: who is asked next, for how long, and what came of it."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import isawaitable
from time import monotonic
from typing import Any, Final

from seatrial.gateway.routes import STAND_INS, Backend, ModelRoute
from seatrial.router.answers import Features, Invalid, checked
from seatrial.router.pool import Busy, Pool

log = logging.getLogger("seatrial.router")

Handler = Callable[[Any], Any]
Handlers = Mapping[str | int, Handler]


class NoHandler(LookupError):
    """This service has no callable for a version that it is to ask."""


CODES: Final[Mapping[type[BaseException], int]] = {Invalid: 502, NoHandler: 503, Busy: 503, TimeoutError: 504}
"""As the model host and Envoy answer; whatever else a handler raises is a 500."""


def handler_of(handlers: Handlers, backend: Backend) -> Handler | None:
    """The callable of a version, by its name or number; of a fallback also by its level.

    Rules, review and banner are no versions of the model, so they are known by their level alone.
    """
    version = backend.version
    if backend.level not in STAND_INS:
        if version in handlers:
            return handlers[version]
        if version.isdecimal() and int(version) in handlers:
            return handlers[int(version)]
    return handlers.get(backend.level) if backend.level not in ("primary", "champion", "shadow") else None


@dataclass(slots=True)
class Way:
    """The levels that are left, and the time.

    ``attempts``: how many were asked; ``code`` and ``reason``: why the last one that failed did; ``passed``: why the
    one before the last one that was asked gave no answer, in Envoy's words.
    """

    left: list[Backend]
    handlers: Handlers
    attempt_s: float
    deadline: float
    attempts: int = 0
    code: int = 503
    reason: str = ""
    passed: str | None = None
    backend: Backend | None = field(default=None)

    @classmethod
    def down(cls, route: ModelRoute, arm: str, handlers: Handlers) -> Way:
        """The chain of an arm. A fallback that this service has no callable for is left out; a version is not."""
        first, *others = route.chain(arm)
        asked = [first, *(other for other in others if handler_of(handlers, other) is not None)]
        return cls(asked, handlers, route.try_timeout_s, monotonic() + route.timeout_s)

    def next(self) -> tuple[Handler, float] | None:
        """Who is asked now, and for how long; None when nobody is left, or no time."""
        while self.left and (time_left := self.deadline - monotonic()) > 0:
            if self.attempts:
                self.passed = "timeout" if self.code == CODES[TimeoutError] else "error"
            self.backend = self.left.pop(0)
            self.attempts += 1
            handler = handler_of(self.handlers, self.backend)
            if handler is not None:
                return handler, min(self.attempt_s, time_left)
            self.failed(NoHandler(f"there is no handler for version {self.backend.version}"))
        return None

    def failed(self, error: BaseException) -> None:
        """Remember why, without what the error says of the request: this goes into the log."""
        self.code = next((code for kind, code in CODES.items() if type(error) is kind), 500)
        self.reason = f"the handler failed: {type(error).__name__}" if self.code == 500 else str(error)
        complain("nobody" if self.backend is None else self.backend.version, error)


_complaints = Counter[str]()


def complain(version: str, error: BaseException) -> None:
    """Into the service's own log: the first failure of a version, the second, the fourth ..."""
    _complaints[version] += 1
    if (count := _complaints[version]) & (count - 1) == 0:
        log.warning("version %s gave no valid answer, %d times by now", version, count, exc_info=error)


def ask(way: Way, features: Features, rows: int | None, pool: Pool | None) -> Sequence[Any] | None:
    """The first valid answer, or None.

    Without a ``pool`` a handler runs on the caller's thread: one that hangs cannot be left, and an answer that comes
    later than its attempt may take is no answer. With one it is left behind when its time is over.
    """
    while (turn := way.next()) is not None:
        handler, limit = turn
        try:
            return checked(_called(handler, features, limit, pool), rows)
        except Exception as error:
            way.failed(error)
    return None


def _called(handler: Handler, features: Features, limit: float, pool: Pool | None) -> Any:
    if pool is not None:
        return pool.call(lambda: run(handler, features), limit)
    began = monotonic()
    answer = run(handler, features)
    if (took := monotonic() - began) > limit:
        raise TimeoutError(f"the answer came after {took:.3g} s, not within {limit:g} s")
    return answer


def run(handler: Handler, features: Features) -> Any:
    """Call a handler, of either kind, on a thread that has no event loop."""
    answer = handler(features)
    return asyncio.run(_awaited(answer)) if isawaitable(answer) else answer


async def _awaited(answer: Awaitable[Any]) -> Any:
    return await answer


async def ask_async(way: Way, features: Features, rows: int | None, pool: Pool | None) -> Sequence[Any] | None:
    """As ``ask``. Coroutines are cancelled when their time is over."""
    while (turn := way.next()) is not None:
        handler, limit = turn
        try:
            return checked(await called_async(handler, features, limit, pool), rows)
        except Exception as error:
            way.failed(error)
    return None


async def called_async(handler: Handler, features: Features, limit: float, pool: Pool | None) -> Any:
    if pool is not None and not asyncio.iscoroutinefunction(handler):
        return await asyncio.to_thread(pool.call, lambda: run(handler, features), limit)
    began = monotonic()
    async with asyncio.timeout(limit):
        answer = handler(features)
        answer = await answer if isawaitable(answer) else answer
    if (took := monotonic() - began) > limit:
        raise TimeoutError(f"the answer came after {took:.3g} s, not within {limit:g} s")
    return answer
