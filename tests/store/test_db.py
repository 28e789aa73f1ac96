"""Opening, migrating and sharing a store."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text
from sqlalchemy.exc import DBAPIError

from seatrial.errors import SeatrialError, Unavailable, UsageError
from seatrial.store import migrate
from seatrial.store.db import Store, Transaction
from seatrial.store.schema import metadata

OPEN_AND_COUNT = """
import sys
from datetime import UTC, datetime
from seatrial.store.db import Store
with Store.open(sys.argv[1]) as store:
    for _ in range(20):
        with store.begin() as tx:
            tx.settings.next_number("count", datetime(2026, 3, 1, tzinfo=UTC))
"""


def test_every_test_of_the_store_also_ran_on_postgresql(postgresql: Callable[[], str]) -> None:
    with Store.open(postgresql()) as store, store.read() as tx:
        assert tx.connection.dialect.name == "postgresql"


def test_migrations_from_empty_give_the_schema_of_the_code(store: Store) -> None:
    with store.read() as tx:
        context = MigrationContext.configure(tx.connection, opts={"compare_server_default": True})
        assert compare_metadata(context, metadata) == []
        assert set(inspect(tx.connection).get_table_names()) == {*metadata.tables, "alembic_version"}


def test_a_difference_between_schema_and_code_would_be_found(store: Store) -> None:
    with store.begin() as tx:
        tx.connection.exec_driver_sql("ALTER TABLE models ADD COLUMN colour TEXT")
        tx.connection.exec_driver_sql("DROP INDEX uq_rollouts_active")
        differences = compare_metadata(MigrationContext.configure(tx.connection), metadata)
    assert {difference[0] for difference in differences} == {"remove_column", "add_index"}


def test_the_newest_migration_is_the_one_the_code_knows(store: Store) -> None:
    with store.read() as tx:
        scripts = ScriptDirectory.from_config(migrate.alembic_config(tx.connection))
        assert scripts.get_heads() == [migrate.HEAD] == [migrate.current_revision(tx.connection)]


def test_opening_again_keeps_what_is_there(url: str, now: datetime) -> None:
    with Store.open(url) as store, store.begin() as tx:
        tx.settings.put("clock", "noon", now)
    with Store.open(url) as store, store.read() as tx:
        assert tx.settings.items() == {"clock": "noon"}


def test_a_store_of_a_newer_release_is_left_alone(url: str) -> None:
    with Store.open(url) as store, store.begin() as tx:
        tx.connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SeatrialError, match=r"9999, which this release does not know.*upgrade this installation"):
        Store.open(url)


def test_processes_that_open_an_empty_store_at_once_all_succeed(url: str) -> None:
    children = [subprocess.Popen([sys.executable, "-c", OPEN_AND_COUNT, url]) for _ in range(3)]
    assert [child.wait() for child in children] == [0, 0, 0]
    with Store.open(url) as store, store.read() as tx:
        assert tx.settings.items() == {"count": 60}


def test_two_connections_write_in_turn(url: str, now: datetime) -> None:
    with Store.open(url) as one, Store.open(url) as two:
        for store in (one, two, one, two):
            with store.begin() as tx:
                tx.audit.append("ann", "test.act", "thing", {}, now)
        with one.read() as tx:
            assert tx.audit.verify().entries == 4


def test_what_a_writer_has_read_is_still_true_when_it_writes(url: str, now: datetime) -> None:
    with Store.open(url) as one, Store.open(url) as two:

        def count(store: Store) -> None:
            for _ in range(25):
                with store.begin() as tx:
                    tx.settings.next_number("count", now)

        run_together(lambda: count(one), lambda: count(two), lambda: count(two))
        with one.read() as tx:
            assert tx.settings.items() == {"count": 75}


def test_a_reader_sees_a_snapshot_and_does_not_wait_for_the_writer(store: Store, now: datetime) -> None:
    with store.begin() as tx:
        tx.settings.put("key", 1, now)
    with store.read() as reader:
        assert reader.settings.items() == {"key": 1}
        with store.begin() as writer:
            writer.settings.put("key", 2, now)
        assert reader.settings.items() == {"key": 1}
    with store.read() as reader:
        assert reader.settings.items() == {"key": 2}


def test_a_reader_cannot_write(store: Store, now: datetime) -> None:
    with pytest.raises((SeatrialError, DBAPIError), match=r"read-?only"), store.read() as tx:
        tx.settings.put("key", 1, now)
    with store.begin() as tx:
        assert tx.settings.items() == {}
        tx.settings.put("key", 1, now)


def test_a_block_that_raises_leaves_nothing(store: Store, now: datetime) -> None:
    def fail(tx: Transaction) -> None:
        tx.settings.put("key", 1, now)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), store.begin() as tx:
        fail(tx)
    with store.read() as tx:
        assert tx.settings.items() == {}


def test_a_writer_that_waits_too_long_says_so(url: str) -> None:
    with (
        Store.open(url) as patient,
        Store.open(url, patience=timedelta(milliseconds=50)) as impatient,
        patient.begin(),
        pytest.raises(Unavailable, match="try again"),
        impatient.begin(),
    ):
        pass


def test_sqlite_is_set_up_to_survive_a_power_cut(tmp_path: Path) -> None:
    with Store.open(tmp_path / "new" / "store.db") as store, store.begin() as tx:
        found = {
            name: tx.connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


@pytest.mark.parametrize("url", ["mysql://root@localhost/db", "sqlite://", "sqlite:///:memory:"])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(UsageError, match="is not supported"):
        Store.open(url)


def test_a_password_is_never_shown() -> None:
    with pytest.raises(SeatrialError) as raised:
        Store.open("postgresql://ann:secret@127.0.0.1:1/db")
    assert "secret" not in str(raised.value)


def run_together(*actions: Callable[[], None]) -> None:
    """Run actions in threads that start at the same moment; the first failure is raised here."""
    start, failures = threading.Barrier(len(actions)), []

    def run(action: Callable[[], None]) -> None:
        start.wait()
        try:
            action()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


STOP_WHILE_WRITING = """
import os, signal, sys
from seatrial.store.db import Store
with Store.open(sys.argv[1]) as store, store.begin():
    os.kill(os.getpid(), signal.SIGSTOP)
"""


@pytest.mark.slow
def test_a_process_that_is_stopped_while_it_writes_holds_up_the_others_for_seconds(
    postgresql: Callable[[], str], now: datetime
) -> None:
    url = postgresql()
    with Store.open(url, patience=timedelta(seconds=30)) as store:
        stopped = subprocess.Popen([sys.executable, "-c", STOP_WHILE_WRITING, url], stderr=subprocess.DEVNULL)
        os.waitid(os.P_PID, stopped.pid, os.WSTOPPED | os.WNOWAIT)
        with store.begin() as tx:
            tx.settings.put("key", 1, now)
        stopped.send_signal(signal.SIGCONT)
        assert stopped.wait(30) == 1, "its own transaction is over"
