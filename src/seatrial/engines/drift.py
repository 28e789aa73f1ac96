"""Columns of a user's table as counts that merge: the reference once, then one set of counts a window.

Parquet is read column by column; a table of any length needs the memory of a few columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from seatrial.engines.inputs import PARQUET, Input, open_log
from seatrial.errors import UsageError
from seatrial.stats.drift.calibrate import dependence, total
from seatrial.stats.drift.categories import Categories
from seatrial.stats.drift.cells import Cells, Frame, frame_of
from seatrial.stats.drift.measures import Column, Dependence

CHUNKS = 10
"""Parts of the reference in order of time that show how far apart windows lie without drift, unless it has its own."""

IDENTIFIERS = 10_000
"""Different values from which a text column is taken for identifiers and left out."""

_AT_ONCE = 20_000_000
_MONDAY = 4 * 86_400_000_000

Kind = Literal["numbers", "categories"]
Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Reference:
    """What a column looked like. ``frame`` and the counts of categories are all that later windows need."""

    column: Column
    dependence: Dependence


@dataclass(frozen=True, slots=True)
class Slice:
    """Rows of one window: event times in microseconds since 1970, None where the table is one window."""

    start: int | None
    end: int | None
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Columns as the user named them: only these, or all but those; numbers that are names of categories.

    ``time`` and ``window`` (microseconds): the column that says when, and how long a window is.
    """

    only: Sequence[str] = ()
    without: Sequence[str] = ()
    as_categories: Sequence[str] = ()
    time: str | None = None
    window: int | None = None


@dataclass(frozen=True)
class Table:
    """An open table: its columns with their types, and a way to read some of them."""

    name: str
    schema: pa.Schema
    rows: int
    read: Callable[[Sequence[str]], pa.Table]
    close: Callable[[], None]


def open_table(log: str, table: str | None = None) -> Table:
    """A file, directory, pattern or DuckDB table, as `open_log`; a single Parquet file without the way through DuckDB.

    Raises what `open_log` does.
    """
    if table is None and log.lower().endswith(PARQUET) and Path(log).is_file():
        try:
            with pq.ParquetFile(log) as file:
                schema, rows = file.schema_arrow, file.metadata.num_rows
        except pa.ArrowInvalid:
            return of_input(open_log(log))  # says in its words what is wrong with it
        return Table(log, schema, rows, lambda names: pq.read_table(log, columns=list(names)), lambda: None)
    return of_input(open_log(log, table))


def of_input(source: Input) -> Table:
    """A table that an engine holds."""
    try:
        schema = source.run(source.table.limit(0)).schema
        rows = int(source.run(source.table.aggregate(n=source.table.count()))["n"][0].as_py())
    except BaseException:
        source.close()
        raise
    return Table(source.name, schema, rows, lambda names: source.run(source.table.select(*names)), source.close)


def kinds_of(table: Table, asked: Asked) -> tuple[dict[str, Kind], dict[str, str]]:
    """The columns to compare, and those left out with the reason. Raises UsageError (ST0382) for unknown names."""
    named = {*asked.only, *asked.without, *asked.as_categories, *([asked.time] if asked.time else [])}
    for name in sorted(named - set(table.schema.names)):
        near = get_close_matches(name, table.schema.names, n=1, cutoff=0.4)
        listed = ", ".join(table.schema.names[:20])
        hint = f"Did you mean '{near[0]}'?" if near else f"There are: {listed}."
        raise UsageError("ST0382", f"'{table.name}' has no column '{name}'.", remedy=hint)
    kinds: dict[str, Kind] = {}
    left: dict[str, str] = {}
    for field in table.schema:
        if field.name in asked.without or field.name == asked.time or (asked.only and field.name not in asked.only):
            continue
        kind = "categories" if field.name in asked.as_categories else _kind(field.type)
        if kind is None:
            left[field.name] = f"values of type {field.type} are not compared"
        else:
            kinds[field.name] = kind
    return kinds, left


def slices(table: Table, asked: Asked) -> tuple[list[Slice], NDArray[np.intp] | None]:
    """The windows of a table with rows in them, and the order in which its rows are theirs (None: as they are).

    Windows lie on a grid of UTC, weeks begin on Mondays. Raises UsageError (ST0383) for times that are none.
    """
    if asked.time is None:
        return [Slice(None, None, table.rows)] if table.rows else [], None
    times = _times(table, asked.time)
    order = np.argsort(times, kind="stable")
    if asked.window is None or not times.size:
        first, last = (int(times[order[0]]), int(times[order[-1]])) if times.size else (None, None)
        return [Slice(first, last, len(times))] if times.size else [], order
    number = (times[order] - _MONDAY) // asked.window
    starts, rows = np.unique(number, return_counts=True)
    at = [int(start) * asked.window + _MONDAY for start in starts]
    return [Slice(begin, begin + asked.window, int(n)) for begin, n in zip(at, rows, strict=True)], order


