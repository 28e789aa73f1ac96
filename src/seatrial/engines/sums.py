"""Sums held for one metric, grown in place and handed out as values that never change, and what rows add to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from seatrial.engines.statements import HIT, column
from seatrial.events.schema import SEGMENT_PREFIX, UNKNOWN
from seatrial.evidence.tally import MICRO, TOTAL, UNIT_BUCKETS, Cell, Sums, Tally
from seatrial.ids import Arm
from seatrial.rollout.metric import Metric

MAX_VALUES = 50
OTHER = "other"

Ints = NDArray[np.int64]
Place = tuple[int, int, Arm]
"""Number of a rollout, a phase and an arm."""


class Segments:
    """Which values of each dimension have cells of their own: the first 50 seen, ordered by (time, value).

    The rest are ``other``. What a value is was settled when it was first seen, so it does not depend on how often
    somebody looked.
    """

    def __init__(self) -> None:
        self._admitted: dict[str, set[str]] = {}
        self._names: dict[str, str] = {TOTAL: TOTAL}

    def name(self, segment: str) -> str:
        """The segment a ``dimension=value`` is counted in."""
        return self._names.get(segment) or f"{segment.partition('=')[0]}={OTHER}"

    def values(self, dimension: str) -> list[str]:
        """Values of a dimension with cells of their own."""
        named = (segment.partition("=") for segment in self._names)
        return [value for name, equals, value in named if equals and name == dimension]

    def learn(self, seen: Mapping[str, int]) -> None:
        """Admit new values, given with the time of their first exposure."""
        for segment, _ in sorted(((s, t) for s, t in seen.items() if s not in self._names), key=lambda x: (x[1], x[0])):
            dimension, _, value = segment.partition("=")
            admitted = self._admitted.setdefault(dimension, set())
            if value in (UNKNOWN, OTHER):
                self._names[segment] = segment
            elif len(admitted) < MAX_VALUES:
                admitted.add(segment)
                self._names[segment] = segment


class Places:
    """Which rollout, phase and arm each row of a result is about. Without a column of rollouts there is one, 0."""

    def __init__(self, table: pa.Table) -> None:
        phases, arms = integers(table, "phase"), coded(table, "arm")
        rollouts = integers(table, "rollout") if "rollout" in table.column_names else np.zeros_like(phases)
        self.codes, first = crossed(numbered(rollouts), numbered(phases), arms[0])
        names = [arms[1][code] for code in arms[0][first].tolist()]
        self.keys: list[Place] = list(zip(rollouts[first].tolist(), phases[first].tolist(), names, strict=True))

    def sums(self, values: Ints) -> Iterator[tuple[Place, int]]:
        """The sum of a column for each place where it is not zero."""
        totals = np.zeros(len(self.keys), dtype=np.int64)
        np.add.at(totals, self.codes, values)
        return ((key, n) for key, n in zip(self.keys, totals.tolist(), strict=True) if n)

    def rows(self) -> Iterator[tuple[Place, Ints]]:
        """The rows of each place."""
        return ((self.keys[code], rows) for code, rows in blocks(self.codes))


class CellRows:
    """Which rows of a result belong to which cell: each to ``total`` and to one segment of each dimension.

    ``segments``: those of each rollout.
    """

    CELLS_AT_ONCE = 4096
    """A cell takes 6 kB while rows are added up."""

    def __init__(
        self, table: pa.Table, places: Places, dimensions: Sequence[str], segments: Mapping[int, Segments]
    ) -> None:
        self.bucket = integers(table, "bucket")
        self.cells: list[tuple[int, Cell]] = []
        self._index: dict[tuple[int, Cell], int] = {}
        times = integers(table, "stratum") // MICRO
        strata, first = crossed(places.codes, numbered(times))
        of = list(zip(places.codes[first].tolist(), times[first].tolist(), strict=True))
        keys = [(*places.keys[place], time) for place, time in of]
        self._places = [self._numbered(strata, [(rollout, Cell(p, t, TOTAL, arm)) for rollout, p, arm, t in keys])]
        for dimension in dimensions:
            codes, values = coded(table, f"{SEGMENT_PREFIX}{dimension}")
            combined, first = crossed(strata, codes)
            cells = []
            for stratum, code in zip(strata[first].tolist(), codes[first].tolist(), strict=True):
                rollout, phase, arm, time = keys[stratum]
                name = segments[rollout].name(f"{dimension}={values[code]}")
                cells.append((rollout, Cell(phase, time, name, arm)))
            self._places.append(self._numbered(combined, cells))

    def _numbered(self, codes: Ints, cells: Sequence[tuple[int, Cell]]) -> Ints:
        """The number of each row's cell; several codes may be of one cell."""
        numbers = np.empty(len(cells), dtype=np.int64)
        for n, cell in enumerate(cells):
            numbers[n] = number = self._index.setdefault(cell, len(self.cells))
            if number == len(self.cells):
                self.cells.append(cell)
        return numbers[codes]

    def add_up(self, values: Ints) -> Iterator[tuple[int, Cell, Sums]]:
        """What ``values`` of shape (rows, 3) add to each cell of each rollout; cells that get nothing are left out."""
        for start in range(0, len(self.cells), self.CELLS_AT_ONCE):
            added = np.zeros((min(self.CELLS_AT_ONCE, len(self.cells) - start), UNIT_BUCKETS, 3), dtype=np.int64)
            for cells in self._places:
                rows = np.flatnonzero((cells >= start) & (cells < start + len(added)))
                at = ((cells[rows] - start) * UNIT_BUCKETS + self.bucket[rows]) * 3
                for n in range(3):
                    np.add.at(added.reshape(-1), at + n, values[rows, n])
            for n in np.flatnonzero(added.any(axis=(1, 2))).tolist():
                yield *self.cells[start + n], added[n]

    def rows(self) -> Iterator[tuple[int, Cell, Ints]]:
        """The rows of each cell of each rollout."""
        for cells in self._places:
            for number, rows in blocks(cells):
                yield *self.cells[number], rows


