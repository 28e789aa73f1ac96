"""Time as the control plane sees it: the wall, or the stored clock of a replay."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol

from seatrial.errors import UsageError
from seatrial.store.db import Store, Transaction

CLOCK_KEY = "clock"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """Says what time it is."""

    def now(self) -> datetime: ...


class WallClock:
    """The machine's clock, never going back: a step backwards holds time still until it is caught up."""

    def __init__(self) -> None:
        self._latest = EPOCH

    def now(self) -> datetime:
        self._latest = max(self._latest, datetime.now(UTC))
        return self._latest


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
        time = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError("ST0810", f"{text!r} is not a time such as 2013-07-01T00:00:00Z.") from None
    if time.tzinfo is None:
        raise UsageError("ST0811", f"{text!r} has no time zone.", remedy="Write UTC as 'Z'.")
    return time.astimezone(UTC)
