"""The latest of what was captured, as the doctor reads it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from seatrial.cli.doctor.finding import Case

ROWS = 20_000
"""Of a log, the latest so many rows are looked at."""


@dataclass(frozen=True, slots=True)
class Recent:
    """The latest requests of a model. ``rows``: one mapping a request (first rows of batches only)."""

    rows: list[dict[str, Any]]

    @property
    def requests(self) -> int:
        return len(self.rows)

    @property
    def units(self) -> int:
        return len({row["unit"] for row in self.rows} - {None})

    @property
    def bare(self) -> float:
        """The share without a unit."""
        return sum(row["unit"] is None for row in self.rows) / len(self.rows) if self.rows else 0.0

    @property
    def days(self) -> float:
        """From the first to the last of them."""
        times = [row["time"] for row in self.rows]
        return (max(times) - min(times)) / timedelta(days=1) if times else 0.0


def recent(case: Case, model: str) -> Recent:
    """The latest requests in the log, read once; copies for a shadow are left out."""
    if model not in case.seen:
        columns = ["row", "arm", "unit", "time", "error", "error_kind", "rollout", "outcome_key"]
        rows = _latest(case.project.events, model, columns)
        case.seen[model] = Recent([row for row in rows if row["row"] == 0 and row["arm"] != "shadow"])
    return case.seen[model]


def reported(case: Case, model: str) -> list[dict[str, Any]]:
    """Keys and names of the latest outcomes."""
    return _latest(case.project.outcomes, model, ["key", "name"])


def _latest(root: Path, model: str, columns: list[str]) -> list[dict[str, Any]]:
    """The newest rows of a model's parts, oldest first."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from seatrial.events.parts import list_parts, model_directory

    parts = [part.path for part in list_parts(model_directory(root, model))]
    tables: list[pa.Table] = []
    for path in sorted(parts, key=lambda path: path.stat().st_mtime_ns, reverse=True):
        tables.append(pq.ParquetFile(path).read(columns=columns))
        if sum(len(table) for table in tables) >= ROWS:
            break
    rows: list[dict[str, Any]] = pa.concat_tables(tables[::-1]).to_pylist() if tables else []
    return rows
