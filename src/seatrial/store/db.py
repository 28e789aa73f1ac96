"""Open the store, and read or write it in transactions."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Self

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    DisconnectionError,
    IntegrityError,
    InterfaceError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

from seatrial.errors import Conflict, SeatrialError, Unavailable, UsageError
from seatrial.errors import IntegrityError as Broken
from seatrial.store import migrate
from seatrial.store.approvals import Approvals
from seatrial.store.audit import AuditLog
from seatrial.store.changes import Changes
from seatrial.store.ci_runs import CIRuns
from seatrial.store.decisions import Decisions
from seatrial.store.drills import Drills
from seatrial.store.follow_ups import FollowUps
from seatrial.store.homecomings import Homecomings
from seatrial.store.incidents import Incidents
from seatrial.store.leases import Leases
from seatrial.store.mlflow import Mlflow
from seatrial.store.models import Models
from seatrial.store.outbox import Outbox
from seatrial.store.people import People
from seatrial.store.recalls import Recalls
from seatrial.store.rollouts import Rollouts
from seatrial.store.settings import Settings
from seatrial.store.test_sets import TestSets
from seatrial.store.tickets import Tickets
from seatrial.store.training import Training
from seatrial.store.watchdog import Watchdog

_WRITER_LOCK: Final = 0x5EA_7121A1  # PostgreSQL advisory lock: any constant that is ours
_LIVELINESS: Final = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}  # a server whose machine is gone is missed within ten seconds
_IDLE_MS: Final = 10_000
_TICKET: Final = "watchdog"
_PASSING: Final = frozenset({
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL,
})  # fmt: skip


class Transaction:
    """One transaction and everything that can be read and written in it. All of it is kept, or none of it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.audit = AuditLog(connection)
        self.models = Models(connection, self.audit)
        self.rollouts = Rollouts(connection)
        self.decisions = Decisions(connection)
        self.settings = Settings(connection)
        self.leases = Leases(connection)
        self.alerts = Outbox(connection)
        self.people = People(connection, self.audit)
        self.follow_ups = FollowUps(connection)
        self.incidents = Incidents(connection, self.audit)
        self.recalls = Recalls(connection, self.audit)
        self.drills = Drills(connection)
        self.ci_runs = CIRuns(connection)
        self.approvals = Approvals(connection, self.audit)
        self.homecomings = Homecomings(connection)
        self.mlflow = Mlflow(connection, self.audit)
        self.changes = Changes(connection, self.audit)
        self.test_sets = TestSets(connection, self.audit)
        self.tickets = Tickets(connection, self.audit)
        self.training = Training(connection)


