"""One rollout that is watched: where its parts are, and what is known of it; and many of them read at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Self, TypeVar

from seatrial.engines.account import Account
from seatrial.engines.source import PartSource
from seatrial.events.parts import model_directory
from seatrial.events.schema import from_micros, to_micros
from seatrial.evidence.snapshot import Captured, Evidence
from seatrial.ids import Arm
from seatrial.rollout.plan import Plan

LONG_AGO = -(1 << 60)
READERS = 2
"""Threads that read parts. Decompression and decoding run without Python's lock."""

R = TypeVar("R")


class Watched:
    """One rollout: where its parts are, what is known of it, and up to which time (``last``, microseconds)."""

    def __init__(
        self, events_dir: Path, outcomes_dir: Path, plan: Plan, rollout: str, model: str, started: datetime
    ) -> None:
        self.plan, self.rollout, self.start = plan, rollout, to_micros(started)
        self._directories = model_directory(events_dir, model), model_directory(outcomes_dir, model)
        self.forget()

    def forget(self) -> None:
        """Know nothing: what follows reads the parts from the beginning."""
        events, outcomes = self._directories
        self.events, self.outcomes = PartSource(events, "time"), PartSource(outcomes, "received_at")
        self.account = Account(self.plan)
        self.number = -1
        self.last = self.received = LONG_AGO

    @property
    def at(self) -> datetime | None:
        """Up to which time everything is absorbed; None before the first time."""
        return None if self.last == LONG_AGO else from_micros(self.last)

    def refresh(self) -> bool:
        """Look for new parts. False if one that was read has been superseded: then everything must be read again."""
        return self.events.refresh() & self.outcomes.refresh()

    def behind(self, end: int) -> bool:
        """Whether there is something to absorb up to a time: before the start there is nothing, and nothing twice."""
        return end >= self.start and end > self.last

    def snapshot(
        self, live: Collection[int], mirrored: Collection[int], capture: Mapping[tuple[int, Arm], Captured] | None
    ) -> Evidence:
        """What a look sees now."""
        if self.last == LONG_AGO:
            return Evidence(at=from_micros(self.start), capture=capture or {})
        return self.account.snapshot(from_micros(self.last), live, mirrored, capture or {})


class Reading:
    """Reads parts of many rollouts in a few threads. Whose parts cannot be read is in ``failed``, and left out."""

    def __init__(self) -> None:
        self.failed: dict[Watched, Exception] = {}
        self._threads = ThreadPoolExecutor(READERS, "parts")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._threads.shutdown()

    def each(self, ends: Mapping[Watched, int], read: Callable[[Watched, int], R]) -> dict[Watched, R]:
        """What ``read`` gives for each rollout and its end."""
        asked = {watched: self._threads.submit(read, watched, end) for watched, end in ends.items()}
        found: dict[Watched, R] = {}
        for watched, answer in asked.items():
            try:
                found[watched] = answer.result()
            except Exception as error:
                self.failed[watched] = error
        return found
