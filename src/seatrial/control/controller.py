"""The controller: what is stored becomes what runs, and what was captured becomes decisions.

One controller a project, by a lease in the store. Everything it does is under one lock: the loop's thread and the calls
of the API take turns. Nothing that may take long happens under it, so that a kill never waits.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

from seatrial import processes
from seatrial.control.clock import EPOCH, Clock, StoredClock, WallClock
from seatrial.control.collector import Collector, Scope
from seatrial.control.journal import Entry, Homecoming, Move
from seatrial.control.moves import abort_of, move_of
from seatrial.control.project import Project
from seatrial.control.recorder import put_evidence, record, worth_storing
from seatrial.control.render import Release, active_release, is_pending
from seatrial.control.states import decision_from_json, state_from_json
from seatrial.control.traffic import RETRY_S, Traffic
from seatrial.control.watch import Watch
from seatrial.errors import Conflict, IntegrityError, Unavailable
from seatrial.events.capture import CaptureContext
from seatrial.events.outcomes import OutcomeLog
from seatrial.gateway.envoy import Applied
from seatrial.gateway.kill import KillLatch
from seatrial.ids import Digest
from seatrial.registry.version import ModelVersion
from seatrial.rollout.look import Looked
from seatrial.rollout.verdicts import Signals
from seatrial.store import releases
from seatrial.store.artifacts import ArtifactStore
from seatrial.store.db import Store, Transaction
from seatrial.store.leases import Lease

log = logging.getLogger("seatrial.control")

LEASE = "controller"
LEASE_TTL = timedelta(seconds=20)
WATERMARK_KEY = "watermark"
HEEDED_KEY = "kills.heeded"
STORE_DOWN = (Unavailable, IntegrityError)
PROTECTIVE = frozenset({"abort", "step_back"})

TICK_S = 0.25
FLUSH_LAG = timedelta(seconds=1)
"""Wall clock: events older than the longest request and this are surely captured (Envoy flushes its log at 0.2 s)."""


class LeaseLost(Conflict):
    """Another controller has taken over."""


class Controller:
    """Owns the store, Envoy, the hosts and the evidence of all active rollouts."""

    def __init__(self, project: Project, store: Store) -> None:
        self.project, self.store = project, store
        self.replay = project.config.clock == "replay"
        self.clock: Clock = StoredClock(store) if self.replay else WallClock()
        self.artifacts = ArtifactStore(project.artifacts)
        self.traffic = Traffic(project, store, self.artifacts)
        self.envoy, self.hosts, self.journal = self.traffic.envoy, self.traffic.hosts, self.traffic.journal
        self.outcomes = OutcomeLog(project.outcomes, clock=self.clock.now)
        self.collector = Collector(project, store, self.envoy)
        self.lock = threading.RLock()
        self._watches: dict[str, Watch] = {}
        self._lease: Lease | None = None
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{processes.started(os.getpid())}"
        self._started = False
        self._failed = ""
        self._gateway_at = 0.0

    # ── life ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Take the lease, bring everything up, and finish what a crash left unrecorded or undecided."""
        with self.lock:
            self._lease = self._acquire()
            try:
                self._drain()
                self._start_gateway()
                self.reconcile()
                self.hosts.sweep()
                self.finish()
                self.heed_kills()
            except BaseException:
                self.stop()
                raise
            self._started = True
            with suppress(Exception):  # logged there; one model's look does not keep the others from running
                self.take_looks()

    def _acquire(self) -> Lease:
        """The lease; that of a controller which died on this machine is taken over at once."""
        now = datetime.now(UTC)
        with self.store.begin() as tx:
            held = tx.leases.get(LEASE, now)
            if held is not None and _is_dead(held.holder):
                tx.leases.release(held)
            return tx.leases.acquire(LEASE, self._holder, LEASE_TTL, now)

    def stop(self) -> None:
        """Release everything. Envoy and the hosts go on: traffic does not depend on this process."""
        with self.lock:
            self._started = False
            for rollout in [*self._watches]:
                self._watches.pop(rollout).close()
            self.collector.close()
            self.traffic.close()
            if self._lease is not None:
                lease, self._lease = self._lease, None
                with self.store.begin() as tx:
                    tx.leases.release(lease)

    def missing(self) -> str:
        """What is not as it should be, for people; empty when everything runs. Needs no lock."""
        if not self._started:
            return "the controller has not started"
        return self._failed or self.traffic.missing()

    def run(self, stopping: threading.Event) -> None:
        """The loop: every quarter of a second until told to stop. An error of one round is logged, not fatal."""
        while not stopping.wait(TICK_S):
            try:
                self.tick()
                self._failed = ""
            except LeaseLost:
                log.exception("another controller took over")
                return
            except Exception as error:  # whatever it is, the other models and the next round go on
                log.exception("this round failed; the next one tries again")
                self._failed = f"the last round failed: {error}"

    def tick(self) -> None:
        """One round: lease, gateway and hosts, capture, and on the wall clock the looks that fell due."""
        with self.lock:
            self._renew()
            self._keep_up()
            if self.replay:
                return
            now = self.clock.now()
            self.collector.collect(self._scope(), self.watermark(), now)
            self._move_watermark(now - self.project.config.timeouts.request.delta - FLUSH_LAG)
            self.take_looks()

    def _renew(self) -> None:
        now = datetime.now(UTC)
        if self._lease is not None and self._lease.expires_at - now < LEASE_TTL / 2:
            try:
                with self.store.begin() as tx:
                    self._lease = tx.leases.renew(self._lease, LEASE_TTL, now)
            except Conflict as error:
                raise LeaseLost(error.code, error.message) from error

    # ── traffic ────────────────────────────────────────────────────────────────────────────────────────────────────

    def reconcile(self) -> Applied:
        """Put in force what is stored: hosts, then routes."""
        with self.lock:
            return self.traffic.reconcile()

    def reroute(self) -> Applied:
        """Put the stored state and the kill latches in force again, without touching hosts."""
        with self.lock:
            return self.traffic.reroute()

    def reroute_killed(self) -> Applied:
        """The kill latches in force now; where the store does not answer, over the routes as they are."""
        with self.lock:
            try:
                return self.traffic.reroute()
            except STORE_DOWN:
                log.exception("the store does not answer; the kill latches are put over the routes in force")
                return self.traffic.enforce_latches()

    def latches(self) -> tuple[KillLatch, ...]:
        return self.traffic.latches()

    def bring_up(self, version: ModelVersion) -> None:
        """A host for a version nothing points to yet; the lock is free while it starts."""
        with self.lock:
            self.hosts.bring_up(version)
        self.hosts.settle()

    @contextmanager
    def candidate_up(self, version: ModelVersion) -> Iterator[None]:
        """A version nothing points to yet, up for as long as it takes to point to it. Raises Unavailable."""
        key = (version.model, version.number)
        try:
            with self.hosts.held(key):
                with self.lock:
                    self.hosts.bring_up(version)
                self.hosts.wait(key)
                yield
        finally:
            with self.lock:
                self.traffic.tidy()

    def _keep_up(self) -> None:
        if self.envoy.pid is None and time.monotonic() >= self._gateway_at:
            self._gateway_at = time.monotonic() + RETRY_S
            log.error("the gateway is gone; starting it again")
            self._drain()
            self._start_gateway()
        self.traffic.keep_up()
        self.finish()
        self.heed_kills()

    def _start_gateway(self) -> None:
        """Start or adopt Envoy. What one before it wrote is drained before the new one is counted with."""
        before = self.envoy.pid
        pid = self.envoy.start()
        if before not in (None, pid):
            self._drain()
        self.collector.attach(pid)

    def _drain(self) -> None:
        self.collector.collect(self._scope(), self.watermark(), self.clock.now())

    # ── capture and time ───────────────────────────────────────────────────────────────────────────────────────────

    def _scope(self) -> Scope:
        with self.store.read() as tx:
            found = {model.name: active_release(tx, model.name) for model in tx.models.list_models()}
        rollouts: dict[str, str] = {r.state.rollout: name for name, r in found.items() if r is not None}
        return Scope({name: self._context(release) for name, release in found.items()}, rollouts)

    def _context(self, release: Release | None) -> CaptureContext:
        """How to read a model's captured requests."""
        secrets = self.project.secrets()
        segments = () if release is None else tuple((s.name, s.field) for s in release.plan.segments)
        return CaptureContext(
            segments=segments, bucket_salt=secrets.bucket_salt, unit_key=secrets.unit_key, replay=self.replay
        )

    def watermark(self) -> datetime:
        """Event time up to which everything is captured."""
        with self.store.read() as tx:
            return tx.settings.time(WATERMARK_KEY) or EPOCH

    def _move_watermark(self, to: datetime) -> None:
        with self.store.begin() as tx:
            if to > (tx.settings.time(WATERMARK_KEY) or EPOCH):
                tx.settings.advance_time(WATERMARK_KEY, to, to)

    def advance(self, to: datetime) -> None:
        """Replay: wait until everything that was sent is captured, move the stored clock, take the looks due."""
        with self.lock:
            self._keep_up()
            self.collector.settle(self._scope(), self.watermark(), to)
            with self.store.begin() as tx:
                StoredClock.move(tx, to)
            self._move_watermark(to)
            self.take_looks()

    # ── looks ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def take_looks(self) -> None:
        """Every look that is due at the watermark, in order; each sees exactly the events up to its own tick.

        A model whose look fails does not keep the others from theirs; the first error is raised in the end.
        """
        until = self.watermark()
        active = self._active()
        for rollout in [rollout for rollout in self._watches if rollout not in {r.state.rollout for r in active}]:
            self._watches.pop(rollout).close()
        errors = []
        for release in active:
            try:
                self._follow(release, until)
            except Exception as error:
                log.exception("a look at %s failed", release.state.rollout)
                errors.append(error)
        if errors:
            raise errors[0]

    def _active(self) -> list[Release]:
        with self.store.read() as tx:
            found = [active_release(tx, model.name) for model in tx.models.list_models()]
        return [release for release in found if release is not None]

    def _follow(self, release: Release, until: datetime) -> None:
        current: Release | None = release
        while current is not None and not current.state.over:
            watch = self._watch(current)
            at = watch.next_look(current.state)
            if at > until:
                return
            signals = self._signals(current)
            looked = watch.look(current.state, at, self.collector.captured(current.state.rollout), signals)
            self._act(current, looked)
            with self.store.read() as tx:
                current = active_release(tx, release.state.model)

    def _watch(self, release: Release) -> Watch:
        rollout = release.state.rollout
        if rollout not in self._watches:
            self._watches[rollout] = Watch(self.project, release)
        return self._watches[rollout]

    def _signals(self, release: Release) -> Signals:
        killed = next((latch for latch in self.latches() if latch.model == release.state.model), None)
        return Signals(killed=f"{killed.actor}: {killed.reason}" if killed else "")

    # ── acting ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _act(self, release: Release, looked: Looked) -> None:
        """Protective moves are routed first and recorded second; everything else the other way round."""
        decision = looked.decision
        with self.store.read() as tx:
            keep = worth_storing(decision, tx.decisions.last(release.state.rollout))
        digest = put_evidence(self.artifacts, looked.evidence) if keep else None
        move = move_of(release, decision, looked.state, digest)
        if decision.action in PROTECTIVE:
            self.protect(move)
            self.finish()
        else:
            self._record(move, keep)
        if decision.phase != release.state.phase.number:
            log.info("%s %s: %s", decision.rollout, decision.action, decision.reason)
            self.reconcile()

    def protect(self, move: Entry) -> Applied:
        """Put a protective move in force at once; ``finish`` records it. From here on no crash takes it back."""
        with self.lock:
            self.journal.write(move)
            return self.reroute()

    def finish(self) -> None:
        """Record the moves that were routed and not recorded yet: just now, or by a controller that died in between."""
        with self.lock:
            moves = self.journal.moves()
            for move in moves:
                if isinstance(move, Homecoming):
                    self._record_homecoming(move)
                elif self._is_pending(move):
                    self._record(move, keep=True)
            if moves:
                self.journal.clear()

    def _is_pending(self, move: Move) -> bool:
        with self.store.read() as tx:
            return any(is_pending(move, stored) for stored in tx.rollouts.list(active=True))

    def _record(self, move: Move, keep: bool) -> None:
        decision, state = decision_from_json(move.decision), state_from_json(move.state)
        digest = None if move.evidence is None else Digest(move.evidence)
        with self.store.begin() as tx:
            record(tx, decision, state, revision=move.revision, digest=digest, store_decision=keep)

    def _record_homecoming(self, move: Homecoming) -> None:
        with self.store.begin() as tx:
            pointers = tx.models.pointers(move.model)
            if (pointers.get("champion"), pointers.get("previous")) == (move.champion, move.home):
                at = datetime.fromisoformat(move.at)
                releases.roll_back(
                    tx.models, move.model, expected_champion=move.champion, actor=move.actor, now=at, reason=move.reason
                )

    def heed_kills(self) -> None:
        """What follows from kills, once for each, also from one that came while no controller ran: the rollout of a
        killed model is over, and the kill is in the audit log."""
        with self.lock:
            latches = self.latches()
            if not latches:
                return
            with self.store.read() as tx:
                new = _unheeded(tx, latches)
                killed = [(latch, release) for latch in new if (release := active_release(tx, latch.model))]
            for latch, release in killed:
                now, reason = self.clock.now(), f"kill switch: {latch.reason}"
                self.protect(abort_of(release, reason, latch.actor, now))
                self.finish()
            if new:
                with self.store.begin() as tx:
                    self._audit(tx, new, latches)

    def _audit(self, tx: Transaction, new: list[KillLatch], latches: tuple[KillLatch, ...]) -> None:
        now = self.clock.now()
        for latch in new:
            detail = {"mode": latch.mode, "reason": latch.reason, "killed_at": latch.time.isoformat()}
            tx.audit.append(latch.actor, "model.kill", latch.model, detail, now)
        tx.settings.put(HEEDED_KEY, {latch.model: latch.time.isoformat() for latch in latches}, now)


def _unheeded(tx: Transaction, latches: tuple[KillLatch, ...]) -> list[KillLatch]:
    known = tx.settings.get(HEEDED_KEY)
    times = {} if known is None else known.value
    return [latch for latch in latches if times.get(latch.model) != latch.time.isoformat()]


def _is_dead(holder: str) -> bool:
    """Whether a lease's holder is a process of this machine that runs no more; of another machine nobody knows."""
    host, _, process = holder.partition(":")
    pid, _, since = process.partition(":")
    return host == socket.gethostname() and pid.isdigit() and not processes.running(int(pid), since)
