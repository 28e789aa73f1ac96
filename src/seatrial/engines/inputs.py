"""A user's own file or table, opened for reading and nothing else.

Files and DuckDB databases are read by a DuckDB that may open just them: after that, external access is off and the
configuration is locked, so neither a view in a database nor a name in a plan reaches any other file. Tables of other
backends are summed up where they are if that is Spark, otherwise the columns that are needed are read into DuckDB.
"""

from __future__ import annotations

import glob
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow as pa

from seatrial.errors import NotFound, SeatrialError, UsageError

PARQUET = (".parquet", ".pq")
CSV = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
DUCKDB = ("duckdb://", "duckdb:")
_SUMS_HERE = frozenset({"duckdb", "pyspark"})
"""Backends whose whole numbers are tested to be those of DuckDB (tests/engines/test_batch.py)."""

_BESIDE = "seatrial_beside"

_CLOSED: dict[str, str | bool | int | float | list[str]] = {
    "autoload_known_extensions": False,
    "autoinstall_known_extensions": False,
    "allow_community_extensions": False,
    "python_enable_replacements": False,
}


@dataclass(frozen=True)
class Input:
    """An open table; ``name`` is what people call it, ``engine`` Ibis' name of where it is (``duckdb``).

    ``bring`` sets a table in memory beside it, under a name that it takes for itself; None where that cannot be done.
    """

    name: str
    engine: str
    table: ir.Table
    rows: Callable[[ir.Table], pa.Table]
    close: Callable[[], None]
    bring: Callable[[pa.Table], ir.Table] | None = None

    @property
    def columns(self) -> list[str]:
        return list(self.table.columns)

    def run(self, expression: ir.Table) -> pa.Table:
        """The rows of an expression. Raises SeatrialError (ST0279) with what the engine says."""
        with _told(f"'{self.name}' cannot be summed up"):
            return self.rows(expression)

    def near(self, columns: Sequence[str]) -> Input:
        """The same table where it can be summed up: these columns of it are copied, unless it is there already."""
        if self.engine in _SUMS_HERE:
            return self
        copied = self.run(self.table.select(*columns))
        self.close()
        return held(self.name, copied)


def open_log(log: str, table: str | None = None) -> Input:
    """A Parquet or CSV file, a directory or a pattern of them, or a table of a DuckDB database.

    A table is named behind ``#`` (``duckdb:///shop.duckdb#visits``) or by ``table``. Raises NotFound (ST0270) or
    UsageError (ST0271).
    """
    path, _, named = log.partition("#")
    if path.startswith(DUCKDB) or (Path(path).suffix in (".duckdb", ".db", ".ddb") and Path(path).is_file()):
        return _database(path, named or table)
    if table is not None:
        raise UsageError("ST0271", f"'{log}' is a file, it has no tables.", remedy="Leave --table out.")
    files, kind = _files(log)
    connection = duckdb.connect(config=_CLOSED)
    with _told(f"'{log}' cannot be read", connection):
        if kind == "csv":
            everything = "CREATE TABLE log AS SELECT * FROM read_csv(?, union_by_name = true, sample_size = -1)"
            connection.execute(everything, [files])
            return _sealed(log, connection, "log")
        connection.read_parquet(files, union_by_name=True).create_view("log")
        return _sealed(log, connection, "log", reads=files)


def connect(url: str, table: str | None) -> Input:
    """A table of any backend of Ibis, by its URL.

    Raises UsageError (ST0271), NotFound (ST0270), UsageError for a backend that is not installed (ST0278), or
    SeatrialError (ST0279) with what the backend says.
    """
    if url.startswith(DUCKDB):
        return open_log(url, table)
    if table is None:
        raise UsageError("ST0271", f"'{_place(url)}' is a database.", remedy="Name the table: --table NAME.")
    scheme = urlsplit(url).scheme
    if scheme == "sqlite" and not Path(urlsplit(url).path).is_file():
        raise NotFound("ST0270", f"there is no SQLite database '{urlsplit(url).path}'.")
    if scheme in ("", "csv", "parquet", "file"):
        raise UsageError("ST0271", f"'{url}' is a file.", remedy="Give it as --log FILE.")
    try:
        backend = ibis.connect(url)
    except ImportError:
        raise UsageError(
            "ST0278", f"the backend '{scheme}' is not installed.", remedy=f"pip install 'ibis-framework[{scheme}]'"
        ) from None
    except Exception as error:  # every backend has errors of its own
        raise SeatrialError("ST0279", f"'{_place(url)}' cannot be opened: {_first_line(error, url)}.") from None
    with _told(f"'{_place(url)}' cannot be read"):
        database, _, bare = table.rpartition(".")
        within = {"database": database} if database else {}
        _require(bare, [str(found) for found in backend.list_tables(**within)], _place(url))
        return Input(table, str(backend.name), backend.table(bare, **within), _quiet(backend), backend.disconnect)


