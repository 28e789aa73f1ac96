"""A user's wide table (one row a prediction, outcomes beside it) as exposures that the statements of evidence read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir

from seatrial.engines.columns import Columns
from seatrial.engines.expressions import segment_column
from seatrial.engines.inputs import Input
from seatrial.errors import UsageError
from seatrial.events.schema import UNKNOWN
from seatrial.evidence.tally import MICRO, UNIT_BUCKETS
from seatrial.ids import CANARY, CHAMPION, Arm
from seatrial.rollout.bands import Bands

SCALES: Mapping[str, int] = {"us": 1, "ms": 1_000, "s": MICRO}
"""Microseconds in a unit of time."""

MOST_VALUES = 1_000
"""A column with more values than this names neither arms nor phases."""

_HEX = "0123456789abcdef"


@dataclass(frozen=True, slots=True)
class Units:
    """Units of time of columns that are plain numbers; None: told by the column's type or name, or not needed."""

    time: str | None = None
    latency: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Rows with one value of the arm's and of the phase's column; times in microseconds, None without any."""

    arm: str | None
    phase: str | None
    rows: int
    without_unit: int
    without_time: int
    first: int | None
    last: int | None


@dataclass(frozen=True, slots=True)
class Split:
    """A stretch with one planned share: the rows of a phase label, or those from ``start`` (microseconds) on.

    ``weight`` is the canary's planned share of the units, out of 10,000.
    """

    number: int
    weight: int
    label: str | None = None
    start: int | None = None


class Wide:
    """One table with its columns known. Raises UsageError (ST0277) where a column's type does not fit its part."""

    def __init__(self, source: Input, columns: Columns, units: Units) -> None:
        self._source = source.near(columns.used())
        self._table, self._columns = self._source.table, columns
        self._micros = _MICROS[self._source.engine]
        self.time = self._moment(columns.time, "--time-unit", units.time)
        self._latency = self._span(columns.latency, units.latency)

    def run(self, expression: ir.Table) -> Any:
        """Rows of an expression over this table."""
        return self._source.run(expression)

    def groups(self) -> list[Group]:
        """What is in the table, by arm and phase as they are written there."""
        c, table = self._columns, self._table
        phase = ibis.null("string") if c.phase is None else table[c.phase].cast("string")
        seen = table.select(arm=table[c.arm].cast("string"), phase=phase, unit=table[c.unit], t=self.time)
        found = seen.group_by(["arm", "phase"]).agg(
            rows=seen.count(),
            without_unit=seen.unit.isnull().cast("int64").sum(),
            without_time=seen.t.isnull().cast("int64").sum(),
            first=seen.t.min(),
            last=seen.t.max(),
        )
        groups = [_group(row) for row in self.run(found.limit(MOST_VALUES)).to_pylist()]
        if len(groups) >= MOST_VALUES:
            raise UsageError("ST0274", f"'{c.arm}' has more than {MOST_VALUES:,} values: is it the arm?")
        return sorted(groups, key=lambda g: (g.arm or "", g.phase or ""))

    def exposures(self, arms: Mapping[str, Arm], splits: Sequence[Split], until: int) -> ir.Table:
        """Exposures up to a time, in the words of ``engines.expressions.EXPOSURES``.

        A row without a unit has no bucket, which is how it is left out. Rows of other arms are still there, with
        another arm or none (see ``in_arms``): where rows are grouped by arm, asking each of them is dearer than it is
        to leave out their groups.

        Outcomes are columns ``value_0``, ``value_1``, ... in the order of their names; ``when_N``, where there is
        one, is the time it became true (null: with the exposure).
        """
        c, table = self._columns, self._table
        unit = table[c.unit].cast("string")
        error = ibis.literal(False) if c.error is None else self._flag(c.error)
        columns: dict[str, Any] = {
            "arm": self._arm(arms),
            "phase": self._phase(splits),
            "unit": unit,
            "bucket": _bucket(unit) if c.bucket is None else table[c.bucket].cast("int64"),
            "t": self.time,
            "row": ibis.literal(0, "int64") if c.row is None else table[c.row].cast("int64"),
            "error": error,
            "latency": self._latency,
            "score": self._score(error),
            **({} if c.items is None else {"items": self._list(c.items)}),
        }
        for n, (name, column) in enumerate(sorted(c.outcomes.items())):
            columns[f"value_{n}"] = self._list(column) if name in c.clicked else self._number(column)
            if name in c.outcome_times:
                columns[f"when_{n}"] = self._moment(c.outcome_times[name], "--time-unit", None)
        for name, column in c.segments.items():
            columns[segment_column(name)] = self._segment(column, c.bands.get(name))
        rows = table.select(**columns)
        return rows.filter(rows.phase.notnull() & rows.bucket.notnull() & rows.t.between(0, until))

    def _arm(self, arms: Mapping[str, Arm]) -> Any:
        written = self._table[self._columns.arm].cast("string")
        return written if all(value == arm for value, arm in arms.items()) else _matching(written, arms, "string")

    def _phase(self, splits: Sequence[Split]) -> Any:
        if self._columns.phase is not None and splits[0].label is not None:
            column = self._table[self._columns.phase]
            plain = int if column.type().is_integer() else str  # comparing numbers is a good deal faster
            labels = {plain(str(split.label)): split.number for split in splits}
            if all(label == number for label, number in labels.items()):  # those of an event log
                number = column.cast("int64")
                return ibis.ifelse(number.between(min(labels), max(labels)), number, ibis.null("int64"))
            return _matching(column if plain is int else column.cast("string"), labels, "int64")
        starts = sorted(((split.start or 0, split.number) for split in splits if split.start is not None), reverse=True)
        if not starts:
            return ibis.literal(splits[0].number, "int64")
        whens = [(self.time >= start, ibis.literal(number, "int64")) for start, number in starts]
        return ibis.cases(*whens, else_=ibis.null("int64"))

    def _moment(self, name: str, flag: str, unit: str | None) -> Any:
        """Microseconds since the epoch; a text that is no time is null."""
        column = self._table[name]
        kind = column.type()
        if kind.is_timestamp() or kind.is_date():
            return self._micros(column.cast("timestamp") if kind.is_date() else column)
        if kind.is_string():
            return self._micros(column.try_cast("timestamp('UTC')"))
        if kind.is_numeric():
            if unit is None:
                raise UsageError(
                    "ST0277", f"'{name}' holds plain numbers, not times.", remedy=f"Say since when: {flag} s, ms or us."
                )
            return _scaled(column, SCALES[unit])
        raise UsageError("ST0277", f"'{name}' is of type {kind}, not a time.", remedy="Name another: --time COLUMN.")

    def _span(self, name: str | None, unit: str | None) -> Any:
        """A latency in whole microseconds."""
        if name is None:
            return ibis.null("int64")
        unit = unit or next((u for u in SCALES if name.lower().endswith(f"_{u}")), None)
        if unit is None:
            raise UsageError(
                "ST0277", f"the name '{name}' does not tell its unit.", remedy="Say which: --latency-unit us, ms or s."
            )
        column = self._table[name]
        return _scaled(column if column.type().is_integer() else self._number(name), SCALES[unit])

    def _flag(self, name: str) -> Any:
        column = self._table[name]
        if column.type().is_boolean():
            return column.fill_null(False)
        return (self._number(name) != 0).fill_null(False)

    def _segment(self, name: str, bands: Bands | None) -> Any:
        """The value as text, or the label of its band (as ``Bands.label_of``)."""
        column = self._table[name]
        if bands is None:
            return column.cast("string").fill_null(UNKNOWN)
        return banded(column.try_cast("float64") if column.type().is_string() else self._number(name), bands)

    def _score(self, error: Any) -> Any:
        """Null unless the assigned version answered with a number."""
        if self._columns.score is None:
            return ibis.null("float64")
        return ibis.ifelse(error, ibis.null("float64"), self._number(self._columns.score))

    def _list(self, name: str) -> Any:
        """A list of ids as text."""
        kind = self._table[name].type()
        if not kind.is_array():
            raise UsageError(
                "ST0277", f"'{name}' is of type {kind}, not a list of ids.",
                remedy="Write lists as lists: Parquet has them, CSV has not.",
            )  # fmt: skip
        return self._table[name].cast("array<string>")

    def _number(self, name: str) -> Any:
        """A finite number or null."""
        column = self._table[name]
        kind = column.type()
        if kind.is_boolean():
            return column.cast("int64").cast("float64")
        if kind.is_integer() or kind.is_decimal():
            return column.cast("float64")
        if kind.is_floating():
            number = column.cast("float64")
            return ibis.ifelse(number.isnan() | number.isinf(), ibis.null("float64"), number)
        if kind.is_null():
            return ibis.null("float64")
        raise UsageError("ST0277", f"'{name}' is of type {kind}, not a number.", remedy="Name another column.")


