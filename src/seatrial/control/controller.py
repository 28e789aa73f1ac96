"""The controller: what is stored becomes what runs, and what was captured becomes decisions.

One controller a project, by a lease in the store. Everything it does is under one lock: the loop's thread and the calls
of the API take turns.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from seatrial import processes
from seatrial.control.clock import EPOCH, Clock, StoredClock, WallClock
from seatrial.control.collector import Collector
from seatrial.control.hosts import Hosts
from seatrial.control.journal import Journal, Move
from seatrial.control.project import Project
from seatrial.control.recorder import put_evidence, record, worth_storing
from seatrial.control.render import Desired, Release, VersionKey, active_release, desired, route_table
from seatrial.control.states import decision_from_json, decision_to_json, state_from_json, state_to_json
from seatrial.control.watch import Watch
from seatrial.errors import Conflict, SeatrialError, Unavailable
from seatrial.events.capture import CaptureContext
from seatrial.events.outcomes import OutcomeLog
from seatrial.gateway.envoy import Applied, Envoy
from seatrial.gateway.kill import KillLatch, apply_latches, read_latches
from seatrial.gateway.routes import Endpoint, RouteTable
from seatrial.ids import Digest, VersionNumber
from seatrial.rollout.look import Looked
from seatrial.rollout.verdicts import Signals
from seatrial.store.artifacts import ArtifactStore
from seatrial.store.db import Store
from seatrial.store.leases import Lease

log = logging.getLogger("seatrial.control")

LEASE = "controller"
LEASE_TTL = timedelta(seconds=20)
WATERMARK_KEY = "watermark"
GENERATION_KEY = "gateway.generation"
PROTECTIVE = frozenset({"abort", "step_back"})

TICK_S = 0.25
FLUSH_LAG = timedelta(seconds=1)
"""Wall clock: events older than the longest request and this are surely captured (Envoy flushes its log at 0.2 s)."""


class Controller:
    """Owns the store, Envoy, the hosts and the evidence of all active rollouts."""

    def __init__(self, project: Project, store: Store) -> None:
        self.project, self.store = project, store
        self.replay = project.config.clock == "replay"
        self.clock: Clock = StoredClock(store) if self.replay else WallClock()
        self.artifacts = ArtifactStore(project.artifacts)
        address = project.config.gateway
        flush_ms = 50 if self.replay else 200
        self.envoy = Envoy(project.gateway, address.port, host=address.host, flush_ms=flush_ms)
        self.hosts = Hosts(project, self.artifacts)
        self.outcomes = OutcomeLog(project.outcomes, clock=self.clock.now)
        self.collector = Collector(project, store, self.envoy, self.outcomes)
        self.journal = Journal(project.run / "journal.jsonl")
        self.lock = threading.RLock()
        self._watches: dict[str, Watch] = {}
        self._lease: Lease | None = None
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{processes.started(os.getpid())}"
        self.ready = False

    # ── life ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Take the lease, finish what a crash left unrecorded, and bring everything up."""
        with self.lock:
            self._lease = self._acquire()
            self._finish_journal()
            self.envoy.start()
            self.reconcile()
            with self.store.read() as tx:
                for want in desired(tx):
                    if want.release is not None:
                        self.collector.recount(want.model.name, want.release.state.rollout)
            self.ready = True

    def _acquire(self) -> Lease:
        """The lease; that of a controller which died on this machine is taken over at once."""
        now = datetime.now(UTC)
        with self.store.begin() as tx:
            held = tx.leases.get(LEASE, now)
            if held is not None and _is_dead(held.holder):
                tx.leases.release(held)
            return tx.leases.acquire(LEASE, self._holder, LEASE_TTL, now)

    def stop(self) -> None:
        """Give the lease back. Envoy and the hosts go on: traffic does not depend on this process."""
        with self.lock:
            self.ready = False
            if self._lease is not None:
                with self.store.begin() as tx:
                    tx.leases.release(self._lease)
                self._lease = None

    def run(self, stopping: threading.Event) -> None:
        """The loop: every quarter of a second until told to stop. An error of one round is logged, not fatal."""
        while not stopping.wait(TICK_S):
            try:
                self.tick()
            except Conflict:
                log.exception("another controller took over")
                return
            except (SeatrialError, OSError):
                log.exception("this round failed; the next one tries again")

    def tick(self) -> None:
        """One round: lease, hosts, capture, and on the wall clock the looks that fell due."""
        with self.lock:
            self._renew()
            for name in self.hosts.revive():
                log.warning("host of %s died and was restarted", name)
            if self.replay:
                return
            now = self.clock.now()
            self.collector.collect(self.contexts(), self.watermark(), now)
            self._move_watermark(now - self.project.config.timeouts.request.delta - FLUSH_LAG)
            self.take_looks()

    def _renew(self) -> None:
        now = datetime.now(UTC)
        if self._lease is not None and self._lease.expires_at - now < LEASE_TTL / 2:
            with self.store.begin() as tx:
                self._lease = tx.leases.renew(self._lease, LEASE_TTL, now)

    # ── desired state ──────────────────────────────────────────────────────────────────────────────────────────────

    def reconcile(self) -> Applied:
        """Hosts for every version that matters, then routes, then the hosts nobody needs any more are stopped."""
        with self.lock:
            with self.store.read() as tx:
                wanted = desired(tx)
                versions = [tx.models.get_version(*key) for want in wanted for key in want.versions()]
            endpoints = self.hosts.ensure(versions)
            try:
                self.hosts.wait(key for want in wanted for key in want.versions())
            except Unavailable as error:
                log.warning("%s Traffic is routed all the same: what is healthy answers.", error)
            applied = self.route(wanted, endpoints)
            self.hosts.keep_only(key for want in wanted for key in want.versions())
            return applied

    def route(self, wanted: list[Desired], endpoints: Mapping[VersionKey, Endpoint] | None = None) -> Applied:
        """Put the routes in force, kill latches first of all. Envoy's own word is waited for."""
        known = self.hosts.endpoints() if endpoints is None else endpoints
        table = route_table(wanted, known, self.project.config, generation=0)
        return self.envoy.apply(self._numbered(apply_latches(table, self.latches())))

    def latches(self) -> tuple[KillLatch, ...]:
        return read_latches(self.project.kill_latches)

    def _numbered(self, table: RouteTable) -> RouteTable:
        """The table under the next generation, or as it is in force if nothing changed."""
        current = self.envoy.table()
        if (current.models, current.replay) == (table.models, table.replay):
            return current
        with self.store.begin() as tx:
            number = tx.settings.next_number(GENERATION_KEY, datetime.now(UTC), above=current.generation)
        return RouteTable(number, table.models, table.replay)

    def contexts(self) -> dict[str, CaptureContext]:
        """How to read each model's captured requests."""
        secrets = self.project.secrets()
        with self.store.read() as tx:
            segments = {
                model.name: tuple((s.name, s.field) for s in release.plan.segments)
                for model in tx.models.list_models()
                if (release := active_release(tx, model.name)) is not None
            }
            names = [model.name for model in tx.models.list_models()]
        return {
            name: CaptureContext(
                segments=segments.get(name, ()),
                bucket_salt=secrets.bucket_salt,
                unit_key=secrets.unit_key,
                replay=self.replay,
            )
            for name in names
        }

    # ── time and looks ─────────────────────────────────────────────────────────────────────────────────────────────

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
            self.collector.settle(self.contexts(), self.watermark(), to)
            with self.store.begin() as tx:
                StoredClock.move(tx, to)
            self._move_watermark(to)
            self.take_looks()

    def take_looks(self) -> None:
        """Every look that is due at the watermark, in order; each sees exactly the events up to its own tick."""
        until = self.watermark()
        with self.store.read() as tx:
            releases = [want.release for want in desired(tx) if want.release is not None]
        for release in releases:
            self._follow(release, until)

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
        self._watches.pop(release.state.rollout, None)

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
        move = Move(
            release.state.rollout,
            release.stored.revision,
            decision_to_json(decision),
            state_to_json(looked.state),
            digest,
        )
        protective = decision.action in PROTECTIVE
        if protective:
            self.journal.write(move)
            after = None if looked.state.over else Release(release.stored, release.plan, looked.state)
            self._route_instead(release, after)
        self._record(move, keep)
        if protective:
            self.journal.clear()
        if decision.phase != release.state.phase.number:
            log.info("%s %s: %s", decision.rollout, decision.action, decision.reason)
            self.reconcile()

    def reroute(self) -> Applied:
        """Put the stored state and the kill latches in force again, without touching hosts."""
        with self.store.read() as tx:
            return self.route(desired(tx))

    def route_without(self, release: Release) -> Applied:
        """Take a rollout's candidate out of traffic at once; recording comes after."""
        return self._route_instead(release, None)

    def route_home(self, model: str, version: VersionNumber) -> Applied:
        """Send a model's traffic to its standby at once; recording comes after."""
        with self.store.read() as tx:
            wanted = [replace(w, champion=version, previous=None) if w.model.name == model else w for w in desired(tx)]
        return self.route(wanted)

    def _route_instead(self, old: Release, new: Release | None) -> Applied:
        with self.store.read() as tx:
            wanted = desired(tx)
        return self.route([replace(w, release=new) if _is(w.release, old) else w for w in wanted])

    def _record(self, move: Move, keep: bool) -> None:
        decision, state = decision_from_json(move.decision), state_from_json(move.state)
        digest = None if move.evidence is None else Digest(move.evidence)
        with self.store.begin() as tx:
            record(tx, decision, state, revision=move.revision, digest=digest, store_decision=keep)

    def _finish_journal(self) -> None:
        """Record protective moves that were routed but not recorded when the last controller died."""
        for move in self.journal.moves():
            with self.store.read() as tx:
                pending = tx.rollouts.get(move.rollout).revision == move.revision
            if pending:
                self._record(move, keep=True)
                log.warning("recorded a protective move of %s that a crash had cut off", move.rollout)
        self.journal.clear()


def _is(release: Release | None, other: Release) -> bool:
    return release is not None and release.state.rollout == other.state.rollout


def _is_dead(holder: str) -> bool:
    """Whether a lease's holder is a process of this machine that runs no more; of another machine nobody knows."""
    host, _, process = holder.partition(":")
    pid, _, since = process.partition(":")
    return host == socket.gethostname() and pid.isdigit() and not processes.running(int(pid), since)
