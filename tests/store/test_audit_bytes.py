"""Whoever can write into the database can change any byte of the log. None of them goes unnoticed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from seatrial.errors import Exit, IntegrityError
from seatrial.store.db import Store, Transaction
from seatrial.store.schema import audit

Drop = Callable[[Connection], None]
ENTRIES = 4
TEXTS = [column.name for column in audit.c if column.name != "seq"]


def fill(store: Store, now: datetime) -> None:
    with store.begin() as tx:
        for number in range(1, ENTRIES + 1):
            tx.audit.append("ann", f"test.act{number}", f"thing/{number}", {"n": number, "naïve": 0.1}, now)


def rows(tx: Transaction) -> list[tuple[Any, ...]]:
    """Log and end of log, as any reader gets them."""
    found = [tuple(row) for row in tx.connection.execute(text("SELECT * FROM audit ORDER BY seq"))]
    return [*found, *(tuple(row) for row in tx.connection.execute(text("SELECT * FROM audit_head")))]


def first_bad(tx: Transaction) -> int | None:
    """The entry ``verify`` names, which is never silent about what it found."""
    report = tx.audit.verify()
    if report.ok:
        return None
    with pytest.raises(IntegrityError, match=f"entry {report.first_bad}: ") as raised:
        report.require_ok()
    assert raised.value.exit_code is Exit.INTEGRITY
    return report.first_bad


class Tampering:
    """One change at a time, taken back afterwards."""

    def __init__(self, tx: Transaction) -> None:
        self._db = tx.connection
        self._sqlite = self._db.dialect.name == "sqlite"

    def texts(self, table: str, key: str, column: str) -> Iterator[tuple[Any, bytes]]:
        query = text(f"SELECT {key}, {column} FROM {table} ORDER BY {key}")
        for row in self._db.execute(query).all():
            yield row[0], str(row[1]).encode()

    def put(self, table: str, key: str, at: Any, column: str, value: bytes) -> None:
        cast = "CAST(:value AS TEXT)" if self._sqlite else ":value"
        given = value if self._sqlite else value.decode()
        self._db.execute(text(f"UPDATE {table} SET {column} = {cast} WHERE {key} = :at"), {"value": given, "at": at})


def flips(value: bytes, bits: tuple[int, ...]) -> Iterator[bytes]:
    """The value with one bit flipped, for each of its bytes."""
    for place in range(len(value)):
        for bit in bits:
            yield value[:place] + bytes([value[place] ^ (1 << bit)]) + value[place + 1 :]


@pytest.fixture
def sqlite(tmp_path: Path, now: datetime, drop_triggers: Drop) -> Iterator[Transaction]:
    with Store.open(tmp_path / "store.db") as store:
        fill(store, now)
        with store.begin() as tx:
            drop_triggers(tx.connection)
            yield tx


BITS = tuple(range(8))


def test_every_bit_of_every_column_of_every_row(sqlite: Transaction) -> None:
    tampering, flipped = Tampering(sqlite), 0
    for column in TEXTS:
        for seq, value in tampering.texts("audit", "seq", column):
            for wrong in flips(value, BITS):
                tampering.put("audit", "seq", seq, column, wrong)
                assert first_bad(sqlite) == seq, (column, seq, wrong)
                flipped += 1
            tampering.put("audit", "seq", seq, column, value)
            assert first_bad(sqlite) is None, "taken back, it is sound again"
    assert flipped > ENTRIES * 200 * len(BITS)


def test_every_bit_of_every_number(sqlite: Transaction) -> None:
    db = sqlite.connection
    for seq in range(1, ENTRIES + 1):
        for wrong in {seq ^ (1 << bit) for bit in range(63)} | {-seq, 0}:
            if 1 <= wrong <= ENTRIES:
                continue  # another entry has it, and the database refuses two of one number
            db.execute(text("UPDATE audit SET seq = :wrong WHERE seq = :seq"), {"wrong": wrong, "seq": seq})
            assert first_bad(sqlite) in (seq, wrong)
            db.execute(text("UPDATE audit SET seq = :seq WHERE seq = :wrong"), {"wrong": wrong, "seq": seq})
    assert first_bad(sqlite) is None


def test_every_byte_of_where_the_log_was_left(sqlite: Transaction) -> None:
    tampering, db = Tampering(sqlite), sqlite.connection
    ((_, left),) = tampering.texts("audit_head", "id", "hash")
    for wrong in flips(left, BITS):
        tampering.put("audit_head", "id", 1, "hash", wrong)
        assert first_bad(sqlite) == ENTRIES
    tampering.put("audit_head", "id", 1, "hash", left)
    for wrong in {ENTRIES ^ (1 << bit) for bit in range(63)}:
        db.execute(text("UPDATE audit_head SET seq = :wrong"), {"wrong": wrong})
        assert first_bad(sqlite) == min(wrong, ENTRIES) + 1
    db.execute(text("UPDATE audit_head SET seq = :right"), {"right": ENTRIES})
    assert first_bad(sqlite) is None
    db.execute(text("PRAGMA ignore_check_constraints = ON"))
    db.execute(text("UPDATE audit_head SET id = 3"))
    assert first_bad(sqlite) == 1, "nobody says any more where the log was left"


def test_a_sample_of_bytes_on_postgresql(postgresql: Callable[[], str], now: datetime, drop_triggers: Drop) -> None:
    with Store.open(postgresql()) as store:
        fill(store, now)
        with store.begin() as tx:
            drop_triggers(tx.connection)
            tampering = Tampering(tx)
            for column in TEXTS:
                for seq, value in tampering.texts("audit", "seq", column):
                    for wrong in [w for w in flips(value, (0,)) if _is_text(w)][::7]:
                        tampering.put("audit", "seq", seq, column, wrong)
                        assert first_bad(tx) == seq, (column, seq, wrong)
                    tampering.put("audit", "seq", seq, column, value)
                    assert first_bad(tx) is None


def _is_text(value: bytes) -> bool:
    """PostgreSQL takes no other bytes."""
    try:
        return "\0" not in value.decode()
    except UnicodeDecodeError:
        return False


@pytest.mark.parametrize(
    "stride", [pytest.param(61, id="sampled"), pytest.param(17, id="denser", marks=pytest.mark.slow)]
)
def test_bytes_of_the_file_itself(tmp_path: Path, now: datetime, stride: int) -> None:
    """Whatever byte of the log's pages is changed: it is found, or the file is refused, or nobody can see it."""
    path = tmp_path / "store.db"
    with Store.open(path) as store:
        fill(store, now)
        with store.begin() as tx:
            written = rows(tx)
    whole = path.read_bytes()
    size = int.from_bytes(whole[16:18], "big")
    pages = [at for at in range(0, len(whole), size) if b"test.act1" in whole[at : at + size] or at == 0]
    pages += [at for at in range(0, len(whole), size) if written[-1][-1].encode() in whole[at : at + size]]
    found = {"named": 0, "refused": 0, "unseen": 0}
    for place in [place for at in sorted({*pages}) for place in range(at, at + size)][::stride]:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << place % 8)]) + whole[place + 1 :])
        found[what_is_said_of(path, written)] += 1
    assert found["named"] > 5
    assert found["refused"] > 0
    path.write_bytes(whole)
    assert what_is_said_of(path, written) == "unseen", "untouched, it passes"


def what_is_said_of(path: Path, written: list[tuple[Any, ...]]) -> str:
    for beside in (path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        beside.unlink(missing_ok=True)
    try:
        with Store.open(path) as store, store.read() as tx:
            if first_bad(tx) is not None:
                return "named"
            assert rows(tx) == written, "a change that nobody found"
            return "unseen"
    except IntegrityError:
        return "refused"
