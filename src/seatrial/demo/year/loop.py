"""A model's year: measured every week, trained when its policy says so, released by its plan.

One clock, a tick a day. What a run is for, whether it may start, and what waits meanwhile is the trigger manager's to
say; what becomes of the new version is its release's. A run lasts until its release is over, so there is one at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np

from seatrial.demo.year.log import Answers
from seatrial.demo.year.models import Shelf, Version
from seatrial.demo.year.readings import Gauge
from seatrial.demo.year.release import Released, Stage
from seatrial.demo.year.world import Floats
from seatrial.events.schema import to_micros
from seatrial.retrain.manager import Event, Reading, Run, finished, from_start, observed, step
from seatrial.retrain.policy import Policy

HOUR = timedelta(hours=6)
"""Of the day, in UTC, at which everything happens: night in New York."""

DAY = timedelta(days=1)
MONDAY = 0


@dataclass(frozen=True)
class Turn:
    """One run of the loop: why, what came of it, and what became of that."""

    run: Run
    champion: Version
    version: Version
    released: Released

    @property
    def outcome(self) -> str:
        return self.released.outcome

    @property
    def promoted(self) -> bool:
        return self.outcome == "promoted"


@dataclass
class History:
    """What happened. ``served``: what users were told of each flight; ``newest``: by whatever was trained last."""

    first: Version
    served: Floats
    newest: Floats
    turns: list[Turn] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)

    def serving(self, at: datetime) -> Version:
        """The champion at a time."""
        ended = [turn.version for turn in self.turns if turn.promoted and turn.released.ended <= at]
        return ended[-1] if ended else self.first


@dataclass
class Loop:
    """``name`` begins the names of its rollouts; ``say`` hears what happens: when, which kind, and in words.

    ``tick`` hears of every day.
    """

    stage: Stage
    shelf: Shelf
    policy: Policy
    begin: datetime
    end: datetime
    name: str = "r"
    say: Callable[[datetime, str, str], None] = field(default=lambda at, what, text: None)
    tick: Callable[[datetime], None] = field(default=lambda at: None)

    def run(self, first: Version) -> History:
        """From the first day to the last, beginning with ``first``."""
        self._history = History(first, first.scores.copy(), first.scores.copy())
        self._gauge = Gauge.of(self.stage.world, first)
        self._state, turn = from_start(self.begin + HOUR), None
        for at in _days(self.begin + HOUR, self.end):
            self.tick(at)
            over = turn is not None and turn.released.state.over and at >= turn.released.ended
            if turn is not None and over:
                self._end(turn, at)
                turn = None
            if at.weekday() == MONDAY or over:
                self._measure(at)
            if (run := self._step(at)) is not None:
                turn = self._take(run, at)
        return self._history

    def _measure(self, at: datetime) -> None:
        reading = self._gauge.reading(at)
        self._history.readings.append(reading)
        self._state = observed(self.policy, self._state, reading)

    def _step(self, at: datetime) -> Run | None:
        """The run that starts now, if one does."""
        runs = self._state.runs
        self._state, events = step(self.policy, self._state, at)
        self._tell(events)
        return self._state.running if self._state.runs > runs else None

    def _take(self, run: Run, at: datetime) -> Turn:
        """Train, and release what was trained. Who answers until that is over is known when it is."""
        window = self.policy.training.window
        start = at - window.delta if window is not None else self._history.first.start
        version = self.shelf.make(max(start, self._history.first.start), at)
        champion, auc = self._gauge.version, version.metrics["auc"]
        self.say(at, "trained", f"v{version.number} on {version.data.rows:,} flights, AUC {auc:.3f} in rehearsal")
        answers = Answers(champion.number, version.number, champion.scores, version.scores)
        released = self.stage.release(f"{self.name}-{run.number:04d}", answers, at, self.end)
        turn = Turn(run, champion, version, released)
        self._history.turns.append(turn)
        self._serve(turn)
        return turn

    def _serve(self, turn: Turn) -> None:
        """Who was told what: the canary's aircraft by the new version, everybody once it is promoted."""
        world, state = self.stage.world, turn.released.state
        points = np.append(world.points(state.salt), np.iinfo(np.int64).max)[world.units]
        ends = [*(phase.started for phase in state.phases[1:]), self.end]
        for phase, until in zip(state.phases, ends, strict=True):
            part = world.between(to_micros(phase.started), to_micros(until))
            everyone = phase.weight >= 10_000
            told = (points[part] < phase.weight) | everyone
            self._history.served[part] = np.where(told, turn.version.scores[part], turn.champion.scores[part])
        later = world.between(to_micros(turn.version.cut), to_micros(self.end))
        self._history.newest[later] = turn.version.scores[later]

    def _end(self, turn: Turn, at: datetime) -> None:
        reason = turn.released.decisions[-1].reason
        self._state, events = finished(self._state, at, f"{turn.outcome}: {reason}")
        self._tell(events)
        if turn.promoted:
            self._gauge = Gauge.of(self.stage.world, turn.version)

    def _tell(self, events: Sequence[Event]) -> None:
        self._history.events.extend(events)
        for event in events:
            run = f"run {event.run} " if event.run is not None else ""
            self.say(event.at, event.what, f"{run}{event.what}, {event.trigger}: {event.reason}")


def _days(first: datetime, end: datetime) -> Iterator[datetime]:
    while first < end:
        yield first
        first += DAY
