"""Looks at the evidence of all active rollouts: taken in the order in which they fall due, and acted upon."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import datetime

from seatrial.control.anchors import chains
from seatrial.control.approvals import gate
from seatrial.control.capture.collector import Collector
from seatrial.control.drills.calendar import hold
from seatrial.control.ledger import Ledger
from seatrial.control.moves import move_of
from seatrial.control.project import Project
from seatrial.control.recorder import put_evidence, worth_storing
from seatrial.control.render import Release, active_release
from seatrial.control.traffic import Traffic
from seatrial.control.watch import Watch
from seatrial.control.way_home.upkeep import holds
from seatrial.engines.evidence import FleetEvidence
from seatrial.rollout.chain import Chain
from seatrial.rollout.look import Looked
from seatrial.rollout.stages import compile_stages
from seatrial.rollout.verdicts import Signals
from seatrial.store.artifacts import ArtifactStore
from seatrial.store.fenced import FencedStore
from seatrial.store.leases import LeaseLost

log = logging.getLogger("seatrial.control")

PROTECTIVE = frozenset({"abort", "step_back"})
GIVE_WAY_S = 0.001
"""Between two looks whoever waits for the controller gets a turn: a lock that is asked for again at once is not handed
on."""


class Looks:
    """Watches rollouts. Takes the controller's locks (``lock``) for one look at a time.

    Evidence is summed up under ``reading``, which ``lock`` includes, and nothing else.
    """

    def __init__(
        self,
        project: Project,
        store: FencedStore,
        artifacts: ArtifactStore,
        traffic: Traffic,
        collector: Collector,
        ledger: Ledger,
        lock: AbstractContextManager[object],
        reading: AbstractContextManager[object],
    ) -> None:
        self._project, self._store, self._artifacts = project, store, artifacts
        self._traffic, self._collector, self._ledger, self._lock = traffic, collector, ledger, lock
        self._reading, self._evidence = reading, FleetEvidence(project.events, project.outcomes)
        self._watches: dict[str, Watch] = {}

    def take(self, until: datetime) -> None:
        """Every look that is due at ``until``, in order; each sees exactly the events up to its own tick.

        In rounds: of each rollout the next look that is due. The evidence of a round is summed up at once.
        A model whose look fails does not keep the others from theirs; the first error is raised in the end.
        """
        errors: list[Exception] = []
        began, due = time.perf_counter(), self._due(until, None)
        while due:
            taken = []
            for model, broken in due.items():
                try:
                    if broken is not None:
                        raise broken
                    self._take_next(model, until, began)
                    taken.append(model)
                except LeaseLost:
                    raise
                except Exception as error:
                    log.exception("a look at the rollout of %s failed", model)
                    errors.append(error)
                time.sleep(GIVE_WAY_S)
            began, due = time.perf_counter(), self._due(until, taken)
        if errors:
            raise errors[0]

    def forget(self, model: str) -> None:
        """Free the evidence of one model: rows of it are gone, so the next look sums up what is left."""
        with self._lock:
            for rollout in [rollout for rollout, watch in self._watches.items() if watch.model == model]:
                self._watches.pop(rollout).close()

    def close(self) -> None:
        """Free the evidence; whoever looks next sums it up again."""
        for rollout in [*self._watches]:
            self._watches.pop(rollout).close()

    def _due(self, until: datetime, among: Sequence[str] | None) -> dict[str, Exception | None]:
        """Models (``among``; None: all) whose next look is due, its evidence summed up, or why that failed.

        Whoever waits for the log waits for this, and no rollback does.
        """
        with self._reading:
            active = self._active(among)
            looks = ((release.state.rollout, self._watch(release).next_look(release.state)) for release in active)
            ticks: dict[str, datetime] = {rollout: at for rollout, at in looks if at <= until}
            failed = self._evidence.advance(ticks, self._renew)
        due = (release.state for release in active if release.state.rollout in ticks)
        return {state.model: failed.get(state.rollout) for state in due}

    def _renew(self) -> None:
        """Keep the lease while a long history is read: nobody else does meanwhile."""
        with self._lock:
            self._store.renew()

    def _active(self, among: Sequence[str] | None) -> list[Release]:
        """Rollouts of models. Where all are asked for, what was kept of rollouts that are over is freed."""
        with self._store.read() as tx:
            models = [model.name for model in tx.models.list_models()] if among is None else among
            found = [active_release(tx, model) for model in models]
        active = {release.state.rollout: release for release in found if release is not None}
        for rollout in [rollout for rollout in self._watches if among is None and rollout not in active]:
            self._watches.pop(rollout).close()
        return [release for release in active.values() if not release.state.over]

    def _take_next(self, model: str, until: datetime, began: float) -> None:
        """Take the model's next look, if that is still due. ``began``: when its evidence began to be summed up."""
        with self._lock:
            self._store.renew()
            with self._store.read() as tx:
                release = active_release(tx, model)
            if release is None or release.state.over:
                return
            watch = self._watch(release)
            at = watch.next_look(release.state)
            if at <= until:
                captured = self._collector.captured(release.state.rollout)
                self.act(release, watch.look(release.state, at, captured, self._signals(release, at)), began)

    def _watch(self, release: Release) -> Watch:
        rollout = release.state.rollout
        if rollout not in self._watches:
            self._watches[rollout] = Watch(self._project, release, self._evidence)
        return self._watches[rollout]

    def _signals(self, release: Release, at: datetime) -> Signals:
        model = release.state.model
        killed = next((latch for latch in self._traffic.latches() if latch.model == model), None)
        return Signals(
            killed=f"{killed.actor}: {killed.reason}" if killed else "",
            freeze=self._unproven(release, at),
            chains=self._chains(release),
            approval=self._approval(release, at),
            drill=self._drill(release, at),
        )

    def _unproven(self, release: Release, at: datetime) -> str:
        """Why the next stage waits for the way home, where the plan asks how fast that is."""
        if release.plan.back_within is None:
            return ""
        with self._store.read() as tx:
            return holds(tx, self._project, release.state.model, release.plan, at)

    def _approval(self, release: Release, at: datetime) -> str:
        """Why the next stage waits for an approval of the release that held when it began."""
        if self._project.config.approvals is None:
            return ""
        with self._store.read() as tx:
            return gate.hold(tx, self._project, release.state.rollout, at)

    def _drill(self, release: Release, at: datetime) -> str:
        """Why a promotion waits for a drill; asked for where it would happen."""
        if self._project.config.drills is None or release.state.stage + 1 < len(compile_stages(release.plan)):
            return ""
        with self._store.read() as tx:
            return hold(tx, self._project, release.state.model, at)

    def _chains(self, release: Release) -> tuple[Chain, ...]:
        """What was lost before this release; asked for where it would be promoted."""
        if release.state.stage + 1 < len(compile_stages(release.plan)):
            return ()
        with self._store.read() as tx:
            return chains(tx, release.state.model, release.plan)

    def act(self, release: Release, looked: Looked, began: float | None = None) -> None:
        """Protective moves are routed first and recorded second; everything else the other way round.

        ``began``: when the look was begun (``time.perf_counter``).
        """
        decision = looked.decision
        with self._store.read() as tx:
            keep = worth_storing(decision, tx.decisions.last(release.state.rollout))
        digest = put_evidence(self._artifacts, looked.evidence) if keep else None
        move = move_of(release, decision, looked.state, digest, looked.signals)
        if decision.action in PROTECTIVE or decision.units_held:
            self._ledger.protect(move, began=began)
            self._ledger.finish()
        else:
            self._ledger.record(move, keep=keep)
        if decision.phase != release.state.phase.number:
            log.info("%s %s: %s", decision.rollout, decision.action, decision.reason)
            self._traffic.reconcile()
