"""The route of one model, as the gateway's files say it now.

Nothing is read unless a file has changed, and whether one has is asked at most every few milliseconds. What cannot be
read changes nothing: the last route that could stays in force. Needs neither the controller nor Envoy.
"""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path
from time import monotonic

from seatrial.errors import NotFound, SeatrialError
from seatrial.gateway.kill import KillLatch, apply_latches, read_latches
from seatrial.gateway.routes import Backend, Endpoint, ModelRoute, RouteTable
from seatrial.gateway.tables import TableFiles
from seatrial.router.places import Places

log = logging.getLogger("seatrial.router")

CHECK_S = 0.005
"""How old a decision's knowledge of the files may be."""

_Stamp = tuple[tuple[int, int, int] | None, ...]


class Follower:
    """Keeps ``places`` up to date whenever ``look`` is called.

    A table that is older than one Envoy has confirmed is never taken. One that Envoy refused, and that was taken back,
    is given up for the one before. A kill latch counts as soon as it is there, whoever else has heard of it.
    """

    def __init__(self, gateway: Path, latches: Path, model: str, default: str | None = None) -> None:
        self._tables, self._latches, self._model = TableFiles(gateway / "run"), latches, model
        self._watched = (gateway / "run" / "table.json", gateway / "run" / "confirmed.json", latches)
        self._stamp: _Stamp | None = None
        self._floor = 0
        self._held = RouteTable(0)
        self._last: ModelRoute | None = None
        self._killed: tuple[KillLatch, ...] = ()
        self.next = 0.0
        self.look()
        if self._last is None:
            self._use(self._first(default))

    def _first(self, default: str | None) -> ModelRoute:
        if default is None:
            raise _unknown(self._model, self._held, self._watched[0])
        log.warning("no route of %s yet: its version %s answers, in no comparison", self._model, default)
        nowhere = Backend(default, Endpoint("127.0.0.1", 1))
        return ModelRoute(model=self._model, salt=self._model, unit_header="x-unit-id", champion=nowhere)

    def look(self) -> None:
        """Read what has changed, if it is time to ask. Never raises."""
        self.next = monotonic() + CHECK_S
        stamp = tuple(_stamp(path) for path in self._watched)
        if stamp == self._stamp:
            return
        try:
            self._read()
        except Exception:  # nothing that is wrong with a file may reach a request
            log.exception("the routes of %s do not read; the last ones stay in force", self._model)
        self._stamp = stamp  # of before the reading: what changed meanwhile is seen next time

    def _read(self) -> None:
        table = self._tables.read()
        self._floor = max([self._floor, *(t.generation for t in (self._held, table) if self._tables.is_confirmed(t))])
        self._killed = self._read_latches()
        if table.generation and table.generation >= self._floor:
            self._held = table
        if self._held.generation:
            self._follow(self._held)
        elif self._last is not None:
            self._use(self._last)

    def _read_latches(self) -> tuple[KillLatch, ...]:
        try:
            return read_latches(self._latches)
        except SeatrialError as error:  # who is killed is not known, so who was stays so
            log.error("%s", error)
            return self._killed

    def _follow(self, table: RouteTable) -> None:
        """The model's route. Where the table has none any more, its champion, out of every comparison."""
        found = next((route for route in table.models if route.model == self._model), None)
        if found is not None:
            self._use(found)
        elif self._last is not None:
            self._use(_calm(self._last))

    def _use(self, route: ModelRoute) -> None:
        (safe,) = apply_latches(RouteTable(1, (route,)), self._killed).models
        self._last = route
        self.places = Places(safe)


def _calm(route: ModelRoute) -> ModelRoute:
    return replace(route, canary_weight=0, mirrored=0, mirrored_by=(), rollout=None, phase=None, held=0)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def _unknown(model: str, table: RouteTable, file: Path) -> NotFound:
    if not table.generation:
        return NotFound(
            "ST0790",
            f"there are no routes in '{file}'.",
            remedy="Start the project once (`seatrial up`), or name who answers until then: default='1'.",
        )
    known = ", ".join(route.model for route in table.models) or "none"
    return NotFound(
        "ST0791",
        f"the gateway has no route of model {model!r}; it knows: {known}.",
        remedy=f"`seatrial model adopt {model}`, or name who answers until then: default='1'.",
    )
