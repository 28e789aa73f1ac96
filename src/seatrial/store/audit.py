"""The audit log: append-only, each entry carrying the hash of the one before it.

Anyone who changes, removes or reorders an entry breaks the chain from there on. Whoever can rewrite the whole table can
also rewrite the whole chain: against that, keep an ``Anchor`` outside the database and verify against it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, insert, select, update

from seatrial.errors import IntegrityError, UsageError
from seatrial.ids import Digest
from seatrial.store.canonical import canonical, digest_of, iso_z
from seatrial.store.schema import audit, audit_head

_COLUMNS: Final = tuple(column.name for column in audit.c)
GENESIS: Final = Digest("sha256:" + "0" * 64)


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what to which object, when. ``detail`` is canonical JSON; ``at`` is ISO 8601 in UTC."""

    seq: int
    at: str
    actor: str
    action: str
    object: str
    detail: str
    prev_hash: Digest
    hash: Digest

    def expected_hash(self) -> Digest:
        """SHA-256 over the canonical JSON of all columns but ``hash``."""
        return _hash(self.seq, self.at, self.actor, self.action, self.object, self.detail, self.prev_hash)


@dataclass(frozen=True, slots=True)
class Anchor:
    """The end of the chain at some moment, to be kept where the database's owner cannot change it."""

    seq: int
    hash: Digest

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"

    @classmethod
    def parse(cls, text: str) -> Anchor:
        """``SEQ:sha256:HEX``, as ``str`` writes it. Raises UsageError."""
        found = re.fullmatch(r"(\d+):(sha256:[0-9a-f]{64})", text)
        if found is None:
            raise UsageError("ST0628", f"{text!r} is no anchor.", remedy="They look like 120:sha256:<64 hex digits>.")
        return cls(int(found[1]), Digest(found[2]))


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What ``verify`` found: entries read, and the first that is wrong or missing.

    ``anchored``: up to which entry an anchor vouches for a sound log; ``unanchored``: how many come after it, the first
    of them at ``unanchored_since``. Of those, only careless changes are found.
    """

    entries: int
    ok: bool
    first_bad: int | None = None
    reason: str = ""
    anchored: int = 0
    unanchored: int = 0
    unanchored_since: str | None = None

    def require_ok(self) -> None:
        if not self.ok:
            raise IntegrityError(
                "ST0620",
                f"audit log: entry {self.first_bad}: {self.reason}.",
                remedy="Entries before it are as they were written. Compare with an export or a backup.",
            )


class AuditLog:
    """The audit log, read and written inside the caller's transaction: the act and its entry are kept together."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def append(self, actor: str, action: str, object: str, detail: Mapping[str, Any], at: datetime) -> AuditEntry:
        """Add an entry to the end. Nothing makes ``at`` rise: clocks differ, the order is that of ``seq``."""
        if not actor or not action or not object:
            raise UsageError("ST0621", "audit: an entry names its actor, its action and its object.")
        end = self.head()
        fields = (end.seq + 1, iso_z(at), actor, action, object, canonical(dict(detail)), end.hash)
        entry = AuditEntry(*fields, hash=_hash(*fields))
        self._db.execute(insert(audit), {name: getattr(entry, name) for name in _COLUMNS})
        self._move_head(entry)
        return entry

    def head(self) -> Anchor:
        """The end of the chain; ``Anchor(0, GENESIS)`` of an empty log."""
        row = self._db.execute(select(audit_head.c.seq, audit_head.c.hash).where(audit_head.c.id == 1)).first()
        return Anchor(0, GENESIS) if row is None else Anchor(row.seq, row.hash)

    def log(self, limit: int = 50, object: str | None = None) -> tuple[AuditEntry, ...]:
        """The latest entries, newest first."""
        query = select(audit).order_by(audit.c.seq.desc()).limit(limit)
        if object is not None:
            query = query.where(audit.c.object == object)
        return tuple(_entry(row) for row in self._db.execute(query))

    def entries(self, after: int | None = None) -> Iterator[AuditEntry]:
        """All entries, or those behind ``after``, oldest first, streamed."""
        query = select(audit).order_by(audit.c.seq)
        if after is not None:
            query = query.where(audit.c.seq > after)
        with self._db.execute(query, execution_options={"yield_per": 1000}) as rows:
            yield from map(_entry, rows)

    def hashes(self) -> Iterator[Digest]:
        """Those of all entries, oldest first, streamed: the leaves of the log's Merkle tree."""
        query = select(audit.c.hash).order_by(audit.c.seq)
        with self._db.execute(query, execution_options={"yield_per": 1000}) as rows:
            yield from rows.scalars()

    def verify(self, *anchors: Anchor) -> AuditReport:
        """Read the whole chain and name the first entry that is changed, missing, added or out of its place."""
        check = _Check(anchors)
        with _any_bytes(self._db):
            for entry in self.entries():
                if reason := check.fault(entry):
                    return AuditReport(check.last.seq, False, min(entry.seq, check.last.seq + 1), reason)
            return check.end(self.head())

    def _move_head(self, entry: AuditEntry) -> None:
        values = {"seq": entry.seq, "hash": entry.hash}
        if self._db.execute(update(audit_head), values).rowcount == 0:
            self._db.execute(insert(audit_head), {"id": 1, **values})