class Store:
    """The database of a project: SQLite embedded, PostgreSQL in production.

    One writer at a time, on both: ``begin`` takes the database's write lock first (``BEGIN IMMEDIATE``, an advisory
    lock), so what a transaction has read is still true when it writes. Readers see a snapshot and wait for nobody.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @classmethod
    def open(cls, url_or_path: str | Path, *, patience: timedelta = timedelta(seconds=10)) -> Self:
        """Open, create if need be, and migrate. ``patience`` is how long a writer waits for another one.

        Raises ``Unavailable`` if the database does not answer.
        """
        url = _url(url_or_path)
        store = cls(_sqlite(url, patience) if url.get_backend_name() == "sqlite" else _postgresql(url, patience))
        try:
            with store._transaction(write=True) as connection:
                migrate.upgrade(connection)
        except BaseException:
            store.close()
            raise
        return store

    @contextmanager
    def begin(self) -> Iterator[Transaction]:
        """Write: commits at the end of the block, rolls back if it raises."""
        with self._transaction(write=True) as connection:
            yield Transaction(connection)

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """Read one snapshot; writing in it is an error."""
        with self._transaction(write=False) as connection:
            yield Transaction(connection)

    def close(self) -> None:
        self.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Store({self.engine.url.render_as_string(hide_password=True)})"

    @contextmanager
    def _transaction(self, *, write: bool) -> Iterator[Connection]:
        try:
            with self.engine.connect() as plain:
                connection = plain.execution_options(**self._options(write))
                with connection.begin():
                    if write and connection.dialect.name == "postgresql":
                        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _WRITER_LOCK})
                    yield connection
        except (DBAPIError, PoolTimeout) as error:
            raise self._explained(error) from error
        except UnicodeEncodeError as error:
            raise _unstorable() from error

    def _explained(self, error: DBAPIError | PoolTimeout) -> SeatrialError:
        """The error as one of ours: refused by a rule of the schema, not to be had now, or damaged."""
        cause = error.orig if isinstance(error, DBAPIError) else error
        if isinstance(error, DataError):
            return _unstorable()
        if isinstance(error, IntegrityError):
            return Conflict("ST0614", f"{self!r} refuses the change: {cause}.")
        if isinstance(error, PoolTimeout | InterfaceError) or _is_passing(error):
            return Unavailable(
                "ST0611",
                f"{self!r} does not answer: {cause}.",
                remedy="If it is locked, another process holds the write lock: see what else runs, and try again.",
            )
        return Broken(
            "ST0615",
            f"{self!r} cannot be read: {cause}.",
            remedy="The file is damaged or is no database: restore it from a backup. Traffic flows on without it.",
        )

    def _options(self, write: bool) -> dict[str, Any]:
        if self.engine.dialect.name == "sqlite":
            return {"seatrial_write": write}
        return {"isolation_level": "READ COMMITTED" if write else "REPEATABLE READ", "postgresql_readonly": not write}


def _unstorable() -> UsageError:
    return UsageError("ST0605", "a text cannot be stored: it holds half a character, or a NUL.")


def _is_passing(error: DBAPIError) -> bool:
    """Whether it may go well the next time: locked, full, gone away; in contrast to damaged."""
    if isinstance(error.orig, sqlite3.Error):
        return getattr(error.orig, "sqlite_errorcode", 0) & 0xFF in _PASSING
    return isinstance(error, OperationalError) or error.connection_invalidated


def _url(url_or_path: str | Path) -> URL:
    if isinstance(url_or_path, Path) or "://" not in url_or_path:
        return URL.create("sqlite", database=str(Path(url_or_path).absolute()))
    try:
        url = make_url(url_or_path)
    except ArgumentError:
        raise _unsupported("this text") from None  # what does not parse may hold a password anywhere
    if url.get_backend_name() in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() != "sqlite" or url.database in (None, "", ":memory:"):
        raise _unsupported(repr(url.render_as_string(hide_password=True)))
    return url


def _unsupported(what: str) -> UsageError:
    return UsageError(
        "ST0612",
        f"store: {what} is not supported.",
        remedy="Use the path of a SQLite file, or postgresql://user@host/database.",
    )


def _sqlite(url: URL, patience: timedelta) -> Engine:
    path = Path(str(url.database))
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(OSError):  # what is wrong with the place, the database itself says best
        path.touch(mode=0o600)  # its log and its index get the mode of the database
    engine = create_engine(url, connect_args={"timeout": patience.total_seconds()})

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, record: Any) -> None:
        connection.isolation_level = None  # transactions are begun below, not guessed by the driver
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        write = connection.get_execution_options().get("seatrial_write", False)
        connection.exec_driver_sql(f"PRAGMA query_only = {'OFF' if write else 'ON'}")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def _postgresql(url: URL, patience: timedelta) -> Engine:
    milliseconds = int(patience.total_seconds() * 1000)
    # A process that is stopped in the middle of a transaction must not keep the writer's lock from all others for ever.
    server = {"lock_timeout": milliseconds, "idle_in_transaction_session_timeout": _IDLE_MS, "timezone": "UTC"}
    options = {"options": " ".join(f"-c {name}={value}" for name, value in server.items()), **_LIVELINESS}
    try:
        given = {name: value for name, value in options.items() if name == "options" or name not in url.query}
        engine = create_engine(url, connect_args=given)
    except ModuleNotFoundError as error:
        raise UsageError(
            "ST0613", "store: PostgreSQL needs psycopg.", remedy="pip install 'seatrial[postgres]'"
        ) from error
    _watch(engine, Watchdog(2 * patience.total_seconds()))  # a statement may wait for the writer's lock
    return engine


def _watch(engine: Engine, watchdog: Watchdog) -> None:
    """Every wait for PostgreSQL ends. Connections from before a restart of the server are made anew."""

    @event.listens_for(engine, "checkout")
    def ask(connection: Any, record: Any, proxy: Any) -> None:
        record.info[_TICKET] = watchdog.expect(connection.fileno())
        try:
            engine.dialect.do_ping(connection)
        except Exception as error:
            done(connection, record)
            raise DisconnectionError(str(error)) from error

    @event.listens_for(engine, "before_cursor_execute")
    def again(connection: Connection, *statement: Any) -> None:
        watchdog.again(connection.info.get(_TICKET, -1))

    @event.listens_for(engine, "checkin")
    def done(connection: Any, record: Any) -> None:
        if (ticket := record.info.pop(_TICKET, None)) is not None:
            watchdog.release(ticket)

    @event.listens_for(engine, "invalidate")
    def lost(connection: Any, record: Any, error: Any) -> None:
        done(connection, record)
