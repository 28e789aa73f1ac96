"""What a table of training data must be, and everything that it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest

from seatrial.ci.pipeline import DataCheck, pipeline_of
from seatrial.ci.tables import Table, violations
from seatrial.errors import NotFound, UsageError

GOOD = {"id": [1, 2, 3, 4], "amount": [1.0, 2.5, 3.0, 9.0], "country": ["DE", "FR", "DE", None]}
COLUMNS = {
    "id": {"type": "number", "unique": True},
    "amount": {"type": "number", "min": 1, "max": 9},
    "country": {"type": "text", "nulls": "25%", "values": ["DE", "FR"]},
}


def check(**more: Any) -> DataCheck:
    data = {"file": "t", "columns": COLUMNS, **more}
    step = pipeline_of({"steps": [{"name": "d", "group": "data", "data": data}]}).steps[0]
    assert step.data is not None
    return step.data


def told(tmp_path: Path, columns: dict[str, Any], wanted: DataCheck) -> str:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table(columns), path)
    return "; ".join(violations(wanted, Table(path)))


def test_a_table_as_declared_has_no_violation(tmp_path: Path) -> None:
    assert told(tmp_path, GOOD, check(rows=4, closed=True)) == ""
    csv.write_csv(pa.table(GOOD), tmp_path / "t.csv")
    assert list(violations(check(), Table(tmp_path / "t.csv"))) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"id": [1, 2, 2, 4]}, "column 'id': 1 rows repeat a value"),
        ({"amount": [0.5, 2, 3, 9.5]}, "1 rows are below 1, the least is 0.5; column 'amount': 1 rows are above"),
        ({"amount": [1.0, float("nan"), 3.0, 4.0]}, "1 of 4 rows are missing (25.00%), at most 0% may be"),
        ({"amount": ["1", "2", "3", "4"]}, "column 'amount': is string, wanted number"),
        ({"country": ["DE", None, None, "FR"]}, "2 of 4 rows are missing (50.00%), at most 25% may be"),
        ({"country": ["DE", "XX", "FR", "FR"]}, "1 values are not among the 2 declared ones, e.g. XX"),
        ({"more": [1, 1, 1, 1]}, "columns that nobody declared: more"),
    ],
)  # fmt: skip
def test_each_violation_is_named(tmp_path: Path, change: dict[str, Any], expected: str) -> None:
    assert expected in told(tmp_path, {**GOOD, **change}, check(closed=True))


def test_missing_columns_and_too_few_rows(tmp_path: Path) -> None:
    assert told(tmp_path, {"id": [1]}, check(rows=2)) == (
        "1 rows, wanted at least 2; column 'amount' is missing; column 'country' is missing"
    )


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no table"):
        Table(tmp_path / "none.parquet")
    (tmp_path / "wrong.parquet").write_text("no parquet")
    with pytest.raises(UsageError, match="not a parquet file"):
        Table(tmp_path / "wrong.parquet")
    pq.write_table(pa.table(GOOD), tmp_path / "t.parquet")
    with pytest.raises(UsageError, match="no column 'amnt'"):
        Table(tmp_path / "t.parquet").column("amnt")
