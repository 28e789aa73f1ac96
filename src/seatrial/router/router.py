"""``Router``: which version a unit gets, asked inside the service, and what came of it in the project's log."""

from __future__ import annotations

import atexit
import time as clock
import uuid
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

from seatrial.errors import Unavailable, UsageError
from seatrial.gateway.assignment import copied_to
from seatrial.gateway.routes import OFF, PRIMARY, Backend
from seatrial.ids import CHAMPION, SHADOW
from seatrial.interleaving import Interleaved, Item
from seatrial.router.answers import Features, answer_body, error_body, off_body, request_body, rows_of
from seatrial.router.attempts import Handlers, Way, ask, ask_async
from seatrial.router.entry import entry
from seatrial.router.follow import Follower
from seatrial.router.pages import Pages, Rankers, ranked
from seatrial.router.places import Assignment, Places
from seatrial.router.pool import Pool
from seatrial.router.shadows import Answered, Shadows, Tell
from seatrial.router.writer import EXIT_S, Writer, writer_of

STATE_DIR = ".seatrial"
THREADS = 32
"""Calls of handlers that may hang at the same time, where they are run in threads."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """An answer. ``id`` is what its outcome is reported under; ``version`` and ``level`` say who answered, and ``arm``
    which one the unit is in, whoever answered."""

    value: Any
    id: str
    version: str
    arm: str
    level: str


@dataclass(frozen=True, slots=True)
class _Request:
    id: str
    places: Places
    assignment: Assignment
    way: Way | None
    handlers: Handlers
    rows: int | None
    body: str | None
    unit: str | None
    segment: str | None
    time: datetime | None
    started: float
    began: float


class Router:
    """Routes the traffic of one model of the project in the directory ``project``.

    ``default``: the version that answers, in no comparison, until there is a route; without it, not to find one is an
    error (ST0790, ST0791). ``abandon``: handlers run in threads of their own, so that one that hangs can be left when
    its time is over; that costs some 50 µs a call. Routers may be used by many threads, and survive a fork.
    """

    def __init__(
        self, project: str | Path, model: str, *, default: str | int | None = None, abandon: bool = False
    ) -> None:
        state = Path(project).resolve() / STATE_DIR
        self.model = model
        name = None if default is None else str(default)
        self._follower = Follower(state / "gateway", state / "run" / "kill", model, name)
        self._writer: Writer = writer_of(state / "gateway" / "log")
        self._pool = Pool("seatrial-handler", threads=THREADS) if abandon else None
        self._shadows = Shadows()
        self._pages = Pages(state / "pages" / model)
        flush = weakref.WeakMethod(self.flush)
        atexit.register(lambda: (last := flush()) and last(EXIT_S))

    # ── deciding ───────────────────────────────────────────────────────────────────────────────────────────────────

    def decide(self, unit: str | None, segment: str | None = None) -> Assignment:
        """Where the unit is now; as Envoy would have it. ``segment``: what the header of the plan's segment would hold.

        Nothing is logged: whoever answers without ``predict`` is not in the evidence.
        """
        if monotonic() >= self._follower.next:
            self._follower.look()
        return self._follower.places.of(unit, segment)

    def arm(self, unit: str | None) -> str:
        """``champion``, ``canary`` or ``none``."""
        return self.decide(unit).arm

    @property
    def dropped(self) -> int:
        """Requests of this process, of all its routers, that are not in the log for want of room."""
        return self._writer.dropped

    # ── answering ──────────────────────────────────────────────────────────────────────────────────────────────────

    def predict(
        self,
        unit: str | None,
        features: Features,
        *,
        handlers: Handlers,
        segment: str | None = None,
        time: datetime | None = None,
    ) -> Prediction:
        """The answer of the unit's version, or of the next one in its chain, and a line in the log.

        ``features``: one row, or a sequence of rows. ``handlers``: a callable for each version, by its number or name,
        and for each fallback by its level; each gets the features as they are and returns one answer, or one for each
        row. One that raises, takes longer than ``timeouts.attempt``, or returns None, NaN or another number of rows has
        not answered. ``time``: event time, in a project that replays. Raises Unavailable when nobody answered in
        ``timeouts.request`` (ST0795), or the model is switched off (ST0794).
        """
        request = self._begin(unit, features, handlers, segment, time)
        for way, tell in self._copies(request):
            self._shadows.send(way, features, request.rows, tell)
        answers = None if request.way is None else ask(request.way, features, request.rows, self._pool)
        return self._end(request, answers)

    async def predict_async(
        self,
        unit: str | None,
        features: Features,
        *,
        handlers: Handlers,
        segment: str | None = None,
        time: datetime | None = None,
    ) -> Prediction:
        """As ``predict``, in an event loop. A handler that is a coroutine function is cancelled when its time is over;
        another one holds up the loop, unless the router may ``abandon`` it."""
        request = self._begin(unit, features, handlers, segment, time)
        for way, tell in self._copies(request):
            self._shadows.send_async(way, features, request.rows, tell)
        answers = None if request.way is None else await ask_async(request.way, features, request.rows, self._pool)
        return self._end(request, answers)

    def flush(self, timeout_s: float = EXIT_S) -> bool:
        """Wait until copies are answered and everything is in the log; false where that takes longer."""
        deadline = monotonic() + timeout_s
        while self._shadows.busy or self._pages.busy:
            if monotonic() > deadline:
                return False
            clock.sleep(0.002)
        return self._writer.flush(max(0.0, deadline - monotonic()))

    # ── two rankers on one page ────────────────────────────────────────────────────────────────────────────────────

    def interleave(self, unit: str | None, query: str, rankers: Rankers, *, length: int | None = None) -> Interleaved:
        """One page of the champion's and the candidate's lists, while a rollout runs; otherwise the champion's list.

        ``rankers``: by version, a list or a callable that gets the query and returns one, best first. The same unit
        and query see the same page, in every process. A ranker that fails brings nothing to the page. Raises
        Unavailable (ST0796) when neither has a list, or (ST0794) when the model is switched off.
        """
        assignment = self.decide(unit)
        if assignment.version is None:
            raise self._switched_off()
        return ranked(self._follower.places.route, assignment, unit, query, rankers, length)

    def log_page(self, page: Interleaved, clicks: Sequence[Item] = (), *, time: datetime | None = None) -> bool:
        """Say what was clicked on a page: once for each page that was shown, also for one without a click.

        The rows are what ``seatrial analyze interleaving`` reads. False where there is no room for one now.
        """
        return self._pages.put(page.row(clicks, time=time))

    # ── one request ────────────────────────────────────────────────────────────────────────────────────────────────

    def _begin(
        self,
        unit: str | None,
        features: Features,
        handlers: Handlers,
        segment: str | None,
        time: datetime | None,
    ) -> _Request:
        started, began = clock.time(), monotonic()
        rows, read = self._read(features, time)
        if began >= self._follower.next:
            self._follower.look()
        places = self._follower.places
        assignment = places.of(unit, segment)
        way = None if places.off else Way.down(places.route, assignment.arm, handlers)
        body = read if way else None  # Envoy does not wait for the request either
        named = segment if places.route.segment_header is not None else None
        return _Request(
            str(uuid.uuid4()), places, assignment, way, handlers, rows, body, unit, named or None, time, started, began
        )

    def _read(self, features: Features, time: datetime | None) -> tuple[int | None, str]:
        named = isinstance(features, Mapping) or (
            isinstance(features, Sequence) and all(isinstance(row, Mapping) for row in features)
        )
        if not named:
            raise UsageError(
                "ST0793",
                f"model {self.model!r}: features are {type(features).__name__}, not named values.",
                remedy="Give a mapping of names to values, or a list of such rows.",
            )
        if time is not None and time.tzinfo is None:
            raise UsageError("ST0793", f"model {self.model!r}: the time {time.isoformat()} has no offset.")
        try:
            return rows_of(features), request_body(features)
        except (TypeError, ValueError, RecursionError) as error:
            raise UsageError(
                "ST0793",
                f"model {self.model!r}: the features have no form in JSON: {error}.",
                remedy="Names are text, and no value holds itself.",
            ) from None

    def _end(self, request: _Request, answers: Sequence[Any] | None) -> Prediction:
        way = request.way
        if way is None:
            self._log(request, None, 503, 0, OFF, off_body(self.model))
            raise self._switched_off()
        backend = way.backend
        level = OFF if backend is None else backend.level
        if answers is None or backend is None:
            self._log(request, backend, way.code, way.attempts, level, error_body(way.reason))
            raise Unavailable(
                "ST0795",
                f"no version of model {self.model!r} gave a valid answer in time; the last one: {way.reason}.",
                remedy="The log of this service has the first failures of each version.",
            )
        self._log(request, backend, 200, way.attempts, level, answer_body(answers))
        value = answers[0] if request.rows is None else answers
        return Prediction(value, request.id, backend.version, request.assignment.arm, level)

    def _copies(self, request: _Request) -> Iterator[tuple[Way, Tell]]:
        """Which shadows see the request, and who is told of their answers. A standing one is in no rollout."""
        given, route = request.assignment, request.places.route
        asked: list[tuple[Backend, Assignment]] = []
        if given.copied and route.shadow is not None:
            asked.append((route.shadow, given._replace(arm=SHADOW)))
        if given.arm == CHAMPION and given.point is not None and route.standing:
            for place in copied_to(given.point, [one.points for one in route.standing], route.held):
                one = route.standing[place]
                asked.append((one.backend, Assignment(SHADOW, one.backend.version, None, None, sampled=one.points)))
        for backend, assignment in asked:
            way = Way([], request.handlers, route.try_timeout_s, 0.0, attempts=1, backend=backend)
            yield way, partial(self._log_copy, request, assignment)

    # ── the log ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _log(
        self, request: _Request, backend: Backend | None, code: int, attempts: int, level: str, answer: str
    ) -> None:
        given = request.assignment
        line = entry(
            request_id=request.id, model=self.model, assignment=given, unit=request.unit, segment=request.segment,
            started=request.started, took_s=monotonic() - request.began, code=code, attempts=attempts, backend=backend,
            level=level, lower=_lower(request, backend), flags="UT" if code == 504 else None, request=request.body,
            answer=answer, time=request.time,
        )  # fmt: skip
        self._writer.put((given.rollout, given.phase, given.arm), line)

    def _log_copy(self, request: _Request, given: Assignment, answered: Answered) -> None:
        """The request itself is in the line of the live one already."""
        way = answered.way
        good = answered.answers is not None
        code = 200 if good else 503 if answered.shed else way.code
        flags = "UO" if answered.shed else "UT" if code == 504 else None
        line = entry(
            request_id=request.id, model=self.model, assignment=given, unit=request.unit, segment=request.segment,
            started=answered.started, took_s=answered.took_s, code=code, attempts=way.attempts, backend=way.backend,
            level="shadow", lower=None, flags=flags, request=None, time=request.time,
            answer=answer_body(answered.answers) if answered.answers is not None else error_body(way.reason),
        )  # fmt: skip
        self._writer.put((given.rollout, given.phase, given.arm), line)

    def _switched_off(self) -> Unavailable:
        return Unavailable(
            "ST0794", f"model {self.model!r} is switched off.", remedy=f"`seatrial revive {self.model}` ends that."
        )


def _lower(request: _Request, backend: Backend | None) -> str | None:
    """Why the level that answered is not the assigned version's own."""
    if backend is None or request.way is None or backend.level == PRIMARY:
        return None
    route = request.places.route
    return route.lowered if route.lowered and backend.level == route.champion.level else request.way.passed
