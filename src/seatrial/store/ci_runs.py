"""Runs of ML CI, in the order in which they were recorded, never changed."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, func, insert, select

from seatrial.errors import NotFound
from seatrial.store.canonical import as_utc
from seatrial.store.schema import ci_runs

PREFIX = "ci-"


class CIRuns:
    """Documents of runs, inside the caller's transaction."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def next_id(self) -> str:
        """The id that the next run gets: ``ci-0001``."""
        last = self._db.execute(select(func.max(ci_runs.c.seq))).scalar() or 0
        return f"{PREFIX}{last + 1:04d}"

    def add(self, id: str, model: str | None, started_at: datetime, document: str) -> None:
        row = {"seq": _number(id), "model": model, "started_at": as_utc(started_at), "document": document}
        self._db.execute(insert(ci_runs).values(row))

    def get(self, id: str) -> str:
        """The document of a run; NotFound if there is none of this id."""
        row = self._db.execute(select(ci_runs.c.document).where(ci_runs.c.seq == _number(id))).first()
        if row is None:
            raise NotFound("ST1220", f"there is no CI run {id!r}.", remedy="See `seatrial ci list`.")
        return str(row.document)

    def list(self, model: str | None = None, *, since: datetime | None = None) -> tuple[str, ...]:
        """Documents, oldest first; of one model, or of all."""
        query = select(ci_runs.c.document).order_by(ci_runs.c.seq)
        if model is not None:
            query = query.where(ci_runs.c.model == model)
        if since is not None:
            query = query.where(ci_runs.c.started_at >= as_utc(since))
        return tuple(str(row.document) for row in self._db.execute(query))


def _number(id: str) -> int:
    digits = id.removeprefix(PREFIX)
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 10 else 0