def _quiet(backend: Any) -> Callable[[ir.Table], pa.Table]:
    """Rows of a backend; what Ibis' use of pandas warns of is nothing that a user could change."""

    def rows(expression: ir.Table) -> pa.Table:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found: pa.Table = backend.to_pyarrow(expression)
            return found

    return rows


def _files(log: str) -> tuple[list[str], str]:
    """The files a path or a pattern stands for, and what they are: ``parquet`` or ``csv``."""
    path = Path(log)
    if path.is_dir():
        for endings, kind in ((PARQUET, "parquet"), (CSV, "csv")):
            found = sorted(str(file.resolve()) for file in path.rglob("*") if file.name.lower().endswith(endings))
            if found:
                return found, kind
        raise NotFound("ST0270", f"the directory '{log}' holds neither Parquet nor CSV files.")
    found = [str(path.resolve())] if path.is_file() else sorted(str(Path(f).resolve()) for f in glob.glob(log))
    if not found:
        raise NotFound("ST0270", f"there is no file '{log}'.", remedy="A file, a directory, a pattern in quotes.")
    kinds = {"parquet" if f.lower().endswith(PARQUET) else "csv" if f.lower().endswith(CSV) else "" for f in found}
    if len(kinds) > 1 or "" in kinds:
        raise UsageError(
            "ST0271", f"'{log}' is not one kind of file that can be read.",
            remedy="Parquet (.parquet, .pq) or CSV (.csv, .tsv, also .gz); for a database --connect URL --table NAME.",
        )  # fmt: skip
    return found, kinds.pop()


def _database(text: str, table: str | None) -> Input:
    """A table of a DuckDB file, read-only."""
    path = Path(text.removeprefix("duckdb://").removeprefix("duckdb:"))
    if not path.is_file():
        raise NotFound("ST0270", f"there is no DuckDB database '{path}'.", remedy="duckdb:///path/to/file.duckdb#table")
    if table is None:
        raise UsageError("ST0271", f"'{path}' is a database.", remedy="Name the table: duckdb:///FILE#TABLE.")
    connection = duckdb.connect(config=_CLOSED)
    with _told(f"'{path}' cannot be opened", connection):
        quoted = str(path.resolve()).replace("'", "''")
        connection.execute(f"ATTACH '{quoted}' AS source (READ_ONLY)")
        connection.execute("USE source")
        return _sealed(f"{path.name}#{table}", connection, table)


def held(name: str, table: pa.Table) -> Input:
    """A table in memory."""
    connection = duckdb.connect(config=_CLOSED)
    connection.from_arrow(table).create("log")
    return _sealed(name, connection, "log")


def _sealed(name: str, connection: duckdb.DuckDBPyConnection, table: str, *, reads: Sequence[str] = ()) -> Input:
    """A table, once nothing but the files named can be opened any more."""
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET allowed_paths = ?", [list(reads)])
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    schema, _, bare = table.rpartition(".")
    asked = "SELECT table_catalog, table_schema, table_name FROM information_schema.tables"
    here = (connection.execute("SELECT current_catalog()").fetchall()[0][0], schema or "main")
    _require(bare, [found for *where, found in connection.execute(asked).fetchall() if (*where,) == here], name)
    place = connection.table(f'"{schema or "main"}"."{bare}"')
    columns = ibis.Schema.from_pyarrow(place.limit(0).to_arrow_table().schema)

    def rows(expression: ir.Table) -> pa.Table:
        return connection.sql(str(ibis.to_sql(expression, dialect="duckdb"))).to_arrow_table()

    def bring(table: pa.Table) -> ir.Table:
        connection.register(_BESIDE, table)
        return ibis.table(ibis.Schema.from_pyarrow(table.schema), name=_BESIDE)

    log = ibis.table(columns, name=bare, database=schema or None)
    return Input(name, "duckdb", log, rows, connection.close, bring)


def _require(table: str, known: Sequence[str], where: str) -> None:
    if table not in known:
        near = get_close_matches(table, known, n=1, cutoff=0.4)
        hint = f"Did you mean '{near[0]}'?" if near else f"There are: {', '.join(sorted(known)[:20]) or 'none'}."
        raise NotFound("ST0270", f"'{where}' has no table '{table}'.", remedy=hint)


@contextmanager
def _told(what: str, connection: duckdb.DuckDBPyConnection | None = None) -> Iterator[None]:
    """Errors of a backend as one sentence; a connection that is not handed on is closed."""
    try:
        yield
    except BaseException as error:
        if connection is not None:
            connection.close()
        if isinstance(error, SeatrialError) or not isinstance(error, Exception):
            raise
        raise SeatrialError("ST0279", f"{what}: {_first_line(error)}.") from None


def _first_line(error: Exception, url: str = "") -> str:
    """What an error says in one line; where it repeats the URL, without the password."""
    text = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    return text.replace(url, _place(url)) if url else text


def _place(url: str) -> str:
    """A URL without the user and the password in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{parts.path}"
