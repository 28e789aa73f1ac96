"""When each unit was first seen, as columns: units have numbers, so a slice of the log is a few array operations."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Ids = Callable[[Ints], list[str]]
"""Request ids of the rows with these places; asked only for rows that matter."""

NEVER = np.iinfo(np.int64).max


class Numbers(dict[str, int]):
    """Numbers of units in the order in which they were met."""

    def __missing__(self, unit: str) -> int:
        number = self[unit] = len(self)
        return number

    def of(self, units: list[str]) -> Ints:
        """A number each; whoever is new gets the next one."""
        return np.fromiter(map(self.__getitem__, units), dtype=np.int64, count=len(units))


class Visits:
    """The earliest request of each unit, ordered by (time, request id); of most units there is none."""

    def __init__(self) -> None:
        self.time: Ints = np.full(0, NEVER, dtype=np.int64)
        self._ids: NDArray[np.object_] = np.empty(0, dtype=object)

    def keep_least(self, units: Ints, times: Ints, ids: Ids, yields: Callable[[int], bool] | None = None) -> Ints:
        """Take in a request each of distinct units; the rows that are the earliest by now.

        ``yields``: whether what is known of a unit gives way to another with the same time and id.
        """
        self._reach(int(units.max(initial=-1)) + 1)
        known = self.time[units]
        earlier = times < known
        for row in np.flatnonzero(times == known).tolist():
            new, old = ids(np.array([row]))[0], self._ids[units[row]]
            earlier[row] = new < old or (new == old and yields is not None and yields(int(units[row])))
        rows = np.flatnonzero(earlier)
        if len(rows):
            self.time[units[rows]] = times[rows]
            self._ids[units[rows]] = ids(rows)
        return rows

    def at(self, unit: int) -> tuple[int, str] | None:
        """Time and request id; None for a unit without any."""
        if unit >= len(self.time) or self.time[unit] == NEVER:
            return None
        return int(self.time[unit]), self._ids[unit]

    def units(self) -> Iterator[int]:
        """Numbers of the units with a request."""
        yield from np.flatnonzero(self.time != NEVER).tolist()

    def _reach(self, size: int) -> None:
        if size > len(self.time):
            room = max(size, 2 * len(self.time), 64)
            self.time = _longer(self.time, room, NEVER)
            self._ids = _longer(self._ids, room, None)


def longer(column: Ints, size: int, fill: int) -> Ints:
    """The column with room for so many units; as it is where it has that."""
    return column if size <= len(column) else _longer(column, max(size, 2 * len(column), 64), fill)


def _longer(column: NDArray, size: int, fill: object) -> NDArray:  # type: ignore[type-arg]
    grown = np.full(size, fill, dtype=column.dtype)
    grown[: len(column)] = column
    return grown
