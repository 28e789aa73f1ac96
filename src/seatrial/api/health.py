"""What runs and what does not, as one strip: gateway, model hosts, controller, store. Asked once a second at most."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from seatrial.control.documents.catalog import Weights
from seatrial.control.project import Project
from seatrial.control.way_home.emergency import observed_weights
from seatrial.errors import SeatrialError
from seatrial.store.db import Store

if TYPE_CHECKING:
    from seatrial.control.controller import Controller

FRESH_S = 1.0


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the system: whether it is as it should be, and what there is to say."""

    name: str
    ok: bool
    text: str


@dataclass(frozen=True, slots=True)
class Health:
    """All parts, and the weights that Envoy has in use."""

    parts: tuple[Part, ...]
    weights: Weights

    @property
    def ok(self) -> bool:
        return all(part.ok for part in self.parts)


class Watchman:
    """Asks the parts, and keeps the answer for a moment: however many pages are open, Envoy is asked once."""

    def __init__(
        self, project: Project, store: Store, controller: Controller | None, missing: Callable[[], str]
    ) -> None:
        self._project, self._store, self._controller, self._missing = project, store, controller, missing
        self._lock = threading.Lock()
        self._asked = 0.0
        self._found: Health | None = None

    def health(self) -> Health:
        with self._lock:
            if self._found is None or time.monotonic() - self._asked > FRESH_S:
                self._found, self._asked = self._ask(), time.monotonic()
            return self._found

    def _ask(self) -> Health:
        missing = self._missing()
        parts = [Part("controller", not missing, missing or "runs")]
        weights: Weights = {}
        if self._controller is not None:
            answers = self._controller.envoy.healthy()
            weights = observed_weights(self._project) if answers else {}
            parts.append(Part("gateway", answers, self._project.config.gateway.url if answers else "does not answer"))
            parts.append(_hosts(self._controller))
        parts.append(self._ask_store())
        return Health(tuple(parts), weights)

    def _ask_store(self) -> Part:
        try:
            with self._store.read():
                return Part("store", True, "answers")
        except SeatrialError as error:
            return Part("store", False, error.message)


def _hosts(controller: Controller) -> Part:
    known, dead = len(controller.hosts.endpoints()), controller.hosts.dead()
    return Part("model hosts", not dead, f"not running: {', '.join(dead)}" if dead else f"{known} of {known}")
