"""Ways home on the clock: detection, decision, switch and drain, each measured apart, and kept with what happened.

Traffic waits for none of this: what is not known when it has moved is found out on a thread, and recorded then.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from seatrial.control.clock import Clock
from seatrial.control.documents.views import Document, plain
from seatrial.control.journal import Entry, Homecoming
from seatrial.control.project import Project
from seatrial.control.states import decision_from_json, state_from_json
from seatrial.control.way_home.first_harm import first_harm
from seatrial.control.way_home.load import present_rate
from seatrial.errors import SeatrialError
from seatrial.gateway.envoy import Envoy
from seatrial.ids import ModelName, RolloutId
from seatrial.rollout.state import RolloutState
from seatrial.rollout.verdicts import Decision
from seatrial.rollout.way_home import HOUR_S, Times, affected
from seatrial.store.canonical import canonical
from seatrial.store.db import Store, Transaction
from seatrial.store.homecomings import StoredHomecoming

log = logging.getLogger("seatrial.control")

SLACK_S = 1.0
"""Beyond the longest request, after which a drain is not waited for any more."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.001, 0.02
RATE_WINDOW_S = 0.5
AUTOMATIC = "seatrial"


@dataclass(slots=True)
class Way:
    """One way home under way. ``old``: the version that is taken out; ``share``: its part of the traffic until now."""

    model: ModelName
    rollout: RolloutId | None
    old: int
    home: int
    share: float
    actor: str
    action: str
    reason: str
    at: datetime
    times: Times
    state: RolloutState | None = None
    decision: Decision | None = None
    drained: threading.Event = field(default_factory=threading.Event)


class Homecomings:
    """Measures and records ways home. ``replay``: then only what this process itself took is a time."""

    def __init__(self, project: Project, store: Store, envoy: Envoy, clock: Clock) -> None:
        self._project, self._store, self._envoy, self._clock = project, store, envoy, clock
        self._replay = project.config.clock == "replay"
        self._threads: list[threading.Thread] = []

    def on_way(
        self, move: Entry, switch: Callable[[], object], *, began: float | None = None, since: datetime | None = None
    ) -> Way | None:
        """Make a move by ``switch`` and measure it. ``began``: of the decision (monotonic); ``since``: of the harm.

        None for a move that takes no version out. What ``switch`` raises is raised.
        """
        way = self._way(move, began, since)
        started = time.perf_counter()
        switch()
        took = time.perf_counter() - started
        if way is not None:
            way.times = replace(way.times, switch=took)
            self._follow(way)
        return way

    def close(self) -> None:
        """Wait for what is being measured."""
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def drained(self, way: Way | None) -> Times | None:
        """The times of a way home, after its last request in flight ended or was not waited for any more."""
        if way is None:
            return None
        way.drained.wait(self._limit_s + SLACK_S)
        return way.times

    @property
    def _limit_s(self) -> float:
        return self._project.config.timeouts.request.seconds + SLACK_S

    def _way(self, move: Entry, began: float | None, since: datetime | None) -> Way | None:
        if isinstance(move, Homecoming):
            at = datetime.fromisoformat(move.at)
            times = self._until_now(at, began, since, move.actor)
            return Way(
                ModelName(move.model), None, move.champion, move.home, 1.0, move.actor, "rollback", move.reason, at,
                times,
            )  # fmt: skip
        decision, state = decision_from_json(move.decision), state_from_json(move.state)
        if decision.action not in ("abort", "step_back"):
            return None
        share = state.phases[-2].weight / 10_000 if len(state.phases) > 1 else 0.0
        times = self._until_now(decision.at, began, since, decision.actor)
        return Way(
            state.model, state.rollout, state.candidate, state.champion, share, decision.actor, decision.action,
            decision.reason, decision.at, times, state, decision,
        )  # fmt: skip

    def _until_now(self, at: datetime, began: float | None, since: datetime | None, actor: str) -> Times:
        """Detection by hand, and decision: an automatic one began when its look fell due, one by hand with the call."""
        detection = None if since is None else max((at - since).total_seconds(), 0.0)
        if actor == AUTOMATIC and not self._replay:
            return Times(detection=detection, decision=max((self._clock.now() - at).total_seconds(), 0.0))
        return Times(detection=detection, decision=None if began is None else time.perf_counter() - began)

    def _follow(self, way: Way) -> None:
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        thread = threading.Thread(target=self._measure, args=(way,), name=f"way home of {way.model}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _measure(self, way: Way) -> None:
        try:
            way.times = replace(way.times, drain=self._drain(way))
            way.drained.set()
            if way.times.detection is None and way.decision is not None and way.state is not None:
                way.times = replace(way.times, detection=self._detection(way.state, way.decision))
            self._record(way)
        except Exception:  # traffic has moved and that is recorded; only its times are lost
            log.exception("the times of a way home of %s are not known", way.model)
        finally:
            way.drained.set()

    def _drain(self, way: Way) -> float | None:
        """Until no request is in flight on the old version, by Envoy's own gauges; None if that took too long."""
        began, pause = time.perf_counter(), FIRST_PAUSE_S
        pattern = rf"^cluster\.{way.model}--{way.old}--.*\.upstream_rq_active$"
        while sum(int(n) for n in self._envoy.admin.stats(pattern).values()):
            if time.perf_counter() - began > self._limit_s:
                return None
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)
        return time.perf_counter() - began

    def _detection(self, state: RolloutState, decision: Decision) -> float | None:
        if decision.actor != AUTOMATIC:
            return None
        with self._store.read() as tx:
            plan = tx.rollouts.get(state.rollout).plan
        first = first_harm(self._project.events, plan, state, decision)
        return None if first is None else max((decision.at - first).total_seconds(), 0.0)

    def _record(self, way: Way) -> None:
        document = homecoming_document(way, None if self._replay else self._rate(way))
        with self._store.begin() as tx:
            rollout = way.rollout or _made_by(tx, way)
            tx.homecomings.put(StoredHomecoming(way.model, rollout, way.at, way.actor, canonical(document)))
            tx.audit.append(AUTOMATIC, "traffic.home", rollout or way.model, document, self._clock.now())

    def _rate(self, way: Way) -> float | None:
        """Requests an hour to the model, after its traffic has moved."""
        try:
            return present_rate(self._envoy.admin, way.model, RATE_WINDOW_S) * HOUR_S
        except SeatrialError:
            return None


def _made_by(tx: Transaction, way: Way) -> RolloutId | None:
    """The rollout that had made the version the champion that is not any more."""
    made = [one.id for one in tx.rollouts.list(way.model) if one.status == "promoted" and one.candidate == way.old]
    return made[-1] if made else None


def homecoming_document(way: Way, rate: float | None) -> Document:
    """``seatrial.homecoming.v1``: the four times in seconds, and the requests that the old arm got meanwhile."""
    hit = None if rate is None else affected(rate, way.share, way.times.known)
    return {
        "schema": "seatrial.homecoming.v1",
        "model": way.model,
        "action": way.action,
        "from": way.old,
        "to": way.home,
        "reason": way.reason,
        "actor": way.actor,
        "share": way.share,
        "seconds": plain(way.times),
        "ratePerHour": rate,
        "affected": hit,
    }