def segments_of(table: pa.Table, dimensions: Sequence[str], segments: Segments) -> Iterator[tuple[list[str], Ints]]:
    """For the total and for each dimension: names of segments, and which of them each row is in."""
    yield [TOTAL], np.zeros(len(table), dtype=np.int64)
    for dimension in dimensions:
        codes, values = coded(table, f"{SEGMENT_PREFIX}{dimension}")
        named = [segments.name(f"{dimension}={value}") for value in values]
        names = list(dict.fromkeys(named))
        yield names, np.array([names.index(name) for name in named], dtype=np.int64)[codes]


def first_seen(table: pa.Table, times: Ints, dimensions: Iterable[str]) -> dict[int, dict[str, int]]:
    """Segments of each rollout with the time of their first exposure (microseconds)."""
    rollouts = integers(table, "rollout") if "rollout" in table.column_names else np.zeros(len(table), dtype=np.int64)
    seen: dict[int, dict[str, int]] = {}
    for name in dimensions:
        codes, values = coded(table, f"{SEGMENT_PREFIX}{name}")
        combined, first = crossed(numbered(rollouts), codes)
        earliest = np.full(len(first), np.iinfo(np.int64).max)
        np.minimum.at(earliest, combined, times)
        for row, time in zip(first.tolist(), earliest.tolist(), strict=True):
            seen.setdefault(int(rollouts[row]), {})[f"{name}={values[codes[row]]}"] = time
    return seen


def coded(table: pa.Table, name: str) -> tuple[Ints, list[str]]:
    """A text column as numbers, and the texts they stand for; null reads ``unknown``."""
    column = pc.fill_null(table[name], UNKNOWN).combine_chunks()
    coded = pc.dictionary_encode(column)
    return coded.indices.to_numpy(zero_copy_only=False).astype(np.int64), coded.dictionary.to_pylist()


