"""What is stored becomes what runs: hosts and routes, from the store, the journal and the kill latches.

Kill latches win over everything, and a journalled move over the store that does not know it yet. What could not be put
in force is remembered and tried again, until it is.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from datetime import UTC, datetime

from seatrial.control.gateway import gateway_of
from seatrial.control.hosts import Hosts
from seatrial.control.journal import Journal
from seatrial.control.project import Project
from seatrial.control.render import Desired, desired, moved, route_table
from seatrial.gateway.envoy import Applied
from seatrial.gateway.kill import KillLatch, apply_latches, read_latches
from seatrial.gateway.routes import RouteTable
from seatrial.registry.version import ModelVersion
from seatrial.store.artifacts import ArtifactStore
from seatrial.store.db import Store

log = logging.getLogger("seatrial.control")

GENERATION_KEY = "gateway.generation"
RETRY_S = 2.0


class Traffic:
    """Envoy, the model hosts and the journal. Whoever calls it holds the controller's lock."""

    def __init__(self, project: Project, store: Store, artifacts: ArtifactStore) -> None:
        self._project, self._store = project, store
        self.envoy = gateway_of(project)
        self.hosts = Hosts(project, artifacts)
        self.journal = Journal(project.run / "journal.jsonl")
        self._in_force: tuple[KillLatch, ...] | None = None
        self._settled = False
        self._retry_at = 0.0

    def reconcile(self) -> Applied:
        """Hosts for every version that matters, then routes, then the hosts nobody needs any more are ended."""
        self._settled = False
        wanted, versions = self._wanted()
        self.hosts.ensure(versions)
        self.hosts.settle()
        applied = self._route(wanted)
        self.tidy()
        self._settled = True
        return applied

    def reroute(self) -> Applied:
        """Put store, journal and kill latches in force now, with the hosts there are."""
        self._settled = False
        return self._route(self._wanted()[0])

    def enforce_latches(self) -> Applied:
        """Put the kill latches over the routes that are in force: needs no store."""
        self._settled = False
        current = self.envoy.table()
        killed = apply_latches(current, self.latches())
        return self.envoy.apply(replace(killed, generation=current.generation + (killed.models != current.models)))

    def tidy(self) -> None:
        """End the hosts nobody needs."""
        self.hosts.keep_only(key for want in self._wanted()[0] for key in want.versions())

    def keep_up(self) -> None:
        """Hosts that died are started again; what is not in force yet, a new kill latch above all, is put in force."""
        for name in self.hosts.revive():
            log.warning("the host of %s died and was restarted", name)
        outdated = not self._settled or self.latches() != self._in_force
        if outdated and time.monotonic() >= self._retry_at:
            self._retry_at = time.monotonic() + RETRY_S
            self.reconcile()
            self._retry_at = 0.0

    def latches(self) -> tuple[KillLatch, ...]:
        return read_latches(self._project.kill_latches)

    def missing(self) -> str:
        """What keeps traffic from flowing as it should, for people; empty when nothing does."""
        if not self.envoy.healthy():
            return "the gateway does not answer"
        if dead := self.hosts.dead():
            return f"the host of {', '.join(dead)} is not running"
        return "" if self._settled else "the routes are not in force yet"

    def close(self) -> None:
        """Envoy and the hosts go on: traffic does not depend on this process."""
        self.hosts.close()

    def _wanted(self) -> tuple[list[Desired], list[ModelVersion]]:
        with self._store.read() as tx:
            wanted = moved(desired(tx), self.journal.moves())
            return wanted, [tx.models.get_version(*key) for want in wanted for key in want.versions()]

    def _route(self, wanted: list[Desired]) -> Applied:
        """Envoy's own word is waited for."""
        latches = self.latches()
        table = route_table(wanted, self.hosts.endpoints(), self._project.config, generation=0)
        applied = self.envoy.apply(self._numbered(apply_latches(table, latches)))
        self._in_force = latches
        return applied

    def _numbered(self, table: RouteTable) -> RouteTable:
        """The table under the next generation, or as it is in force if nothing changed."""
        current = self.envoy.table()
        if (current.models, current.replay) == (table.models, table.replay):
            return current
        with self._store.begin() as tx:
            number = tx.settings.next_number(GENERATION_KEY, datetime.now(UTC), above=current.generation)
        return RouteTable(number, table.models, table.replay)
