"""Recalls: a faulty version and the span it answered in, and what was done about each of its predictions since.

The predictions themselves stay in the event log, so that what is erased there is not kept here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final, Literal, get_args

from sqlalchemy import Connection, func, insert, select

from seatrial.errors import NotFound
from seatrial.ids import ModelName, VersionNumber
from seatrial.store.audit import AuditLog
from seatrial.store.canonical import as_utc
from seatrial.store.schema import recall_marks, recalls

MarkKind = Literal["notified", "reread"]
MARKS: Final[tuple[MarkKind, ...]] = get_args(MarkKind)

Prediction = tuple[str, int]
"""Request id and row."""


@dataclass(frozen=True, slots=True)
class StoredRecall:
    """[since, until) of a version. ``found``: predictions when it was opened; ``document`` is JSON of what was gone."""

    id: str
    model: ModelName
    version: VersionNumber
    since: datetime
    until: datetime
    reason: str
    found: int
    document: str
    opened_at: datetime
    opened_by: str


@dataclass(frozen=True, slots=True)
class Mark:
    """One thing that was done about one prediction; ``note`` is how, or what came of it."""

    recall: str
    kind: MarkKind
    request_id: str
    row: int
    note: str
    at: datetime
    actor: str


class Recalls:
    """Inside the caller's transaction."""

    def __init__(self, connection: Connection, audit: AuditLog) -> None:
        self._db, self._audit = connection, audit

    def open(
        self, model: str, version: int, since: datetime, until: datetime, *,
        reason: str, found: int, document: str, actor: str, now: datetime,
    ) -> StoredRecall:  # fmt: skip
        count = self._db.execute(select(func.count()).select_from(recalls)).scalar() or 0
        made = StoredRecall(
            f"k-{count + 1:04d}", ModelName(model), VersionNumber(version), as_utc(since), as_utc(until), reason, found,
            document, as_utc(now), actor,
        )  # fmt: skip
        self._db.execute(insert(recalls).values(asdict(made)))
        told = {"model": model, "version": version, "since": since, "until": until, "found": found, "reason": reason}
        self._audit.append(actor, "recall.open", made.id, told, now)
        return made

    def get(self, id: str) -> StoredRecall:
        """Raises NotFound (ST0360)."""
        row = self._db.execute(select(recalls).where(recalls.c.id == id)).first()
        if row is None:
            raise NotFound("ST0360", f"there is no recall '{id}'.", remedy="See `seatrial recall list`.")
        return StoredRecall(**row._mapping)

    def list(self, model: str | None = None) -> tuple[StoredRecall, ...]:
        """Oldest first."""
        query = select(recalls).order_by(recalls.c.id)
        if model is not None:
            query = query.where(recalls.c.model == model)
        return tuple(StoredRecall(**row._mapping) for row in self._db.execute(query))

    def marks(self, id: str) -> tuple[Mark, ...]:
        """Everything that was done, in order."""
        query = select(recall_marks).where(recall_marks.c.recall == id)
        order = (recall_marks.c.at, recall_marks.c.request_id, recall_marks.c.row, recall_marks.c.kind)
        return tuple(Mark(**row._mapping) for row in self._db.execute(query.order_by(*order)))

    def mark(
        self, id: str, kind: MarkKind, predictions: Sequence[Prediction], *, note: str, actor: str, now: datetime
    ) -> int:
        """Mark predictions, each once: the first mark stays. Returns how many are new; audited if any is."""
        self.get(id)
        known = {(mark.request_id, mark.row) for mark in self.marks(id) if mark.kind == kind}
        new = [Mark(id, kind, request, row, note, as_utc(now), actor) for request, row in predictions
               if (request, row) not in known]  # fmt: skip
        if new:
            self._db.execute(insert(recall_marks), [asdict(mark) for mark in new])
            self._audit.append(actor, f"recall.{kind}", id, {"predictions": len(new), "note": note}, now)
        return len(new)
