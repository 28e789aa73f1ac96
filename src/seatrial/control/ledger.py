"""From what was routed to what is recorded: protective moves, homecomings and kills, each recorded exactly once.

Whoever calls a ledger holds the controller's lock.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

from seatrial.control.clock import Clock
from seatrial.control.journal import Entry, Homecoming, Move
from seatrial.control.moves import abort_of
from seatrial.control.recorder import record, record_homecoming, record_kill
from seatrial.control.render import active_release, is_pending
from seatrial.control.states import decision_from_json, state_from_json
from seatrial.control.traffic import STORE_DOWN, Traffic
from seatrial.control.way_home.timing import Homecomings, Way
from seatrial.gateway.kill import KillLatch
from seatrial.ids import Digest
from seatrial.store.db import Transaction
from seatrial.store.fenced import FencedStore

HEEDED_KEY = "kills.heeded"


class Ledger:
    """Puts protective moves in force and records them; what a crash left unrecorded, the next ``finish`` makes good."""

    def __init__(self, store: FencedStore, traffic: Traffic, clock: Clock, homecomings: Homecomings) -> None:
        self._store, self._traffic, self._journal, self._clock = store, traffic, traffic.journal, clock
        self._homecomings = homecomings

    def protect(self, move: Entry, *, began: float | None = None, since: datetime | None = None) -> Way | None:
        """Put a protective move in force at once; ``finish`` records it. From here on no crash takes it back.

        It is measured: ``began``, of its decision (``time.perf_counter``), ``since``, of the harm, if that is known.
        """
        with suppress(*STORE_DOWN):  # then the move goes first; whoever has lost the lease moves nothing
            self._store.require()

        def switch() -> None:
            self._journal.write(move)
            self._traffic.reroute()

        return self._homecomings.on_way(move, switch, began=began, since=since)

    def finish(self) -> None:
        """Record the moves that were routed and not recorded yet: just now, or by a controller that died in between."""
        moves = self._journal.moves()
        for move in moves:
            if isinstance(move, Homecoming):
                self.record_homecoming(move)
            elif self._is_pending(move):
                self.record(move, keep=True)
        if moves:
            self._journal.clear()

    def record(self, move: Move, *, keep: bool) -> None:
        """The state after a decision, and the decision itself if it is worth keeping."""
        decision, state = decision_from_json(move.decision), state_from_json(move.state)
        digest = None if move.evidence is None else Digest(move.evidence)
        with self._store.begin() as tx:
            record(tx, decision, state, revision=move.revision, digest=digest, store_decision=keep, given=move.given)

    def record_homecoming(self, move: Homecoming) -> None:
        """The standby is the champion again; nothing where the pointers have moved on since."""
        with self._store.begin() as tx:
            record_homecoming(tx, move)

    def heed_kills(self) -> None:
        """What follows from kills, once for each, also from one that came while no controller ran: the rollout of a
        killed model is over, and the kill is in the audit log."""
        latches = self._traffic.latches()
        if not latches:
            return
        with self._store.read() as tx:
            new = _unheeded(tx, latches)
            killed = [(latch, release) for latch in new if (release := active_release(tx, latch.model))]
        for latch, release in killed:
            self.protect(abort_of(release, f"kill switch: {latch.reason}", latch.actor, self._clock.now()))
            self.finish()
        if new:
            with self._store.begin() as tx:
                self._audit(tx, new, latches)

    def _is_pending(self, move: Move) -> bool:
        with self._store.read() as tx:
            return any(is_pending(move, stored) for stored in tx.rollouts.list(active=True))

    def _audit(self, tx: Transaction, new: list[KillLatch], latches: tuple[KillLatch, ...]) -> None:
        now = self._clock.now()
        for latch in new:
            record_kill(tx, latch, now)
        tx.settings.put(HEEDED_KEY, {latch.model: latch.time.isoformat() for latch in latches}, now)


def _unheeded(tx: Transaction, latches: tuple[KillLatch, ...]) -> list[KillLatch]:
    known = tx.settings.get(HEEDED_KEY)
    times = {} if known is None else known.value
    return [latch for latch in latches if times.get(latch.model) != latch.time.isoformat()]
