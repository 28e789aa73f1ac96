"""Time as the control plane sees it: the wall, or the stored clock of a replay."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from seatrial.errors import UsageError
from seatrial.instants import in_utc
from seatrial.store.db import Store, Transaction

log = logging.getLogger("seatrial.control")

CLOCK_KEY = "clock"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOTEWORTHY = timedelta(seconds=5)
"""A step back by so much is logged; NTP corrects less than that all the time."""


class Clock(Protocol):
    """Says what time it is."""

    def now(self) -> datetime: ...


class WallClock:
    """The machine's clock, never going back and never standing still.

    Where the machine's clock is set back, time goes on from where it was, at the pace of a steady clock, until the
    machine's has caught up: looks go on, each is taken once, and harm is still found within seconds. A step forward is
    taken as it is. ``wall`` and ``steady`` (seconds that only grow) are the machine's.
    """

    def __init__(
        self, wall: Callable[[], datetime] = lambda: datetime.now(UTC), steady: Callable[[], float] = time.monotonic
    ) -> None:
        self._wall, self._steady = wall, steady
        self._latest = self._anchor = EPOCH
        self._anchored = steady()
        self._behind = False
        self._lock = threading.Lock()

    def now(self) -> datetime:
        with self._lock:
            wall = self._wall()
            if wall >= self._latest:
                self._anchor_at(wall)
            else:
                gone = timedelta(seconds=self._steady() - self._anchored)
                self._latest = max(self._latest, self._anchor + gone)
                self._tell(self._latest - wall)
            return self._latest

    def not_before(self, seen: datetime) -> None:
        """Go on from a time that was seen by somebody before: a restart does not set the clock back either."""
        self.now()
        with self._lock:
            if seen > self._latest:
                self._anchor_at(seen)

    def _anchor_at(self, moment: datetime) -> None:
        self._latest = self._anchor = moment
        self._anchored = self._steady()
        self._behind = False

    def _tell(self, behind: timedelta) -> None:
        if behind > NOTEWORTHY and not self._behind:
            self._behind = True
            log.warning("the clock of this machine went back by %s; time goes on from where it was", behind)


class StoredClock:
    """The clock of a replay: moved by whoever drives the replay, kept in the store, the same after a restart."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def now(self) -> datetime:
        with self._store.read() as tx:
            return tx.settings.time(CLOCK_KEY) or EPOCH

    @staticmethod
    def move(tx: Transaction, to: datetime) -> None:
        """Forward only; ``Conflict`` otherwise."""
        tx.settings.advance_time(CLOCK_KEY, to, to)


def aware(text: str) -> datetime:
    """A time with its zone, from ISO 8601. Raises UsageError for a time without one."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            "ST0810", f"{text!r} is not a time such as 2013-07-01T00:00:00Z.", remedy="Write ISO 8601, with its zone."
        ) from None
    try:
        return in_utc(moment)
    except ValueError as error:
        raise UsageError("ST0811", f"{error}.", remedy="Write UTC as 'Z'.") from None