class _Check:
    """Follows the chain from its beginning and holds it against anchors as it comes to them."""

    def __init__(self, anchors: Sequence[Anchor]) -> None:
        self.last = Anchor(0, GENESIS)
        self._anchors: dict[int, set[Digest]] = {}
        for anchor in anchors:
            self._anchors.setdefault(anchor.seq, set()).add(anchor.hash)
        self._anchored = max((anchor.seq for anchor in anchors), default=0)
        self._sure = 0
        self._since: str | None = None

    def fault(self, entry: AuditEntry) -> str:
        """What is wrong with the next entry, if anything."""
        reason = _fault(entry, self.last)
        if reason:
            return reason
        if (anchored := self._anchors.get(entry.seq)) is not None:
            if anchored != {entry.hash}:
                return "is not the entry that was anchored" + _from(self._sure + 1, entry.seq)
            self._sure = entry.seq
        self.last = Anchor(entry.seq, entry.hash)
        if entry.seq == self._anchored + 1:
            self._since = entry.at
        return ""

    def end(self, head: Anchor) -> AuditReport:
        """Hold the last entry of a sound chain against where the log was left."""
        last, end = self.last, max(head.seq, self._anchored)
        if last.seq < end:
            return AuditReport(last.seq, False, last.seq + 1, f"is missing; the log went to entry {end}")
        if last.seq > head.seq:
            return AuditReport(last.seq, False, head.seq + 1, "was added behind the end of the log")
        if last.hash != head.hash:
            return AuditReport(last.seq, False, last.seq, "is not the entry that the log was left with")
        left = last.seq - self._anchored
        return AuditReport(last.seq, True, anchored=self._anchored, unanchored=left, unanchored_since=self._since)


def _from(first: int, seq: int) -> str:
    """Where a history was rewritten that fits in itself: after the last entry that an anchor vouches for."""
    return "" if first == seq else f", and one of the entries from {first} on is not what was written"


def _fault(entry: AuditEntry, last: Anchor) -> str:
    """What is wrong with an entry that follows ``last``, if anything."""
    if entry.seq != last.seq + 1:
        return f"is missing; the next one is {entry.seq}" if last.seq + 1 < entry.seq else "has an impossible number"
    texts = (entry.at, entry.actor, entry.action, entry.object, entry.detail, entry.prev_hash, entry.hash)
    if not all(isinstance(text, str) for text in texts):  # SQLite lets any column hold a blob
        return "holds something that is not text"
    if entry.prev_hash != last.hash:
        return "does not follow the entry before it"
    try:
        sound = entry.hash == entry.expected_hash()
    except UsageError:  # bytes that are no text: nobody can have written them
        sound = False
    return "" if sound else "is not what was written"


@contextmanager
def _any_bytes(connection: Connection) -> Iterator[None]:
    """Read text that is not UTF-8 any more instead of failing on it: a flipped bit is to be found in its entry.

    Only SQLite lets such bytes in.
    """
    if connection.dialect.name != "sqlite":
        yield
        return
    driver = connection.connection.driver_connection
    assert driver is not None
    before, driver.text_factory = driver.text_factory, lambda data: data.decode("utf-8", "surrogateescape")
    try:
        yield
    finally:
        driver.text_factory = before


def _hash(seq: int, at: str, actor: str, action: str, object: str, detail: str, prev_hash: Digest) -> Digest:
    return digest_of(
        {
            "seq": seq,
            "at": at,
            "actor": actor,
            "action": action,
            "object": object,
            "detail": detail,
            "prev_hash": prev_hash,
        }
    )


def _entry(row: Row[Any]) -> AuditEntry:
    return AuditEntry(**row._mapping)
