"""What is stored becomes what runs: hosts and routes, from the store, the journal and the kill latches.

Kill latches win over everything, and a journalled move over the store that does not know it yet. What could not be put
in force is remembered and tried again, until it is.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from seatrial.control.capture.reading import host_reading
from seatrial.control.gateway import gateway_of
from seatrial.control.hosts import Hosts
from seatrial.control.journal import Journal
from seatrial.control.levels.stand_ins import Wanted
from seatrial.control.project import Project
from seatrial.control.render import Desired, HostKey, active_release, desired, moved, route_table
from seatrial.control.way_home.scaling import scaled_down
from seatrial.errors import Conflict, IntegrityError, Unavailable
from seatrial.gateway.envoy import Applied
from seatrial.gateway.kill import KillLatch, apply_latches, latched, read_latches
from seatrial.gateway.process import Refused
from seatrial.gateway.routes import RouteTable
from seatrial.ids import ModelName
from seatrial.registry.fallback import called
from seatrial.registry.version import ModelVersion
from seatrial.store.artifacts import ArtifactStore
from seatrial.store.fenced import FencedStore

log = logging.getLogger("seatrial.control")

GENERATION_KEY = "gateway.generation"
RETRY_S = 2.0
LEFT_OUT_RETRY_S = 30.0
"""How often a version that could not be brought up is tried again: its artifact may have been put back."""

TRIES = 3
STORE_DOWN = (Unavailable, IntegrityError)
"""What a store that does not answer, or is damaged, raises."""


class Traffic:
    """Envoy, the model hosts and the journal. Whoever calls it holds the controller's lock."""

    def __init__(self, project: Project, store: FencedStore, artifacts: ArtifactStore) -> None:
        self._project, self._store = project, store
        self.envoy = gateway_of(project)
        self.hosts = Hosts(project, artifacts, self._tier)
        self.journal = Journal(project.run / "journal.jsonl")
        self._in_force: tuple[KillLatch, ...] | None = None
        self._settled = False
        self._retry_at = 0.0

    def start_gateway(self) -> int:
        """Adopt Envoy, or start it; returns its pid.

        Routes are made from the store. Where it does not answer, or Envoy refuses them, they are the last ones that
        were in force. Either way the kill latches are over them before the first request.
        """
        try:
            pid = self.envoy.start(self._as_stored)
        except Refused:
            log.exception("Envoy refuses the routes of the store; it starts on the last ones that were in force")
            pid = self.envoy.start(self._latched)
        if self.latches():
            self.enforce_latches()  # one that was adopted may not know them all
        return pid

    def _as_stored(self, last: RouteTable) -> RouteTable:
        try:
            wanted, versions = self._wanted()
            self._ensure_hosts(wanted, versions)
            return self._numbered(apply_latches(self._table(wanted), self.latches()), last)
        except STORE_DOWN:
            log.exception("the store does not answer; the gateway starts on the last routes that were in force")
            return self._latched(last)

    def _latched(self, last: RouteTable) -> RouteTable:
        return latched(last, self.latches())

    def reconcile(self) -> Applied:
        """Hosts for every version that matters, then routes, then the hosts nobody needs any more are ended."""
        self._settled = False
        wanted, versions = self._wanted()
        self._ensure_hosts(wanted, versions)
        self.hosts.settle()
        applied = self._route(wanted)
        self.tidy()
        self._settled = True
        return applied

    def bring_up(self, version: ModelVersion) -> HostKey:
        """A host for a version that nothing may point to yet."""
        with self._store.read() as tx:
            model, release = tx.models.get_model(version.model), active_release(tx, version.model)
        return self.hosts.bring_up(version, host_reading(model, None if release is None else release.plan))

    def reroute(self) -> Applied:
        """Put store, journal and kill latches in force now, with the hosts there are."""
        self._settled = False
        return self._route(self._wanted()[0])

    def enforce_latches(self) -> Applied:
        """Put the kill latches over the routes that are in force: needs neither the store nor the controller's lock."""
        self._settled = False
        for _ in range(TRIES - 1):
            with suppress(Conflict):  # somebody else was faster: then over theirs
                return self._enforce_latches()
        return self._enforce_latches()

    def _enforce_latches(self) -> Applied:
        return self.envoy.apply(self._latched(self.envoy.table()))

    def tidy(self) -> None:
        """End the hosts nobody needs."""
        self.hosts.keep_only(key for want in self._wanted()[0] for key in want.hosts())

    def keep_hosts(self, hung: Iterable[HostKey] = ()) -> None:
        """Hosts that died, and those that ``hung``, are started again. Needs no store."""
        for name in self.hosts.end(hung):
            log.error("the host of %s does not answer any more; it is ended and started again", name)
        moved = self.hosts.endpoints()
        for name in self.hosts.revive():
            log.warning("the host of %s died and was restarted", name)
        if moved != self.hosts.endpoints():  # somebody else has a port that was theirs
            self._settled = False

    def keep_up(self) -> None:
        """What is not in force yet, a new kill latch above all, is put in force."""
        outdated = not self._settled or self.latches() != self._in_force or self.hosts.left_out()
        if outdated and time.monotonic() >= self._retry_at:
            self._retry_at = time.monotonic() + RETRY_S
            self.reconcile()
            self._retry_at = time.monotonic() + LEFT_OUT_RETRY_S if self.hosts.left_out() else 0.0

    def latches(self) -> tuple[KillLatch, ...]:
        return read_latches(self._project.kill_latches)

    def missing(self) -> str:
        """What keeps traffic from flowing as it should, for people; empty when nothing does."""
        if not self.envoy.healthy():
            return "the gateway does not answer"
        if dead := self.hosts.dead():
            return f"the host of {', '.join(dead)} is not running"
        if starting := self.hosts.starting():
            return f"the host of {', '.join(starting)} is starting"
        if left_out := self.hosts.left_out():
            return "; ".join(
                f"{called(*key)} cannot be served, {self._who_answers(key[0])}: {why}" for key, why in left_out.items()
            )
        return "" if self._settled else "the routes are not in force yet"

    def _who_answers(self, model: str) -> str:
        route = next((route for route in self.envoy.table().models if route.model == model), None)
        if route is None or route.killed:
            return "nobody answers"
        return f"{'v' * route.champion.version.isdigit()}{route.champion.version} answers"

    def close(self) -> None:
        """Envoy and the hosts go on: traffic does not depend on this process."""
        self.hosts.close()

    def _wanted(self) -> tuple[list[Desired], list[ModelVersion]]:
        with self._store.read() as tx:
            wanted = moved(desired(tx), self.journal.moves())
            return wanted, [tx.models.get_version(*key) for want in wanted for key in want.versions()]

    def _tier(self, model: ModelName) -> int:
        with self._store.read() as tx:
            return tx.models.get_model(model).safety.tier

    def _ensure_hosts(self, wanted: list[Desired], versions: list[ModelVersion]) -> None:
        readings = {want.model.name: host_reading(want.model, want.plan) for want in wanted}
        features = {(version.model, version.number): version.serving.features for version in versions}
        stand_ins = [
            Wanted(want.model, one, features.get((want.model.name, want.champion), ()))
            for want in wanted
            for one in want.stand_ins()
        ]
        self.hosts.ensure(versions, readings, stand_ins, scaled_down(wanted, self.latches()))

    def _route(self, wanted: list[Desired]) -> Applied:
        """Envoy's own word is waited for. Only the holder of the lease changes routes by what is stored."""
        self._store.require()
        latches = self.latches()
        table = apply_latches(self._table(wanted), latches)
        applied = self.envoy.apply(self._numbered(table, self.envoy.table()))
        self._in_force = latches
        return applied

    def _table(self, wanted: list[Desired]) -> RouteTable:
        return route_table(wanted, self.hosts.endpoints(), self._project.config, generation=0)

    def _numbered(self, table: RouteTable, current: RouteTable) -> RouteTable:
        """The table under the next generation, or as it is in force if nothing changed."""
        if replace(current, generation=0) == replace(table, generation=0):
            return current
        with self._store.begin() as tx:
            number = tx.settings.next_number(GENERATION_KEY, datetime.now(UTC), above=current.generation)
        return replace(table, generation=number)
