"""The controller: what is stored becomes what runs, and what was captured becomes decisions.

One controller a project, by a lease in the store. Everything it does is under ``lock``: the loop's thread and the calls
of the API take turns. Nothing that may take long happens under it, so that a rollback never waits for long, and a kill
does not ask for it at all. Reading the capture log takes long when there is much of it, so it has a lock of its own,
``collecting``; whoever needs both (``quiet``) takes that one first.

What serves users comes first and needs no store: a gateway or a host that died or hangs is replaced whatever else
fails.
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
from seatrial.control import holdouts
from seatrial.control.alerting import alerts
from seatrial.control.anchoring.watch import AnchorWatch
from seatrial.control.approvals.watch import ApprovalWatch
from seatrial.control.capture.collector import Collector, Scope
from seatrial.control.capture.housekeeping import Housekeeping
from seatrial.control.capture.reading import capture_context
from seatrial.control.clock import EPOCH, Clock, StoredClock, WallClock
from seatrial.control.drills.calendar import DrillWatch
from seatrial.control.journal import Entry, Homecoming
from seatrial.control.ledger import Ledger
from seatrial.control.locks import Locks
from seatrial.control.looks import Looks
from seatrial.control.probes import Probes, Target
from seatrial.control.project import Project
from seatrial.control.reconciler import Reconciler
from seatrial.control.render import active_release
from seatrial.control.retention.keeper import Keeper
from seatrial.control.traffic import RETRY_S, STORE_DOWN, Traffic
from seatrial.control.way_home.timing import Homecomings, Way
from seatrial.control.way_home.upkeep import Standbys
from seatrial.events.capture import CaptureContext
from seatrial.events.outcomes import OutcomeLog
from seatrial.gateway.envoy import Applied
from seatrial.gateway.kill import KillLatch
from seatrial.registry.version import ModelVersion
from seatrial.store.artifacts import ArtifactStore
from seatrial.store.db import Store, Transaction
from seatrial.store.fenced import FencedStore
from seatrial.store.leases import Lease, LeaseLost

log = logging.getLogger("seatrial.control")

LEASE = "controller"
LEASE_TTL = timedelta(seconds=20)
WATERMARK_KEY = "watermark"
GATEWAY = "gateway"

TICK_S = 0.25
FLUSH_LAG = timedelta(seconds=1)
"""Wall clock: events older than the longest request and this are surely captured (Envoy flushes its log at 0.2 s)."""


class Controller:
    """Owns the store, Envoy, the hosts and the evidence of all active rollouts.

    ``store`` is written by whoever holds the lease, and by nobody else: see ``FencedStore``.
    """

    def __init__(self, project: Project, store: Store, *, lease_ttl: timedelta = LEASE_TTL) -> None:
        holder = f"{socket.gethostname()}:{os.getpid()}:{processes.started(os.getpid())}"
        self.project, self.store = project, FencedStore(store, LEASE, holder, lease_ttl)
        self.replay = project.config.clock == "replay"
        self._wall = WallClock()
        self.clock: Clock = StoredClock(store) if self.replay else self._wall
        self.artifacts = ArtifactStore(project.artifacts)
        self.traffic = Traffic(project, self.store, self.artifacts)
        self.envoy, self.hosts, self.journal = self.traffic.envoy, self.traffic.hosts, self.traffic.journal
        self.outcomes = OutcomeLog(project.outcomes, clock=self.clock.now)
        self.collector = Collector(project, self.envoy)
        self.lock, self.collecting = threading.RLock(), threading.RLock()
        self.quiet = Locks(self.collecting, self.lock)
        self.homecomings = Homecomings(project, self.store, self.envoy, self.clock)
        self.ledger = Ledger(self.store, self.traffic, self.clock, self.homecomings)
        self.looks = Looks(
            project, self.store, self.artifacts, self.traffic, self.collector, self.ledger, self.quiet, self.collecting
        )
        self.housekeeping = Housekeeping(
            project, self.store, self.collector, self.clock, self.quiet,
            drain=self._drain, watermark=self.watermark, forget=self.looks.forget,
        )  # fmt: skip
        self.reconciler = Reconciler(project, self.store, self.clock, until=self.watermark, go_home=self.go_home)
        self.standbys = Standbys(project, self.store, self.clock)
        self.drills = DrillWatch(project, self.store, self.clock)
        self.approvals = ApprovalWatch(project, self.store, self.clock)
        self.anchors = AnchorWatch(project, self.store)
        self.keeper = Keeper(project, self.store, self.clock)
        self.probes = Probes(self._probed)
        self.lost: LeaseLost | None = None
        self._started = False
        self._failed = ""
        self._gateway_at = 0.0
        self._known_scope = Scope({}, {})
        self._known_watermark = EPOCH

    # ── life ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Take the lease, bring everything up, and finish what a crash left unrecorded or undecided."""
        with self.quiet:
            self.take_lease()
            try:
                self._wall.not_before(self.watermark() + self._lag)
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

    def take_lease(self) -> None:
        """At once from a controller of this machine that is dead. Raises ``LeaseHeld``."""
        self.store.take(is_dead=_is_dead, taken_over=self._taken_over)

    def _taken_over(self, tx: Transaction, before: Lease) -> None:
        log.warning("took over from %s, which had not given its lease back", before.holder)
        tx.alerts.put(alerts.of_takeover(before.holder, self.store.holder, before.fence, datetime.now(UTC)))

    def stop(self) -> None:
        """Release everything. Envoy and the hosts go on: traffic does not depend on this process."""
        self.homecomings.close()
        with self.quiet:
            self._started = False
            self.looks.close()
            self.collector.close()
            self.traffic.close()
            with suppress(*STORE_DOWN):  # then the lease runs out by itself
                self.store.give_back()

    def missing(self) -> str:
        """What is not as it should be, for people; empty when everything runs. Needs no lock."""
        if not self._started:
            return "the controller has not started"
        return self._failed or self.traffic.missing()

    def run(self, stopping: threading.Event) -> None:
        """The loop: every quarter of a second until told to stop, or ``lost`` says who took over.

        An error of one round is logged, not fatal.
        """
        with (
            self.probes, self.housekeeping, self.reconciler, self.standbys, self.drills, self.anchors, self.approvals,
            self.keeper,
        ):  # fmt: skip
            while not stopping.wait(TICK_S):
                try:
                    self.tick()
                    self._failed = ""
                except LeaseLost as error:
                    self.lost = error
                    return
                except Exception as error:  # whatever it is, the other models and the next round go on
                    failed = f"the last round failed: {error}"
                    if failed != self._failed:  # an outage of an hour is one entry in the log, not fourteen thousand
                        log.exception("this round failed; the next one tries again")
                    self._failed = failed

    def tick(self) -> None:
        """One round: gateway and hosts, lease, capture, and on the wall clock the looks that fell due."""
        with self.quiet:
            self._keep_running()
            self.store.renew()
            self._keep_up()
            if self.replay or self.probes.doubts(GATEWAY, self.envoy.pid):  # who hangs is not asked for its counters
                return
            now = self.clock.now()
        with self.collecting:
            self._drain()
        with self.lock:
            self._move_watermark(now - self._lag)
        self.take_looks()

    @property
    def _lag(self) -> timedelta:
        """On the wall clock, how far the watermark stays behind."""
        return self.project.config.timeouts.request.delta + FLUSH_LAG

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

    def switch_killed(self) -> Applied:
        """The kill latches over the routes in force, at once: waits for neither the store nor the lock."""
        return self.traffic.enforce_latches()

    def latches(self) -> tuple[KillLatch, ...]:
        return self.traffic.latches()

    def bring_up(self, version: ModelVersion) -> None:
        """A host for a version nothing points to yet; the lock is free while it starts."""
        with self.lock:
            self.traffic.bring_up(version)
        self.hosts.settle()

    @contextmanager
    def candidate_up(self, version: ModelVersion) -> Iterator[None]:
        """A version nothing points to yet, up for as long as it takes to point to it. Raises Unavailable."""
        key = (version.model, version.number)
        try:
            with self.hosts.held(key):
                with self.lock:
                    self.traffic.bring_up(version)
                self.hosts.wait(key)
                yield
        finally:
            with self.lock:
                self.traffic.tidy()

    # ── keeping it running ─────────────────────────────────────────────────────────────────────────────────────────

    def _keep_running(self) -> None:
        """Replace a gateway and hosts that died or hang. Needs no store; what it would have told is found out later."""
        if self.probes.hangs(GATEWAY, self.envoy.pid):
            log.error("the gateway does not answer any more; it is ended and started again")
            self.envoy.kill()
        if self.envoy.pid is None and time.monotonic() >= self._gateway_at:
            self._gateway_at = time.monotonic() + RETRY_S
            log.error("the gateway is gone; starting it again")
            with suppress(*STORE_DOWN, OSError):  # a full disk, say: users do not wait for the log
                self._drain()
            self._start_gateway()
        self.traffic.keep_hosts(hung=[key for key, pid in self.hosts.pids().items() if self.probes.hangs(key, pid)])

    def _keep_up(self) -> None:
        """Put in force and record what is not yet."""
        self.traffic.keep_up()
        self.finish()
        self.heed_kills()

    def _start_gateway(self) -> None:
        """Start or adopt Envoy. What one before it wrote is drained before the new one is counted with."""
        before = self.envoy.pid
        pid = self.traffic.start_gateway()
        if before not in (None, pid):
            self._drain()
        self.collector.attach(pid, fresh=before != pid)

    def _probed(self) -> list[Target]:
        """Everything that must answer, for the probes' thread."""
        pid = self.envoy.pid
        gateway = [] if pid is None else [Target(GATEWAY, pid, self.envoy.healthy)]
        return [*gateway, *self.hosts.targets()]

    def _drain(self) -> None:
        self.collector.collect(self._scope(), self.watermark(), self.clock.now())

    # ── capture and time ───────────────────────────────────────────────────────────────────────────────────────────

    def _scope(self) -> Scope:
        """What is captured; while the store does not answer, as it was known before: nobody else could change it."""
        with suppress(*STORE_DOWN):
            self._known_scope = self._read_scope()
        return self._known_scope

    def _read_scope(self) -> Scope:
        with self.store.read() as tx:
            found = [(model, active_release(tx, model.name)) for model in tx.models.list_models()]
        secrets = self.project.secrets()
        contexts: dict[str, CaptureContext] = {
            model.name: capture_context(model, release.plan if release else None, secrets, replay=self.replay)
            for model, release in found
        }
        rollouts: dict[str, str] = {r.state.rollout: model.name for model, r in found if r is not None}
        return Scope(contexts, rollouts)

    def watermark(self) -> datetime:
        """Event time up to which everything is captured."""
        with suppress(*STORE_DOWN), self.store.read() as tx:
            self._known_watermark = tx.settings.time(WATERMARK_KEY) or EPOCH
        return self._known_watermark

    def _move_watermark(self, to: datetime) -> None:
        with self.store.begin() as tx:
            if to > (tx.settings.time(WATERMARK_KEY) or EPOCH):
                tx.settings.advance_time(WATERMARK_KEY, to, to)

    def advance(self, to: datetime) -> None:
        """Replay: wait until everything that was sent is captured, move the stored clock, take the looks due.

        Once more to the same time does nothing that was done, and finishes what a crash cut off.
        """
        with self.quiet:
            self._keep_running()
            self._keep_up()
            scope, watermark = self._scope(), self.watermark()
        self.collector.settle(scope, watermark, to, self.collecting)
        with self.lock:
            with self.store.begin() as tx:
                StoredClock.move(tx, to)
            self._move_watermark(to)
        self.take_looks()

    # ── looks and moves ────────────────────────────────────────────────────────────────────────────────────────────

    def take_looks(self) -> None:
        """Every look that is due; the lock is free between two of them. In a replay, reconciliations too."""
        self._end_holdouts(self.watermark())
        self.looks.take(self.watermark())
        if self.replay:
            self.reconciler.take(self.watermark())

    def _end_holdouts(self, now: datetime) -> None:
        """Units whose holdout is over are everybody's from now on."""
        due = False
        with suppress(*STORE_DOWN), self.store.read() as tx:
            due = holdouts.any_due(tx, now)
        if due:
            with self.lock:
                with self.store.begin() as tx:
                    holdouts.expire(tx, now)
                self.traffic.reconcile()

    def protect(self, move: Entry, *, began: float | None = None, since: datetime | None = None) -> Way | None:
        """Put a protective move in force at once; ``finish`` records it. From here on no crash takes it back."""
        with self.lock:
            return self.ledger.protect(move, began=began, since=since)

    def go_home(self, move: Homecoming) -> None:
        """Bring a model's standby back: routed, recorded, and its host and routes as they should be."""
        with self.lock:
            self.ledger.protect(move)
            self.ledger.finish()
            self.traffic.reconcile()

    def finish(self) -> None:
        """Record what was routed and not recorded yet."""
        with self.lock:
            self.ledger.finish()

    def heed_kills(self) -> None:
        """What follows from kills, once for each."""
        with self.lock:
            self.ledger.heed_kills()


def _is_dead(holder: str) -> bool:
    """Whether a lease's holder is a process of this machine that runs no more; of another machine nobody knows."""
    host, _, process = holder.partition(":")
    pid, _, since = process.partition(":")
    return host == socket.gethostname() and pid.isdigit() and not processes.running(int(pid), since)
