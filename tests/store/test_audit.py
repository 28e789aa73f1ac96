"""The audit chain: whatever is done to a row, it is found and named."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from seatrial.errors import Exit, IntegrityError, SeatrialError, UsageError
from seatrial.store.audit import GENESIS, Anchor
from seatrial.store.db import Store, Transaction
from seatrial.store.schema import audit

Drop = Callable[[Connection], None]


@pytest.fixture
def filled(store: Store, now: datetime) -> Store:
    with store.begin() as tx:
        for number in range(1, 7):
            tx.audit.append("ann", "test.act", f"thing/{number % 2}", {"number": number, "naïve": 0.1}, now)
    return store


def tamper(store: Store, drop: Drop, *statements: str) -> None:
    with store.begin() as tx:
        drop(tx.connection)
        for statement in statements:
            tx.connection.exec_driver_sql(statement)


def test_a_log_that_nobody_touched_is_sound(filled: Store) -> None:
    with filled.read() as tx:
        report = tx.audit.verify()
        assert (report.entries, report.ok, report.first_bad) == (6, True, None)
        report.require_ok()
        assert tx.audit.verify(tx.audit.head()).ok


def test_an_empty_log_is_sound(store: Store) -> None:
    with store.read() as tx:
        assert tx.audit.head() == Anchor(0, GENESIS)
        assert tx.audit.verify().ok


CHANGES = {
    "seq": "40",
    "at": "'2026-03-01T12:30:00.123457Z'",
    "actor": "'bob'",
    "action": "'test.acT'",
    "object": "'thing/2'",
    "detail": '\'{"naïve": 0.1,"number":4}\'',
    "prev_hash": f"'{GENESIS}'",
    "hash": f"'{GENESIS}'",
}


@pytest.mark.parametrize("column", [column.name for column in audit.c])
def test_a_change_of_any_column_is_found(filled: Store, drop_triggers: Drop, column: str) -> None:
    tamper(filled, drop_triggers, f"UPDATE audit SET {column} = {CHANGES[column]} WHERE seq = 4")
    with filled.read() as tx:
        report = tx.audit.verify()
    assert (report.ok, report.first_bad) == (False, 4)
    with pytest.raises(IntegrityError, match="entry 4") as raised:
        report.require_ok()
    assert raised.value.exit_code is Exit.INTEGRITY


def test_a_changed_entry_whose_hash_was_made_to_fit_is_found_at_the_next_one(
    filled: Store, drop_triggers: Drop
) -> None:
    with filled.begin() as tx:
        drop_triggers(tx.connection)
        tx.connection.exec_driver_sql("UPDATE audit SET actor = 'bob' WHERE seq = 4")
        forged = next(entry for entry in tx.audit.entries() if entry.seq == 4).expected_hash()
        tx.connection.exec_driver_sql(f"UPDATE audit SET hash = '{forged}' WHERE seq = 4")
    with filled.read() as tx:
        assert tx.audit.verify().first_bad == 5


@pytest.mark.parametrize(
    ("statements", "first_bad"),
    [
        (["DELETE FROM audit WHERE seq = 1"], 1),
        (["DELETE FROM audit WHERE seq = 3"], 3),
        (["DELETE FROM audit WHERE seq > 4"], 5),
        (["DELETE FROM audit"], 1),
        (["DELETE FROM audit WHERE seq = 3", "UPDATE audit SET seq = seq - 1 WHERE seq = 4"], 3),
        (
            [
                "UPDATE audit SET seq = 99 WHERE seq = 3",
                "UPDATE audit SET seq = 3 WHERE seq = 4",
                "UPDATE audit SET seq = 4 WHERE seq = 99",
            ],
            3,
        ),
        (
            ["INSERT INTO audit SELECT 7, at, actor, action, object, detail, prev_hash, hash FROM audit LIMIT 1"],
            7,
        ),
        (
            ["INSERT INTO audit SELECT -7, at, actor, action, object, detail, prev_hash, hash FROM audit LIMIT 1"],
            -7,
        ),
    ],
    ids=["first", "middle", "tail", "all", "closed gap", "swap", "added", "put before"],
)
def test_entries_removed_moved_or_added_are_found(
    filled: Store, drop_triggers: Drop, statements: list[str], first_bad: int
) -> None:
    tamper(filled, drop_triggers, *statements)
    with filled.read() as tx:
        assert tx.audit.verify().first_bad == first_bad


def test_a_chain_written_anew_is_sound_in_itself_and_betrayed_by_an_anchor(
    filled: Store, drop_triggers: Drop, now: datetime
) -> None:
    with filled.begin() as tx:
        anchor = tx.audit.head()
        drop_triggers(tx.connection)
        tx.connection.exec_driver_sql("DELETE FROM audit")
        tx.connection.exec_driver_sql("DELETE FROM audit_head")
        for number in range(1, 8):
            tx.audit.append("bob", "test.act", f"thing/{number}", {}, now)
    with filled.read() as tx:
        assert tx.audit.verify().ok
        assert tx.audit.verify(anchor).first_bad == anchor.seq


def test_a_text_that_became_a_blob_is_found(filled: Store, drop_triggers: Drop) -> None:
    with filled.read() as tx:
        if tx.connection.dialect.name != "sqlite":
            pytest.skip("only SQLite lets a text column hold a blob")
    tamper(filled, drop_triggers, "UPDATE audit SET actor = CAST(actor AS BLOB) WHERE seq = 2")
    with filled.read() as tx:
        assert tx.audit.verify().first_bad == 2


@pytest.mark.parametrize("statement", ["UPDATE audit SET actor = 'bob'", "DELETE FROM audit WHERE seq = 6"])
def test_the_database_refuses_to_change_entries(filled: Store, statement: str) -> None:
    with pytest.raises((DBAPIError, SeatrialError), match="append-only"), filled.begin() as tx:
        tx.connection.exec_driver_sql(statement)
    with filled.read() as tx:
        assert tx.audit.verify().ok


def test_an_entry_goes_with_the_transaction_it_is_about(filled: Store, now: datetime) -> None:
    def fail(tx: Transaction) -> None:
        tx.audit.append("ann", "test.act", "thing/7", {}, now)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), filled.begin() as tx:
        fail(tx)
    with filled.begin() as tx:
        assert tx.audit.head().seq == 6
        assert tx.audit.append("ann", "test.act", "thing/8", {}, now).seq == 7
        assert tx.audit.verify().ok


def test_the_log_reads_newest_first_and_by_object(filled: Store) -> None:
    with filled.read() as tx:
        assert [entry.seq for entry in tx.audit.log(2)] == [6, 5]
        assert [entry.seq for entry in tx.audit.log(object="thing/0")] == [6, 4, 2]
        assert [entry.seq for entry in tx.audit.entries(after=4)] == [5, 6]


def test_an_entry_names_who_did_what(store: Store, now: datetime) -> None:
    with pytest.raises(UsageError, match="names its actor"), store.begin() as tx:
        tx.audit.append("", "test.act", "thing/1", {}, now)
    with pytest.raises(UsageError, match="no time zone"), store.begin() as tx:
        tx.audit.append("ann", "test.act", "thing/1", {}, datetime(2026, 3, 1))
    with store.begin() as tx:
        at = datetime.fromisoformat("2026-03-01T13:00:00+01:00")
        entry = tx.audit.append("ann", "test.act", "thing/1", {"when": at}, at)
    assert entry.at == "2026-03-01T12:00:00.000000Z"
    assert entry.detail == '{"when":"2026-03-01T12:00:00.000000Z"}'
    assert datetime.fromisoformat(entry.at) == datetime(2026, 3, 1, 12, tzinfo=UTC)
