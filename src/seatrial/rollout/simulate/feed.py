"""What a simulated release is fed with: exposures by slot, the time between two looks, under a given split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from seatrial.evidence.tally import MICRO, UNIT_BUCKETS

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Grid:
    """Looks at ``begin + k * step`` for k = 1, 2, ...; slot j is the time ``[begin + j step, begin + (j + 1) step)``.

    ``begin`` and ``step`` are in seconds (begin since the epoch, UTC), ``bucket`` is the length of a stratum. Looks
    divide strata, so every slot lies within one; ValueError otherwise.
    """

    begin: float
    step: float
    bucket: float

    def __post_init__(self) -> None:
        if self.bucket % self.step or self.begin % self.step:
            raise ValueError("looks must lie on a grid that divides the time bucket")

    def strata(self, start: int, stop: int) -> Ints:
        """Start of the time bucket (seconds since the epoch) of the slots ``[start, stop)``."""
        middle = self.begin + (np.arange(start, stop) + 0.5) * self.step
        return (middle // self.bucket * self.bucket).astype(np.int64)

    def slots(self, seconds: float) -> int:
        """Slots that a span of time takes, the last one perhaps in part."""
        return int(np.ceil(seconds / self.step - 1e-9))

    def look(self, moment: datetime) -> int:
        """The first look at or after a time."""
        return self.slots(moment.timestamp() - self.begin)


@dataclass(frozen=True, slots=True)
class Split:
    """Who gets what: places below ``weight`` the canary, the next ``mirrored`` ones a copy (both out of 10,000)."""

    weight: int
    mirrored: int


@dataclass(frozen=True, slots=True)
class Events:
    """Exposures that met a rare event: their slot (from 0 in the window) and unit, and with which model."""

    slot: Ints
    unit: Ints
    champion: Bools
    candidate: Bools


@dataclass(frozen=True, slots=True)
class Window:
    """What happened in some slots under one split.

    ``sums``: per metric, shape (slots, 2, 256, 3): champion and canary by unit bucket, as cells of a tally.
    ``pairs``: the same for champion and shadow on mirrored requests; ``copies``: how many those were, shape (slots,).
    ``first``: slot of each unit's first exposure; the number of slots for units that were not there.
    """

    slots: int
    first: Ints
    copies: Ints
    sums: Mapping[str, Ints] = field(default_factory=dict)
    pairs: Mapping[str, Ints] = field(default_factory=dict)
    events: Mapping[str, Events] = field(default_factory=dict)


class Feed(Protocol):
    """Exposures of one release. ``points`` is each unit's place in 0..9,999, ``buckets`` its variance bucket.

    ``window`` may be asked for slots again that were handed out before: what happened after a move is drawn anew.
    """

    points: Ints
    buckets: Ints

    def window(self, start: int, stop: int, split: Split) -> Window:
        """Slots ``[start, stop)`` under a split."""
        ...


def bucket_sums(slots: int, arm: Ints, bucket: Ints, slot: Ints, numerator: Ints, denominator: Ints | None) -> Ints:
    """Sums of exposures, shape (slots, 2, 256, 3). Without a denominator every exposure counts as one."""
    key = (slot * 2 + arm) * UNIT_BUCKETS + bucket
    size = slots * 2 * UNIT_BUCKETS
    count = np.bincount(key, minlength=size)
    sums = np.empty((size, 3), dtype=np.int64)
    sums[:, 0] = count
    sums[:, 1] = np.rint(np.bincount(key, weights=numerator, minlength=size))
    sums[:, 2] = count * MICRO if denominator is None else np.rint(np.bincount(key, denominator, minlength=size))
    return sums.reshape(slots, 2, UNIT_BUCKETS, 3)
