"""Tables of a CI step: Parquet or CSV files, read a column at a time, and held against what they must be."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seatrial.ci.pipeline import Column, DataCheck, Kind
from seatrial.errors import NotFound, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

SHOWN = 3


class Table:
    """A Parquet or CSV file. Raises NotFound without one, UsageError for a file that is neither."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.dataset as ds
        from pyarrow.csv import ConvertOptions

        self.path = path
        if not path.exists():
            raise NotFound("ST1210", f"there is no table '{path}'.", remedy="Paths are relative to the project.")
        kind = "csv" if path.suffix.lower() == ".csv" else "parquet"
        empty_is_null = ds.CsvFileFormat(convert_options=ConvertOptions(strings_can_be_null=True))
        try:
            self._data = ds.dataset(path, format=empty_is_null if kind == "csv" else kind)
        except (pa.ArrowInvalid, OSError) as error:
            raise UsageError(
                "ST1211", f"'{path}' is not a {kind} file: {error}.", remedy="Give a .parquet or a .csv file."
            ) from None
        self.rows: int = self._data.count_rows()
        self.columns: tuple[str, ...] = tuple(self._data.schema.names)

    def digest(self) -> str | None:
        """SHA-256 of the file as it is; a directory has none."""
        if not self.path.is_file():
            return None
        with self.path.open("rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"

    def column(self, name: str) -> pa.ChunkedArray:
        """Raises UsageError for a column that is not there."""
        self._require(name)
        return self._data.to_table(columns=[name]).column(0)

    def records(self, columns: tuple[str, ...]) -> list[dict[str, Any]]:
        """All rows, of these columns only."""
        for name in columns:
            self._require(name)
        rows: list[dict[str, Any]] = self._data.to_table(columns=list(columns)).to_pylist()
        return rows

    def _require(self, name: str) -> None:
        if name not in self.columns:
            raise UsageError(
                "ST1212", f"'{self.path}' has no column '{name}'.", remedy=f"It has {', '.join(self.columns)}."
            )


def violations(check: DataCheck, table: Table) -> Iterator[str]:
    """Everything that a table is not, in sentences that name column, bound and how many rows."""
    if table.rows < check.rows:
        yield f"{table.rows} rows, wanted at least {check.rows}"
    if check.closed and (extra := [name for name in table.columns if name not in check.columns]):
        yield f"columns that nobody declared: {', '.join(extra)}"
    for name, wanted in check.columns.items():
        if name not in table.columns:
            yield f"column '{name}' is missing"
        else:
            for problem in _of_column(wanted, table.column(name)):
                yield f"column '{name}': {problem}"


def _of_column(wanted: Column, column: pa.ChunkedArray) -> Iterator[str]:
    import pyarrow.compute as pc

    if wanted.type is not None and not _is(wanted.type, column.type):
        yield f"is {column.type}, wanted {wanted.type}"
        return  # bounds of another type say nothing
    missing = _missing(column)
    if len(column) and missing / len(column) > wanted.nulls.fraction:
        share = missing / len(column)
        yield f"{missing} of {len(column)} rows are missing ({share:.2%}), at most {wanted.nulls} may be"
    if wanted.unique and (twice := len(column) - column.null_count - pc.count_distinct(column).as_py()):
        yield f"{twice} rows repeat a value, and it is to be unique"
    if wanted.min is not None and (low := _count(pc.less(column, wanted.min))):
        yield f"{low} rows are below {wanted.min:g}, the least is {pc.min(column).as_py():g}"
    if wanted.max is not None and (high := _count(pc.greater(column, wanted.max))):
        yield f"{high} rows are above {wanted.max:g}, the largest is {pc.max(column).as_py():g}"
    if wanted.values:
        found = {str(value) for value in pc.unique(column.drop_null()).to_pylist()} - set(wanted.values)
        if found:
            shown = ", ".join(sorted(found)[:SHOWN])
            yield f"{len(found)} values are not among the {len(wanted.values)} declared ones, e.g. {shown}"


def _missing(column: pa.ChunkedArray) -> int:
    """Nulls, and what is not a number where numbers are."""
    import pyarrow as pa
    import pyarrow.compute as pc

    nans = _count(pc.is_nan(column)) if pa.types.is_floating(column.type) else 0
    return int(column.null_count) + nans


def _count(mask: Any) -> int:
    import pyarrow.compute as pc

    return int(pc.sum(mask).as_py() or 0)


def _is(kind: Kind, type: Any) -> bool:
    import pyarrow.types as t

    match kind:
        case "number":
            return bool(t.is_integer(type) or t.is_floating(type) or t.is_decimal(type))
        case "text":
            return bool(t.is_string(type) or t.is_large_string(type) or t.is_dictionary(type))
        case "boolean":
            return bool(t.is_boolean(type))
        case "time":
            return bool(t.is_timestamp(type) or t.is_date(type))
