"""Sums per cell: the mergeable statistic every ratio, mean, proportion and loss is judged from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seatrial.ids import Arm

UNIT_BUCKETS = 256
"""Units are hashed into this many buckets; the spread between buckets gives the variance (stats.clustered)."""

MICRO = 1_000_000
"""Values are summed as whole millionths: integer sums are exact, so every engine and every split agrees."""

TOTAL = "total"
"""Segment name of the whole population. Others read ``dimension=value``, e.g. ``origin=JFK`` or ``origin=unknown``."""

COUNT, NUMERATOR, DENOMINATOR = 0, 1, 2


class Cell(NamedTuple):
    """What a row of sums belongs to. ``time`` is the start of the UTC time bucket in seconds since the epoch."""

    phase: int
    time: int
    segment: str
    arm: Arm


Sums = NDArray[np.int64]
"""Shape (256, 3): exposures, numerator in micro-units, denominator in micro-units; one row a unit bucket."""


@dataclass(frozen=True, slots=True)
class Strata:
    """The cells of two arms side by side: arrays of shape (strata, 256), values in natural units (not micro)."""

    count_t: NDArray[np.float64]
    num_t: NDArray[np.float64]
    den_t: NDArray[np.float64]
    count_c: NDArray[np.float64]
    num_c: NDArray[np.float64]
    den_c: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Tally:
    """Sums per (phase, time bucket, segment, arm) and unit bucket.

    ``Tally()`` is the identity, ``a + b`` is associative and commutative, and a tally of a log equals the sum of the
    tallies of its parts, however it is split. Sums are integers, so equality is exact.

    >>> row = np.zeros((UNIT_BUCKETS, 3), dtype=np.int64); row[7] = [2, 1 * MICRO, 2 * MICRO]
    >>> one = Tally({Cell(1, 0, TOTAL, "canary"): row})
    >>> (one + one).exposures("canary")
    4
    >>> one + Tally() == one
    True
    """

    cells: Mapping[Cell, Sums] = field(default_factory=dict)

    def __add__(self, other: Tally) -> Tally:
        merged = dict(self.cells)
        for cell, sums in other.cells.items():
            merged[cell] = merged[cell] + sums if cell in merged else sums
        return Tally(merged)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Tally):
            return NotImplemented
        keys = self._filled() | other._filled()
        zero = np.zeros((UNIT_BUCKETS, 3), dtype=np.int64)
        return all(np.array_equal(self.cells.get(k, zero), other.cells.get(k, zero)) for k in keys)

    __hash__ = None  # type: ignore[assignment]

    def _filled(self) -> set[Cell]:
        return {cell for cell, sums in self.cells.items() if sums.any()}

    def since(self, phase: int) -> Tally:
        """Only the strata of ``phase`` and later: an epoch."""
        return Tally({cell: sums for cell, sums in self.cells.items() if cell.phase >= phase})

    def segment(self, name: str) -> Tally:
        """Only the cells of one segment."""
        return Tally({cell: sums for cell, sums in self.cells.items() if cell.segment == name})

    def segments(self) -> list[str]:
        """Names of the segments present, ``total`` first."""
        return sorted({cell.segment for cell in self.cells}, key=lambda name: (name != TOTAL, name))

    def exposures(self, arm: Arm, segment: str = TOTAL) -> int:
        """Exposures of one arm."""
        return sum(int(s[:, COUNT].sum()) for c, s in self.cells.items() if c.arm == arm and c.segment == segment)

    def strata(self, treatment: Arm, control: Arm, segment: str = TOTAL) -> Strata:
        """Both arms stacked over (phase, time bucket); a stratum that one arm lacks is left out (it weighs zero)."""
        keys = sorted(
            {(c.phase, c.time) for c in self.cells if c.arm == treatment and c.segment == segment}
            & {(c.phase, c.time) for c in self.cells if c.arm == control and c.segment == segment}
        )

        def stack(arm: Arm) -> NDArray[np.float64]:
            if not keys:
                return np.zeros((0, UNIT_BUCKETS, 3))
            return np.stack([self.cells[Cell(p, t, segment, arm)] for p, t in keys]).astype(np.float64)

        a, b = stack(treatment), stack(control)
        return Strata(
            a[:, :, COUNT], a[:, :, NUMERATOR] / MICRO, a[:, :, DENOMINATOR] / MICRO,
            b[:, :, COUNT], b[:, :, NUMERATOR] / MICRO, b[:, :, DENOMINATOR] / MICRO,
        )  # fmt: skip

    def rows(self) -> Iterator[tuple[int, int, str, Arm, int, int, int, int]]:
        """Canonical rows (phase, time, segment, arm, bucket, count, numerator, denominator), sorted, zeros left out."""
        for cell in sorted(self.cells):
            sums = self.cells[cell]
            for bucket in np.flatnonzero(sums.any(axis=1)):
                n, num, den = (int(v) for v in sums[bucket])
                yield (*cell, int(bucket), n, num, den)

    @classmethod
    def from_rows(cls, rows: Iterable[tuple[int, int, str, Arm, int, int, int, int]]) -> Tally:
        """Inverse of :meth:`rows`; rows of the same cell and bucket add up."""
        cells: dict[Cell, Sums] = {}
        for phase, time, segment, arm, bucket, n, num, den in rows:
            cell = Cell(phase, time, segment, arm)
            if cell not in cells:
                cells[cell] = np.zeros((UNIT_BUCKETS, 3), dtype=np.int64)
            cells[cell][bucket] += (n, num, den)
        return cls(cells)