def _group(row: Mapping[str, Any]) -> Group:
    """DuckDB's sums of 64-bit integers come back as decimals."""
    counts = {name: int(row[name]) for name in ("rows", "without_unit", "without_time")}
    return Group(row["arm"], row["phase"], first=row["first"], last=row["last"], **counts)


def banded(number: Any, bands: Bands) -> Any:
    """The label of a number's band; ``unknown`` for null, NaN and what is infinite."""
    below, *further = bands.bounds
    known = number.notnull() & ~number.isnan() & ~number.isinf()
    whens = [(~known.fill_null(False), UNKNOWN), (number < below, bands.labels[0])]
    whens += [(number <= bound, label) for bound, label in zip(further, bands.labels[1:], strict=False)]
    return ibis.cases(*whens, else_=bands.labels[-1])


def in_arms(exposures: ir.Table) -> ir.Table:
    """Exposures of champion and canary."""
    return exposures.filter(exposures.arm.isin([CHAMPION, CANARY]))


def without_mixed(exposures: ir.Table) -> ir.Table:
    """Exposures of champion and canary without the units that were in both arms within one phase."""
    exposures = in_arms(exposures)
    held = exposures.group_by(["unit", "phase"]).agg(arms=exposures.arm.nunique())
    return exposures.anti_join(held.filter(held.arms > 1), "unit")