def references(table: Table, kinds: Mapping[str, Kind], asked: Asked) -> tuple[dict[str, Reference], dict[str, str]]:
    """Every column of the reference, with the dependence that its own windows (or ten equal parts of its time) show.

    Without times rows count as independent: files are often sorted by what is in them. The second part names columns
    that turned out to be identifiers.
    """
    parts, order = slices(table, asked)
    lengths = [part.rows for part in parts]
    if len(parts) < 2 and asked.time is not None:
        lengths = np.diff(np.linspace(0, table.rows, CHUNKS + 1).astype(np.int64)).tolist()
    found, left = {}, {}
    for name, values in _columns(table, kinds, order):
        if isinstance(values, _Coded) and len(values.names) > IDENTIFIERS:
            left[name] = f"more than {IDENTIFIERS:,} different values: identifiers"
            continue
        frame = None if isinstance(values, _Coded) else frame_of(values)
        chunks = [_counted(values, frame, rows) for rows in _ranges(lengths or [0])]
        found[name] = Reference(total(chunks), dependence(chunks))
    return found, left


def windows(
    table: Table, reference: Mapping[str, Reference], asked: Asked
) -> tuple[list[Slice], list[dict[str, Column]]]:
    """The table's windows, and in each of them every column of the reference. The table must have these columns.

    Raises UsageError (ST0384) where it has not, or where numbers have become text.
    """
    kinds: dict[str, Kind] = {}
    for name, known in reference.items():
        kinds[name] = "numbers" if isinstance(known.column, Cells) else "categories"
        if name not in table.schema.names:
            raise UsageError(
                "ST0384", f"'{table.name}' has no column '{name}', which the reference has.",
                remedy=f"If it is gone for good: --without {name}",
            )  # fmt: skip
        if kinds[name] == "numbers" and _kind(table.schema.field(name).type) != "numbers":
            raise UsageError(
                "ST0384", f"column '{name}' holds numbers in the reference and {table.schema.field(name).type} "
                f"in '{table.name}'.", remedy=f"Compare them as categories, --categorical {name}, or mend the table.",
            )  # fmt: skip
    parts, order = slices(table, asked)
    found: list[dict[str, Column]] = [{} for _ in parts]
    ranges = _ranges([part.rows for part in parts])
    for name, values in _columns(table, kinds, order):
        column = reference[name].column
        frame = column.frame if isinstance(column, Cells) else None
        for counts, rows in zip(found, ranges, strict=True):
            counts[name] = _counted(values, frame, rows)
    return parts, found


@dataclass(frozen=True, slots=True)
class _Coded:
    """Categories by number; -1 is missing."""

    names: Sequence[str]
    codes: Codes


def _columns(
    table: Table, kinds: Mapping[str, Kind], order: NDArray[np.intp] | None
) -> Iterator[tuple[str, NDArray[np.float64] | _Coded]]:
    """Values of each column, a few columns at a time."""
    names = list(kinds)
    step = max(1, _AT_ONCE // max(table.rows, 1))
    for first in range(0, len(names), step):
        group = table.read(names[first : first + step])
        for name in names[first : first + step]:
            values = _coded(group[name]) if kinds[name] == "categories" else _numbers(group[name])
            yield name, _ordered(values, order)


def _ordered(values: NDArray[np.float64] | _Coded, order: NDArray[np.intp] | None) -> NDArray[np.float64] | _Coded:
    if order is None:
        return values
    return _Coded(values.names, values.codes[order]) if isinstance(values, _Coded) else values[order]


def _numbers(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """As floats, NaN where missing; decimals lose digits that no cell could tell."""
    cast = column if pa.types.is_float64(column.type) else pc.cast(column, pa.float64(), safe=False)
    return np.asarray(cast.to_numpy(), dtype=np.float64)


def _coded(column: pa.ChunkedArray) -> _Coded:
    plain = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
    encoded = pc.cast(plain, pa.string()).combine_chunks().dictionary_encode()
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    return _Coded(encoded.dictionary.to_pylist(), codes)


def _counted(values: NDArray[np.float64] | _Coded, frame: Frame | None, rows: slice) -> Column:
    if isinstance(values, _Coded):
        counts = np.bincount(values.codes[rows] + 1, minlength=len(values.names) + 1).tolist()
        return Categories({name: n for name, n in zip(values.names, counts[1:], strict=True) if n}, counts[0])
    assert frame is not None
    return Cells.of(frame, values[rows])


def _ranges(lengths: Sequence[int]) -> list[slice]:
    edges = np.concatenate([[0], np.cumsum(lengths)]).astype(int).tolist()
    return [slice(start, end) for start, end in pairwise(edges)]


def _kind(type: pa.DataType) -> Kind | None:
    if pa.types.is_integer(type) or pa.types.is_floating(type) or pa.types.is_decimal(type):
        return "numbers"
    if pa.types.is_boolean(type) or pa.types.is_string(type) or pa.types.is_large_string(type):
        return "categories"
    if pa.types.is_dictionary(type):
        return "categories" if _kind(type.value_type) else None
    return None


def _times(table: Table, name: str) -> NDArray[np.int64]:
    """Microseconds since 1970, UTC unless a zone is said. Every row has one, or it is in no window."""
    column = table.read([name])[name]
    if pa.types.is_string(column.type) or pa.types.is_date(column.type):
        try:
            column = pc.cast(column, pa.timestamp("us"))
        except pa.ArrowInvalid:
            column = pa.chunked_array([pa.array([None])])
    if not pa.types.is_timestamp(column.type) or column.null_count:
        raise UsageError(
            "ST0383", f"column '{name}' of '{table.name}' is not a time in every row.",
            remedy="Give a column of timestamps, such as 2026-03-01 12:00:00, without gaps.",
        )  # fmt: skip
    return np.asarray(pc.cast(pc.cast(column, pa.timestamp("us", column.type.tz)), pa.int64()).to_numpy())
