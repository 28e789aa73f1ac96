"""Watching the parts that carry traffic: what goes down, and comes back, becomes an alert.

A thread of its own, without the controller's lock: a gateway that hangs is found although every call to it hangs.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from seatrial.control.alerting import alerts
from seatrial.control.controller import Controller
from seatrial.serving.review_queue import ReviewQueue

log = logging.getLogger("seatrial.control")

POLL_S = 1.0
TOLD_KEY = "alerts.down"
LOW_DISK_BYTES = 2 << 30


@dataclass(frozen=True, slots=True)
class Watched:
    """What a part's alerts are called, and for how long it must be down, or well again, before one is worth sending."""

    down: str
    back: str
    after_s: float
    steady_s: float


PARTS: Final[Mapping[str, Watched]] = MappingProxyType({
    "gateway": Watched("gateway.down", "gateway.back", after_s=0.0, steady_s=3.0),
    "host": Watched("host.down", "host.back", after_s=5.0, steady_s=10.0),
    "disk": Watched("disk.low", "disk.back", after_s=0.0, steady_s=60.0),
    "review": Watched("review.waiting", "review.drained", after_s=0.0, steady_s=10.0),
})  # fmt: skip


class Lookout:
    """Compares what is with what was told. What was told is stored, so that a restart tells nothing twice."""

    def __init__(
        self, controller: Controller, *, parts: Mapping[str, Watched] = PARTS, low_disk_bytes: int = LOW_DISK_BYTES
    ) -> None:
        self._controller, self._parts, self._low_disk = controller, parts, low_disk_bytes
        self._changed: dict[str, float] = {}
        self._gateway: int | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lookout", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=3.0)

    def look(self) -> None:
        """One look: everything that has been down, or well, for long enough and was not told yet."""
        found, now = dict(self._troubles()), time.monotonic()
        with self._controller.store.read() as tx:
            stored = tx.settings.get(TOLD_KEY)
        told: dict[str, str] = {} if stored is None else dict(stored.value)
        differing = found.keys() ^ told.keys()
        self._changed = {name: self._changed.get(name, now) for name in differing}
        due = [n for n in sorted(differing) if now - self._changed[n] >= self._patience_s(n, down=n in found)]
        if due:
            self._tell(due, found, told)

    def _tell(self, due: list[str], found: Mapping[str, str], told: dict[str, str]) -> None:
        now = datetime.now(UTC)
        with self._controller.store.begin() as tx:
            for name in due:
                part = self._part(name)
                if name in found:
                    told[name] = now.isoformat()
                    alert = alerts.of_condition(part.down, _object(name), found[name], now, now)
                else:
                    since = datetime.fromisoformat(told.pop(name))
                    text = f"{name} is well again; it was not since {since:%H:%M:%S} UTC"
                    alert = alerts.of_condition(part.back, _object(name), text, since, now)
                tx.alerts.put(alert)
            tx.settings.put(TOLD_KEY, told, now)

    def _troubles(self) -> Iterator[tuple[str, str]]:
        """What is wrong now, by part."""
        envoy, before = self._controller.envoy, self._gateway
        self._gateway = envoy.pid
        if not envoy.healthy():
            yield "gateway", "the gateway does not answer: no traffic flows"
        elif before is not None and before != self._gateway:
            yield "gateway", "the gateway ended and was started again: requests were lost in between"
        for name in self._controller.hosts.dead():
            yield f"host {name}", f"the host of {name} does not run: requests go to the next version in its chain"
        free = shutil.disk_usage(self._controller.project.root).free
        if free < self._low_disk:
            yield "disk", f"{free / (1 << 30):.1f} GiB of disk are free: capture and outcomes will stop"

        yield from self._waiting()

    def _waiting(self) -> Iterator[tuple[str, str]]:
        """Queues of requests that people decide, where too many wait."""
        project = self._controller.project
        with self._controller.store.read() as tx:
            limits = {model.name: model.safety.fallback.review_limit for model in tx.models.list_models()}
        for name, limit in limits.items():
            if (queue := project.review(name)).is_dir() and (waiting := ReviewQueue(queue).depth()) >= limit:
                yield f"review {name}", f"{waiting} requests to {name} wait for review: `seatrial review list`"

    def _part(self, name: str) -> Watched:
        return self._parts[name.partition(" ")[0]]

    def _patience_s(self, name: str, *, down: bool) -> float:
        return self._part(name).after_s if down else self._part(name).steady_s

    def _run(self) -> None:
        failed = ""
        while not self._stopping.wait(POLL_S):
            try:
                self.look()
                failed = ""
            except Exception as error:  # the store is away, most often; the next look finds what is still so
                if str(error) != failed:
                    log.exception("the lookout could not look")
                failed = str(error)


def _object(name: str) -> str:
    """``host fraud v2`` → ``fraud v2``: hosts are called by their version."""
    return name.removeprefix("host ").removeprefix("review ")