@ibis.udf.scalar.builtin(name="epoch_us", signature=(("timestamp",), "int64"))
def _duckdb_micros(moment):  # type: ignore[no-untyped-def]
    """DuckDB's: exact, where Ibis' own cast goes through seconds."""


@ibis.udf.scalar.builtin(name="unix_micros", signature=(("timestamp",), "int64"))
def _spark_micros(moment):  # type: ignore[no-untyped-def]
    """Spark's."""


_MICROS = {"duckdb": _duckdb_micros, "pyspark": _spark_micros}


def _scaled(number: Any, factor: int) -> Any:
    """Whole microseconds of a number of larger units."""
    if number.type().is_integer():
        return number.cast("int64") * factor if factor != 1 else number.cast("int64")
    return (number * float(factor)).round().cast("int64")


def _matching(column: Any, values: Mapping[Any, Any], kind: str) -> Any:
    """What stands for each value; null for others."""
    whens = [(column == text, ibis.literal(value, kind)) for text, value in values.items()]
    return ibis.cases(*whens, else_=ibis.null(kind))


def _bucket(unit: Any) -> Any:
    """Place of a unit in 0..255 by the first two digits of its MD5: every engine comes to the same."""
    digits = unit.hexdigest("md5")
    high, low = (ibis.literal(_HEX).find(digits.substr(n, 1)) for n in (0, 1))
    return ((high * 16 + low) % UNIT_BUCKETS).cast("int64")