def numbered(values: Ints) -> Ints:
    """Equal values get equal numbers, 0, 1, 2, ... in the order in which they come."""
    numbers: Ints = pc.dictionary_encode(pa.array(values)).indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return numbers


def crossed(first: Ints, *further: Ints) -> tuple[Ints, Ints]:
    """Combinations of small numbers as numbers, in the order in which they come; and the first row of each."""
    code = first
    for numbers in further:
        code = code * (int(numbers.max(initial=0)) + 1) + numbers
    code = numbered(code)
    return code, np.flatnonzero(np.diff(np.maximum.accumulate(code), prepend=-1))


def blocks(groups: Ints) -> Iterator[tuple[int, Ints]]:
    """Each distinct number with the places where it stands."""
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    for start, end in pairwise([*starts.tolist(), len(order)]):
        yield int(groups[order[start]]), order[start:end]


class Held:
    """One metric's cells, and counts of exposures that matured or were missing, per (phase, arm)."""

    def __init__(self) -> None:
        self.cells: dict[Cell, Sums] = {}
        self.mature: Counter[tuple[int, Arm]] = Counter()
        self.missing: Counter[tuple[int, Arm]] = Counter()
        self.outside: Counter[tuple[int, Arm]] = Counter()
        self.late = 0

    def add(self, cell: Cell, sums: Sums) -> None:
        """Add to one cell. Arrays handed out before are left alone: a changed cell gets a new one."""
        known = self.cells.get(cell)
        self.cells[cell] = sums.copy() if known is None else known + sums

    def count(self, cell: Cell, buckets: Ints) -> None:
        """Add a whole to the denominator of one cell for each of these buckets."""
        if len(buckets):
            sums = np.zeros((UNIT_BUCKETS, 3), dtype=np.int64)
            np.add.at(sums[:, 2], buckets, MICRO)
            self.add(cell, sums)

    def tally(self) -> Tally:
        """What is held now."""
        return Tally(dict(self.cells))


def prompt_values(metric: Metric, found: pa.Table, n: int, requests: Ints) -> Ints:
    """What rows add to a metric known at once (``expressions.prompt_sums``), without the units of requests per unit."""
    if metric.kind == "requests_per_unit":
        return np.column_stack([requests, requests * MICRO, requests * 0])
    counted = integers(found, column(n, "timed")) if metric.kind == "latency" else requests
    return np.column_stack([counted, integers(found, column(n, HIT[metric.kind])) * MICRO, counted * MICRO])


def mature_values(metric: Metric, found: pa.Table, n: int, exposures: Ints) -> tuple[Ints, Ints]:
    """What mature rows add (``expressions.mature_sums``), and how many of them have no outcome.

    See ``Metric.missing``: a mature exposure without outcome is left out, or counted with the value 0 or 1. One that
    cannot have an outcome (``Metric.among``) is not part of any of this.
    """
    exposures = inside(metric, found, n, exposures)
    present = integers(found, column(n, "found"))
    missing = exposures - present
    if metric.kind == "missing_outcomes":
        return np.column_stack([exposures, missing * MICRO, exposures * MICRO]), missing
    counted, numerator = present, integers(found, column(n, "sum"))
    denominator = integers(found, column(n, "over")) if metric.kind == "ratio" else present * MICRO
    if metric.missing != "exclude" and metric.kind != "loss":
        worst = MICRO if metric.missing == "fail" and metric.better == "decrease" else 0
        counted, numerator = exposures, numerator + missing * worst
        denominator = denominator + missing * MICRO
    return np.column_stack([counted, numerator, denominator]), missing


def inside(metric: Metric, found: pa.Table, n: int, exposures: Ints) -> Ints:
    """Of mature exposures, those that can have the metric's outcome."""
    return exposures if metric.among is None else integers(found, column(n, "inside"))


def integers(table: pa.Table, name: str) -> Ints:
    """A column of whole numbers; sums of 64-bit integers come back wider and must fit again."""
    column = table[name]
    if column.type != pa.int64():
        column = pc.cast(column, pa.int64())
    values: Ints = column.to_numpy()
    return values
