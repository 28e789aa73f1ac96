"""Every kind of tampering with a log of a thousand entries, before and after its last anchor: found, or stated."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from pgfixtures import postgresql as postgresql
from seatrial.store.audit import Anchor, AuditLog, AuditReport
from seatrial.store.db import Store

ENTRIES = 1_000
ANCHORED = (300, 600)
SINCE = datetime(2026, 3, 1, tzinfo=UTC)
BEFORE, AT, AFTER = 450, 600, 800

Tamper = Callable[[Connection, int], None]


def fill(store: Store, actor: str = "ann", first: int = 1, last: int = ENTRIES) -> None:
    with store.begin() as tx:
        write(tx.connection, actor, first, last)


def write(connection: Connection, actor: str, first: int, last: int = ENTRIES) -> None:
    log = AuditLog(connection)
    for number in range(first, last + 1):
        log.append(actor, "test.act", f"thing/{number % 7}", {"number": number}, SINCE + timedelta(minutes=number))


def unlock(connection: Connection) -> None:
    """What somebody with the rights of the database's owner does first."""
    if connection.dialect.name == "sqlite":
        for verb in ("update", "delete"):
            connection.exec_driver_sql(f"DROP TRIGGER audit_no_{verb}")
    else:
        connection.exec_driver_sql("DROP TRIGGER audit_no_change ON audit")


def edit(db: Connection, at: int) -> None:
    db.exec_driver_sql(f"UPDATE audit SET actor = 'bob' WHERE seq = {at}")


def delete(db: Connection, at: int) -> None:
    db.exec_driver_sql(f"DELETE FROM audit WHERE seq = {at}")


def swap(db: Connection, at: int) -> None:
    for old, new in ((at, -1), (at + 1, at), (-1, at + 1)):
        db.exec_driver_sql(f"UPDATE audit SET seq = {new} WHERE seq = {old}")


def insert(db: Connection, at: int) -> None:
    """Another entry in its place, everything from there on one later."""
    db.exec_driver_sql(f"UPDATE audit SET seq = -seq - 1 WHERE seq >= {at}")
    db.exec_driver_sql("UPDATE audit SET seq = -seq WHERE seq < 0")
    columns = "at, 'bob', action, object, detail, prev_hash, hash"
    db.exec_driver_sql(f"INSERT INTO audit SELECT {at}, {columns} FROM audit WHERE seq = {at + 1}")


def truncate(db: Connection, at: int) -> None:
    """From here on everything is gone, and the head says that this is as it should be."""
    db.exec_driver_sql(f"DELETE FROM audit WHERE seq >= {at}")
    last = db.exec_driver_sql(f"SELECT hash FROM audit WHERE seq = {at - 1}").scalar()
    db.exec_driver_sql(f"UPDATE audit_head SET seq = {at - 1}, hash = '{last}'")


def rehash(db: Connection, at: int) -> None:
    """Another history from here on, each hash made to fit."""
    truncate(db, at)
    write(db, "bob", at)


def replace(db: Connection, at: int) -> None:
    """All of it, from the first entry."""
    db.exec_driver_sql("DELETE FROM audit")
    db.exec_driver_sql("DELETE FROM audit_head")
    write(db, "bob", 1)


CARELESS: dict[str, Tamper] = {"edit": edit, "delete": delete, "swap": swap, "insert": insert}
CAREFUL: dict[str, Tamper] = {"truncate": truncate, "rehash": rehash}


class RolledBack(Exception):
    """Ends a transaction that is to leave no trace."""


class Case:
    """One log, filled once; every tampering is rolled back after it was judged."""

    def __init__(self, store: Store) -> None:
        self.store = store
        fill(store)
        with store.read() as tx:
            hashes = list(tx.audit.hashes())
        self.anchors = [Anchor(seq, hashes[seq - 1]) for seq in ANCHORED]

    def judge(self, tamper: Tamper | None = None, at: int = 0, *, anchored: bool = True) -> AuditReport:
        with contextlib.suppress(RolledBack), self.store.begin() as tx:
            if tamper is not None:
                unlock(tx.connection)
                tamper(tx.connection, at)
            report = tx.audit.verify(*(self.anchors if anchored else []))
            raise RolledBack
        return report


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    where: Any = tmp_path_factory.mktemp("matrix") / "store.db"
    if request.param == "postgresql":
        where = request.getfixturevalue("postgresql")()
    assert isinstance(where, (Path, str))
    with Store.open(where) as store:
        yield Case(store)


def test_a_log_that_nobody_touched_verifies_and_says_what_is_not_anchored(case: Case) -> None:
    report = case.judge()
    assert (report.ok, report.entries, report.anchored, report.unanchored) == (True, 1_000, 600, 400)
    assert report.unanchored_since == "2026-03-01T10:01:00.000000Z", "the time of entry 601"
    bare = case.judge(anchored=False)
    assert (bare.ok, bare.anchored, bare.unanchored) == (True, 0, 1_000)


@pytest.mark.parametrize("at", [1, BEFORE, AT, AFTER], ids=["first", "before", "at", "after"])
@pytest.mark.parametrize("kind", CARELESS)
def test_a_careless_change_is_found_and_named_wherever_it_is(case: Case, kind: str, at: int) -> None:
    for anchored in (True, False):
        report = case.judge(CARELESS[kind], at, anchored=anchored)
        assert not report.ok
        # An entry put in is a copy of the one that was there, so the one in its place is the first that does not fit.
        assert report.first_bad == at, report.reason


@pytest.mark.parametrize("at", [1, BEFORE, AT], ids=["first", "before", "at"])
def test_a_log_that_was_cut_before_its_last_anchor_misses_entries(case: Case, at: int) -> None:
    report = case.judge(truncate, at) if at > 1 else case.judge(cut_all, at)
    assert (report.ok, report.first_bad) == (False, at)
    assert "the log went to entry 600" in report.reason


def cut_all(db: Connection, at: int) -> None:
    db.exec_driver_sql("DELETE FROM audit")
    db.exec_driver_sql("DELETE FROM audit_head")


@pytest.mark.parametrize(("at", "anchor", "sure"), [(BEFORE, 600, 301), (AT, 600, 301), (200, 300, 1)])
def test_a_history_written_anew_is_found_at_the_next_anchor(case: Case, at: int, anchor: int, sure: int) -> None:
    report = case.judge(rehash, at)
    assert (report.ok, report.first_bad) == (False, anchor)
    assert f"one of the entries from {sure} on is not what was written" in report.reason
    assert case.judge(rehash, at, anchored=False).ok, "without anchors nobody can tell"


def test_another_log_in_the_place_of_this_one_is_found(case: Case) -> None:
    report = case.judge(replace)
    assert (report.ok, report.first_bad) == (False, 300)
    assert case.judge(replace, anchored=False).ok, "without anchors nobody can tell"


@pytest.mark.parametrize("kind", CAREFUL)
def test_what_was_rewritten_after_the_last_anchor_is_stated_as_not_anchored(case: Case, kind: str) -> None:
    report = case.judge(CAREFUL[kind], AFTER)
    assert report.ok
    assert report.anchored == 600 < AFTER, "nobody vouches for the entries that were changed"
    assert report.unanchored == {"truncate": 199, "rehash": 400}[kind]


def test_two_anchors_of_one_entry_that_differ_are_a_broken_log(case: Case) -> None:
    forged = Anchor(600, case.anchors[0].hash)
    with case.store.read() as tx:
        report = tx.audit.verify(*case.anchors, forged)
    assert (report.ok, report.first_bad) == (False, 600)
