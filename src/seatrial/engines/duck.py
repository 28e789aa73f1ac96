"""DuckDB in memory, closed: it sees the Arrow tables it is given and nothing else."""

from __future__ import annotations

from collections.abc import Mapping

import duckdb
import pyarrow as pa

from seatrial.engines.expressions import parameters_of

_TYPES = {
    pa.string(): "VARCHAR",
    pa.int64(): "BIGINT",
    pa.float64(): "DOUBLE",
    pa.bool_(): "BOOLEAN",
    pa.list_(pa.string()): "VARCHAR[]",
    pa.list_(pa.float64()): "DOUBLE[]",
}

_ARROW = {"string": pa.string(), "int64": pa.int64(), "float64": pa.float64(), "boolean": pa.bool_()}

_KEEPS_PLANS = int(duckdb.__version__.partition(".")[0]) >= 2
"""Before 2.0 a prepared statement may not see rows that were inserted after it was planned."""


class DuckEngine:
    """An in-memory database without file or network access and without extension loading.

    ``threads`` and ``memory_limit`` (``"1GB"``, or ``"50%"`` of the machine's) are DuckDB's; ``spill`` names a
    directory for what does not fit.
    """

    def __init__(self, *, threads: int = 1, memory_limit: str = "1GB", spill: str | None = None) -> None:
        self._connection = duckdb.connect(
            config={
                "threads": threads,
                "memory_limit": memory_limit,
                "autoload_known_extensions": False,
                "autoinstall_known_extensions": False,
                "allow_community_extensions": False,
                "python_enable_replacements": False,
            }
        )
        self._prepared: dict[str, str] = {}
        if spill is not None:
            self._connection.execute("SET temp_directory = ?", [spill])
        # In this order: once access is off, not even the temporary directory can be named.
        self._connection.execute("SET enable_external_access = false")
        self._connection.execute("SET lock_configuration = true")

    def create(self, name: str, schema: pa.Schema) -> None:
        """An empty table."""
        columns = ", ".join(f"{_quoted(field.name)} {_TYPES[field.type]}" for field in schema)
        self._connection.execute(f"CREATE OR REPLACE TABLE {_quoted(name)} ({columns})")

    def insert(self, name: str, table: pa.Table) -> None:
        """Add rows; the columns are those of the table, in order."""
        self._connection.from_arrow(table).insert_into(name)

    def query(self, sql: str, parameters: Mapping[str, int]) -> pa.Table:
        """Run a statement with named parameters (``$until``); those it does not mention are left out."""
        used = {name: int(value) for name, value in parameters.items() if name in parameters_of(sql)}
        if not _KEEPS_PLANS:
            return self._connection.sql(sql, params=used).to_arrow_table()
        if sql not in self._prepared:
            self._prepared[sql] = f"s{len(self._prepared)}"
            self._connection.execute(f"PREPARE {self._prepared[sql]} AS {sql}")
        given = ", ".join(f"{name} := {value}" for name, value in used.items())
        return self._connection.sql(f"EXECUTE {self._prepared[sql]}{f'({given})' if given else ''}").to_arrow_table()

    def execute(self, sql: str, parameters: Mapping[str, int]) -> None:
        """Run a statement that gives nothing back."""
        self._connection.execute(sql, dict(parameters))

    def close(self) -> None:
        self._connection.close()


def schema_of(columns: Mapping[str, str]) -> pa.Schema:
    """The schema of columns whose types are named as in Ibis."""
    return pa.schema([(name, _ARROW[kind]) for name, kind in columns.items()])


def _quoted(name: str) -> str:
    """A name as SQL: whatever a plan calls its segments, it is a name."""
    escaped = name.replace('"', '""')
    return f'"{escaped}"'
