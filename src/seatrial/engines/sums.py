"""Sums held for one metric, grown in place and handed out as values that never change, and what rows add to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from seatrial.engines.statements import column
from seatrial.events.schema import SEGMENT_PREFIX, UNKNOWN
from seatrial.evidence.tally import MICRO, TOTAL, UNIT_BUCKETS, Cell, Sums, Tally
from seatrial.ids import Arm
from seatrial.rollout.metric import Metric

MAX_VALUES = 50
OTHER = "other"
HIT = {"error_rate": "failed", "latency": "slow"}
"""The column that counts the rare event of a metric."""


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


class CellRows:
    """Which rows of a result belong to which cell: each to ``total`` and to one segment of each dimension."""

    def __init__(self, table: pa.Table, dimensions: Sequence[str], segments: Segments) -> None:
        self.bucket = integers(table, "bucket")
        index: dict[tuple[int, int, Arm], int] = {}
        keys = zip(
            table["phase"].to_pylist(),
            (integers(table, "stratum") // MICRO).tolist(),
            table["arm"].to_pylist(),
            strict=True,
        )
        place = np.array([index.setdefault(key, len(index)) for key in keys], dtype=np.int64)
        self.cells: list[tuple[Cell, NDArray[np.int64]]] = []
        strata = list(index)
        for names, codes in segments_of(table, dimensions, segments):
            for group, rows in blocks(place * len(names) + codes):
                phase, time, arm = strata[group // len(names)]
                self.cells.append((Cell(phase, time, names[group % len(names)], arm), rows))


def segments_of(
    table: pa.Table, dimensions: Sequence[str], segments: Segments
) -> Iterator[tuple[list[str], NDArray[np.int64]]]:
    """For the total and for each dimension: names of segments, and which of them each row is in."""
    yield [TOTAL], np.zeros(len(table), dtype=np.int64)
    for dimension in dimensions:
        codes, values = coded(table, f"{SEGMENT_PREFIX}{dimension}")
        named = [segments.name(f"{dimension}={value}") for value in values]
        names = list(dict.fromkeys(named))
        yield names, np.array([names.index(name) for name in named], dtype=np.int64)[codes]


def first_seen(table: pa.Table, times: Iterable[int], dimensions: Sequence[str]) -> dict[str, int]:
    """Segments with the time of their first exposure; ``times`` are those of the table's rows (microseconds)."""
    seen: dict[str, int] = {}
    known = list(times)
    for name in dimensions:
        codes, values = coded(table, f"{SEGMENT_PREFIX}{name}")
        for code, time in zip(codes.tolist(), known, strict=True):
            segment = f"{name}={values[code]}"
            seen[segment] = min(time, seen.get(segment, time))
    return seen


def coded(table: pa.Table, name: str) -> tuple[NDArray[np.int64], list[str]]:
    """A text column as numbers, and the texts they stand for; null reads ``unknown``."""
    column = pc.fill_null(table[name], UNKNOWN).combine_chunks()
    coded = pc.dictionary_encode(column)
    return coded.indices.to_numpy(zero_copy_only=False).astype(np.int64), coded.dictionary.to_pylist()


def blocks(groups: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
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

    def absorb(self, rows: CellRows, values: NDArray[np.int64], *, arm: Arm | None = None) -> None:
        """Add ``values`` of shape (rows, 3), under another arm if one is given."""
        for cell, where in rows.cells:
            if (found := values[where]).any():
                self.add(cell if arm is None else cell._replace(arm=arm), rows.bucket[where], found)

    def add(self, cell: Cell, bucket: NDArray[np.int64], values: NDArray[np.int64]) -> None:
        """Add rows to one cell. Arrays handed out before are left alone: a changed cell gets a new one."""
        known = self.cells.get(cell)
        sums = np.zeros((UNIT_BUCKETS, 3), dtype=np.int64) if known is None else known.copy()
        np.add.at(sums, bucket, values)
        self.cells[cell] = sums

    def tally(self) -> Tally:
        """What is held now."""
        return Tally(dict(self.cells))


def prompt_values(metric: Metric, found: pa.Table, n: int, requests: NDArray[np.int64]) -> NDArray[np.int64]:
    """What rows add to a metric known at once (``expressions.prompt_sums``), without the units of requests per unit."""
    if metric.kind == "requests_per_unit":
        return np.column_stack([requests, requests * MICRO, requests * 0])
    counted = integers(found, column(n, "timed")) if metric.kind == "latency" else requests
    return np.column_stack([counted, integers(found, column(n, HIT[metric.kind])) * MICRO, counted * MICRO])


def mature_values(
    metric: Metric, found: pa.Table, n: int, exposures: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
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


def inside(metric: Metric, found: pa.Table, n: int, exposures: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of mature exposures, those that can have the metric's outcome."""
    return exposures if metric.among is None else integers(found, column(n, "inside"))


def count_by_arm(found: pa.Table, values: NDArray[np.int64], *, arm: Arm | None = None) -> Counter[tuple[int, Arm]]:
    """Sums of a column by (phase, arm), under another arm if one is given."""
    counter: Counter[tuple[int, Arm]] = Counter()
    for phase, its_arm, n in zip(found["phase"].to_pylist(), found["arm"].to_pylist(), values.tolist(), strict=True):
        if n:
            counter[phase, arm or its_arm] += n
    return counter


def integers(table: pa.Table, name: str) -> NDArray[np.int64]:
    """A column of whole numbers; sums of 64-bit integers come back wider and must fit again."""
    column = table[name]
    if column.type != pa.int64():
        column = pc.cast(column, pa.int64())
    values: NDArray[np.int64] = column.to_numpy()
    return values
