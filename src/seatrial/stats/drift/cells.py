"""A column of numbers as counts of cells: what a reference is kept as, instead of its data.

A cell is a number of eight significant bits: the distance from the column's middle, in units of its spread, as a
half-precision float without its two last bits. So there is nothing to fit but middle and spread, a step in the body and
an outlier a million spreads away are both told within 0.4% of their distance from the middle, and counts add up.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

_CODES = 1 << 14
_SIGN = _CODES // 2
_FINITE = 0x7C00 >> 2
_SIDE = _FINITE + 1
CELLS = 2 * _SIDE
"""Cells in ascending order; the first and the last are open: beyond 65,504 spreads, and infinite values."""

_SAMPLE = 10_000


@dataclass(frozen=True, slots=True)
class Frame:
    """Middle and spread of a column, in its unit. Counts in the same frame can be added and compared.

    Raises ValueError for values that are not finite, or a spread that is not positive.
    """

    center: float
    scale: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.center) and np.isfinite(self.scale) and self.scale > 0):
            raise ValueError("the frame of a column is finite, and its spread positive")


def frame_of(values: ArrayLike) -> Frame:
    """Median and spread (interquartile range over 1.349) of up to 10,000 evenly spaced values, missing ones left out.

    Of a column whose middle half is constant the standard deviation, of a constant one its size.

    >>> frame_of([1, 2, 3, 4, 5]), frame_of([7, 7]), frame_of([])
    (Frame(center=3.0, scale=1.4826), Frame(center=7.0, scale=7.0), Frame(center=0.0, scale=1.0))
    """
    found = np.asarray(values, dtype=np.float64)
    found = found[:: max(1, found.size // _SAMPLE)]
    found = found[np.isfinite(found)]
    if not found.size:
        return Frame(0.0, 1.0)
    low, center, high = (float(q) for q in np.quantile(found, [0.25, 0.5, 0.75]))
    spread = (high - low) / 1.349 or float(found.std())
    return Frame(center, float(f"{spread or abs(center) or 1.0:.5g}"))


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Counts of a column's values by cell, shape (CELLS,), and how many values are missing (NaN).

    ``a + b`` is what both together would have given: associative, commutative, with `Cells.empty` as identity. Raises
    ValueError when columns of different frames are added.

    >>> frame = Frame(center=10.0, scale=2.0)
    >>> both = Cells.of(frame, [8, 12, float("nan")]) + Cells.of(frame, [12])
    >>> both.n, both.missing, both.counts[both.counts > 0].tolist()
    (3, 1, [1, 2])
    """

    frame: Frame
    counts: Counts = field(repr=False)
    missing: int = 0

    @classmethod
    def empty(cls, frame: Frame) -> Self:
        return cls(frame, np.zeros(CELLS, dtype=np.int64))

    @classmethod
    def of(cls, frame: Frame, values: ArrayLike) -> Self:
        found = np.asarray(values, dtype=np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            distance = ((found - frame.center) / frame.scale).astype(np.float16)
        codes = np.bincount(distance.view(np.uint16) >> 2, minlength=_CODES)
        counts = np.concatenate([codes[_SIGN : _SIGN + _SIDE][::-1], codes[:_SIDE]])
        return cls(frame, counts, int(found.size - counts.sum()))

    @property
    def n(self) -> int:
        """Values that are there."""
        return int(self.counts.sum())

    def points(self) -> Floats:
        """The value in the middle of each cell, in the column's unit, ascending; shape (CELLS,)."""
        return _POINTS * self.frame.scale + self.frame.center

    def __add__(self, other: Cells) -> Cells:
        self.check_frame(other)
        return Cells(self.frame, self.counts + other.counts, self.missing + other.missing)

    def __sub__(self, part: Cells) -> Cells:
        """The rest without a part of it. Raises ValueError for what is no part."""
        self.check_frame(part)
        rest = Cells(self.frame, self.counts - part.counts, self.missing - part.missing)
        if rest.missing < 0 or (rest.counts < 0).any():
            raise ValueError("only a part can be taken away")
        return rest

    def __eq__(self, other: Any) -> bool:
        return (
            isinstance(other, Cells)
            and (self.frame, self.missing) == (other.frame, other.missing)
            and np.array_equal(self.counts, other.counts)
        )

    __hash__ = None  # type: ignore[assignment]

    def check_frame(self, other: Cells) -> None:
        """Raises ValueError unless both are counted in the same frame."""
        if self.frame != other.frame:
            raise ValueError(f"counts in different frames cannot be compared: {self.frame} and {other.frame}")


def _points() -> Floats:
    bits = np.arange(_FINITE, dtype=np.uint16) << 2
    ends = [(bits + step).view(np.float16).astype(np.float64) for step in (0, 3)]
    middle = np.append((ends[0] + ends[1]) / 2, 65_520.0)
    middle[0] = 0.0
    return np.concatenate([-middle[::-1], middle])


_POINTS = _points()
