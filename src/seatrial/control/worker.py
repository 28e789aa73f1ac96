"""A thread of its own that does one thing again and again, until it is told to stop."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from typing import Self

from seatrial.store.leases import LeaseLost

log = logging.getLogger("seatrial.control")


class Worker(ABC):
    """Runs between ``__enter__`` and ``__exit__``. What fails is logged and tried again; a lost lease ends it.

    ``first_s``: pause before the first turn; ``trouble_s``: after one that failed. ``patient``: whether the end waits
    for a turn that is under way; one that asks a server outside may take long.
    """

    def __init__(self, name: str, *, first_s: float, trouble_s: float, patient: bool = True) -> None:
        self._name, self._first_s, self._trouble_s, self._patient = name, first_s, trouble_s, patient
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @abstractmethod
    def turn(self) -> float:
        """Do what there is to do. Returns the pause before the next turn, in seconds."""

    def __enter__(self) -> Self:
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=not self._patient)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=None if self._patient else 1.0)

    def _run(self) -> None:
        pause = self._first_s
        while not self._stopping.wait(pause):
            try:
                pause = self.turn()
            except LeaseLost:
                return
            except Exception:  # a full disk, a store that is away, a part that cannot be read
                log.exception("%s failed; it tries again in %g s", self._name, self._trouble_s)
                pause = self._trouble_s
