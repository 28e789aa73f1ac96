"""What is older than it may be kept: whole parts, by the time of their latest row."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from seatrial.events.schema import to_micros
from seatrial.events.shelf import Shelved


def cutoff(now: datetime, retention: timedelta, started: Iterable[datetime], *, early: timedelta = timedelta()) -> int:
    """The time (microseconds) before which nothing is kept.

    ``started``: when the active rollouts began; what is needed to sum up their evidence again stays. ``early``: how
    long before its beginning a rollout can need something.
    """
    return to_micros(min([now - retention, *(begin - early for begin in started)]))


def expired(parts: Iterable[Shelved], before: int) -> list[Shelved]:
    """Parts all of whose rows are older; of a part that spans the line nothing goes yet."""
    return [part for part in parts if part.latest < before]
