"""Which strata of a table (sites, scanners) look different from a reference: each against its own past."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from seatrial.control.analyses.drift import Question, drift, learn
from seatrial.engines.drift import Asked, Table, open_table
from seatrial.errors import UsageError
from seatrial.governance.tickets import Shift, Stratum
from seatrial.stats.drift.judge import Rules

ALPHA = 0.01


def affected(reference: Path, current: Path, by: Sequence[str], *, alpha: float = ALPHA) -> tuple[Stratum, ...]:
    """Strata of the columns ``by`` that drifted, are new or gone. ``alpha`` is shared by all strata (Bonferroni).

    Raises UsageError (ST1445) for a column that is not in both tables.
    """
    before, after = _whole(reference, by), _whole(current, by)
    found = [(column, value) for column in by for value in sorted({*_values(before, column), *_values(after, column)})]
    each = Question(asked=Asked(without=tuple(by)), rules=Rules(alpha=alpha / max(len(found), 1)))
    return tuple(one for column, value in found for one in _of(before, after, column, value, each))


def _of(before: pa.Table, after: pa.Table, column: str, value: str, question: Question) -> Iterator[Stratum]:
    old, new = _where(before, column, value), _where(after, column, value)
    if not old.num_rows or not new.num_rows:
        yield Stratum(column, value, "gone" if old.num_rows else "new", new.num_rows)
        return
    known = learn(_table(old, f"{column}={value}"), question.asked)
    answer = drift(known, _table(new, f"{column}={value}"), replace(question))
    shifts = {
        (f.column, f.measure): Shift(f.column, f.measure, f.value, f.least)
        for findings in answer.findings for f in findings if f.drift
    }  # fmt: skip
    if shifts:
        yield Stratum(column, value, "drift", new.num_rows, tuple(shifts.values()))


def _whole(path: Path, by: Sequence[str]) -> pa.Table:
    table = open_table(str(path))
    try:
        for column in by:
            if column not in table.schema.names:
                raise UsageError(
                    "ST1445", f"'{path}' has no column '{column}'.", remedy=f"It has {', '.join(table.schema.names)}."
                )
        return table.read(table.schema.names)
    finally:
        table.close()


def _values(table: pa.Table, column: str) -> set[str]:
    return {"unknown" if value is None else str(value) for value in pc.unique(table.column(column)).to_pylist()}


def _where(table: pa.Table, column: str, value: str) -> pa.Table:
    text = pc.fill_null(pc.cast(table.column(column), pa.string()), "unknown")
    return table.filter(pc.equal(text, value))


def _table(rows: pa.Table, name: str) -> Table:
    def read(names: Any) -> pa.Table:
        return rows.select(list(names))

    return Table(name, rows.schema, rows.num_rows, read, lambda: None)
