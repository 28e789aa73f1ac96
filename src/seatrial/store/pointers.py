"""Named pointers of a model (champion, challenger, shadow, previous), moved by compare-and-swap, with their history."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, get_args

from sqlalchemy import Connection, delete, insert, select, update

from seatrial.errors import Conflict, NotFound, UsageError
from seatrial.ids import ModelName, VersionNumber
from seatrial.ids import PointerName as PointerName
from seatrial.store.audit import AuditLog
from seatrial.store.schema import models, pointer_moves, pointers, versions

POINTERS: Final[tuple[PointerName, ...]] = get_args(PointerName)


@dataclass(frozen=True, slots=True)
class PointerMove:
    """One move of one pointer; a version of None is no version."""

    model: ModelName
    name: PointerName
    from_version: VersionNumber | None
    to_version: VersionNumber | None
    at: datetime
    actor: str
    reason: str


class Pointers:
    def __init__(self, connection: Connection, audit: AuditLog) -> None:
        self._db = connection
        self._audit = audit

    def of(self, model: str) -> dict[PointerName, VersionNumber]:
        """The pointers that are set."""
        query = select(pointers.c.name, pointers.c.version).where(pointers.c.model == model)
        return {row.name: VersionNumber(row.version) for row in self._db.execute(query)}

    def history(self, model: str, name: PointerName | None = None) -> tuple[PointerMove, ...]:
        """All moves, oldest first."""
        query = select(*(c for c in pointer_moves.c if c.name != "seq")).where(pointer_moves.c.model == model)
        if name is not None:
            query = query.where(pointer_moves.c.name == name)
        return tuple(PointerMove(**row._mapping) for row in self._db.execute(query.order_by(pointer_moves.c.seq)))

    def move(
        self,
        model: str,
        name: PointerName,
        *,
        expected: int | None,
        to: int | None,
        actor: str,
        now: datetime,
        reason: str = "",
    ) -> None:
        """Point ``name`` to version ``to`` if it points to ``expected`` (None: nowhere), else ``Conflict``."""
        self._check(model, name, expected, to)
        key = (pointers.c.model == model, pointers.c.name == name)
        if to is None:
            self._db.execute(delete(pointers).where(*key))
        elif expected is None:
            self._db.execute(insert(pointers).values(model=model, name=name, version=to, moved_at=now, moved_by=actor))
        else:
            self._db.execute(update(pointers).where(*key).values(version=to, moved_at=now, moved_by=actor))
        self._record(PointerMove(ModelName(model), name, _number(expected), _number(to), now, actor, reason))

    def _check(self, model: str, name: str, expected: int | None, to: int | None) -> None:
        if name not in POINTERS:
            raise UsageError("ST0630", f"{name!r} is not a pointer.", remedy=f"Pointers are {', '.join(POINTERS)}.")
        if self._db.execute(select(models.c.name).where(models.c.name == model)).first() is None:
            raise NotFound("ST0631", f"there is no model {model!r}.")
        query = select(pointers).where(pointers.c.model == model, pointers.c.name == name)
        row = self._db.execute(query).first()
        if (None if row is None else row.version) != expected:
            holder = (
                f"v{row.version}, moved by {row.moved_by} at {row.moved_at:%Y-%m-%dT%H:%M:%SZ}" if row else "not set"
            )
            raise Conflict(
                "ST0632",
                f"model {model!r}: {name} is {holder}; expected {_say(expected)}.",
                remedy="Somebody else was first: look at what changed, then decide again.",
            )
        if to is not None:
            exists = select(versions.c.number).where(versions.c.model == model, versions.c.number == to)
            if self._db.execute(exists).first() is None:
                raise NotFound("ST0633", f"there is no version {model} v{to}.")

    def _record(self, move: PointerMove) -> None:
        row = {c.name: getattr(move, c.name) for c in pointer_moves.c if c.name != "seq"}
        self._db.execute(insert(pointer_moves).values(row))
        detail = {"from": move.from_version, "to": move.to_version, "reason": move.reason}
        self._audit.append(move.actor, "pointer.move", f"{move.model}@{move.name}", detail, move.at)


def _number(version: int | None) -> VersionNumber | None:
    return None if version is None else VersionNumber(version)


def _say(version: int | None) -> str:
    return "it not to be set" if version is None else f"v{version}"
