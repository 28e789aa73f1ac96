"""Looks at the evidence of all active rollouts: taken in the order in which they fall due, and acted upon."""

from __future__ import annotations

import logging
import time
from contextlib import AbstractContextManager
from datetime import datetime

from seatrial.control.anchors import chains
from seatrial.control.collector import Collector
from seatrial.control.ledger import Ledger
from seatrial.control.moves import move_of
from seatrial.control.project import Project
from seatrial.control.recorder import put_evidence, worth_storing
from seatrial.control.render import Release, active_release
from seatrial.control.traffic import Traffic
from seatrial.control.watch import Watch
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
    """Watches rollouts. Takes the controller's locks for one look at a time."""

    def __init__(
        self,
        project: Project,
        store: FencedStore,
        artifacts: ArtifactStore,
        traffic: Traffic,
        collector: Collector,
        ledger: Ledger,
        lock: AbstractContextManager[object],
    ) -> None:
        self._project, self._store, self._artifacts = project, store, artifacts
        self._traffic, self._collector, self._ledger, self._lock = traffic, collector, ledger, lock
        self._watches: dict[str, Watch] = {}

    def take(self, until: datetime) -> None:
        """Every look that is due at ``until``, in order; each sees exactly the events up to its own tick.

        A model whose look fails does not keep the others from theirs; the first error is raised in the end.
        """
        errors = []
        for model in self._watched():
            try:
                while self._take_next(model, until):
                    time.sleep(GIVE_WAY_S)
            except LeaseLost:
                raise
            except Exception as error:
                log.exception("a look at the rollout of %s failed", model)
                errors.append(error)
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

    def _watched(self) -> list[str]:
        """Models in a rollout. What was summed up for rollouts that are over is freed."""
        with self._lock, self._store.read() as tx:
            found = [active_release(tx, model.name) for model in tx.models.list_models()]
            active = {release.state.rollout: release.state.model for release in found if release is not None}
            for rollout in [rollout for rollout in self._watches if rollout not in active]:
                self._watches.pop(rollout).close()
        return [*active.values()]

    def _take_next(self, model: str, until: datetime) -> bool:
        """Take the model's next look if it is due; False when there is none."""
        with self._lock:
            self._store.renew()
            with self._store.read() as tx:
                release = active_release(tx, model)
            if release is None or release.state.over:
                return False
            watch = self._watch(release)
            at = watch.next_look(release.state)
            if at > until:
                return False
            captured = self._collector.captured(release.state.rollout)
            self.act(release, watch.look(release.state, at, captured, self._signals(release)))
            return True

    def _watch(self, release: Release) -> Watch:
        rollout = release.state.rollout
        if rollout not in self._watches:
            self._watches[rollout] = Watch(self._project, release)
        return self._watches[rollout]

    def _signals(self, release: Release) -> Signals:
        model = release.state.model
        killed = next((latch for latch in self._traffic.latches() if latch.model == model), None)
        return Signals(killed=f"{killed.actor}: {killed.reason}" if killed else "", chains=self._chains(release))

    def _chains(self, release: Release) -> tuple[Chain, ...]:
        """What was lost before this release; asked for where it would be promoted."""
        if release.state.stage + 1 < len(compile_stages(release.plan)):
            return ()
        with self._store.read() as tx:
            return chains(tx, release.state.model, release.plan)

    def act(self, release: Release, looked: Looked) -> None:
        """Protective moves are routed first and recorded second; everything else the other way round."""
        decision = looked.decision
        with self._store.read() as tx:
            keep = worth_storing(decision, tx.decisions.last(release.state.rollout))
        digest = put_evidence(self._artifacts, looked.evidence) if keep else None
        move = move_of(release, decision, looked.state, digest, looked.signals)
        if decision.action in PROTECTIVE or decision.units_held:
            self._ledger.protect(move)
            self._ledger.finish()
        else:
            self._ledger.record(move, keep=keep)
        if decision.phase != release.state.phase.number:
            log.info("%s %s: %s", decision.rollout, decision.action, decision.reason)
            self._traffic.reconcile()
