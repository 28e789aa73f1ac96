"""Test sets that are locked by the hashes of their rows, and every use that was made of them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from seatrial.errors import Conflict, NotFound
from seatrial.ids import Digest, ModelName, VersionNumber
from seatrial.store.audit import AuditLog
from seatrial.store.canonical import as_utc
from seatrial.store.schema import test_set_uses, test_sets


@dataclass(frozen=True, slots=True)
class StoredTestSet:
    """``digest``: of the file as it was; ``hashes``: the artifact with one hash a row; ``fields``: what is hashed.

    ``use_limit``: after so many uses a new one is due. ``retirement``: why it is not kept apart any more.
    """

    __test__ = False  # the name is the noun; pytest does not collect it

    id: str
    model: ModelName
    name: str
    digest: Digest
    row_count: int
    fields: tuple[str, ...]
    hashes: Digest
    use_limit: int
    at: datetime
    actor: str
    retired_at: datetime | None = None
    retired_by: str = ""
    retirement: str = ""

    @property
    def locked(self) -> bool:
        return self.retired_at is None


@dataclass(frozen=True, slots=True)
class Use:
    """One look at a test set: what it was used for, on which version."""

    test_set: str
    version: VersionNumber
    at: datetime
    actor: str
    purpose: str


class TestSets:
    """Inside the caller's transaction."""

    __test__ = False

    def __init__(self, connection: Connection, audit: AuditLog) -> None:
        self._db, self._audit = connection, audit

    def next_id(self) -> str:
        count = self._db.execute(select(func.count()).select_from(test_sets)).scalar() or 0
        return f"s-{count + 1:04d}"

    def lock(self, made: StoredTestSet) -> None:
        """``Conflict`` (ST1430) where the model has one of the same content."""
        for known in self.list(made.model):
            if known.locked and known.digest == made.digest:
                raise Conflict("ST1430", f"test set {known.id} of '{made.model}' is this very file.",
                               remedy=f"`seatrial change testset show {known.id}`")  # fmt: skip
        row = {**asdict(made), "fields": json.dumps(made.fields), "at": as_utc(made.at)}
        self._db.execute(insert(test_sets).values(row))
        told = {name: getattr(made, name) for name in ("model", "name", "digest", "row_count", "hashes", "use_limit")}
        self._audit.append(made.actor, "testset.lock", made.id, told, made.at)

    def get(self, id: str) -> StoredTestSet:
        """Raises NotFound (ST1431)."""
        row = self._db.execute(select(test_sets).where(test_sets.c.id == id)).first()
        if row is None:
            raise NotFound("ST1431", f"there is no test set '{id}'.", remedy="See `seatrial change testset list`.")
        return _stored(row)

    def list(self, model: str | None = None) -> tuple[StoredTestSet, ...]:
        """Oldest first."""
        query = select(test_sets).order_by(test_sets.c.id)
        if model is not None:
            query = query.where(test_sets.c.model == model)
        return tuple(_stored(row) for row in self._db.execute(query))

    def retire(self, id: str, reason: str, *, actor: str, now: datetime) -> None:
        """Not locked any more; what was known of it stays. ``Conflict`` (ST1437) where it is not."""
        known = self.get(id)
        if not known.locked:
            raise Conflict(
                "ST1437", f"test set {id} is not locked any more, by {known.retired_by}: {known.retirement}.",
                remedy=f"`seatrial change testset list --model {known.model}`",
            )  # fmt: skip
        gone = {"retired_at": as_utc(now), "retired_by": actor, "retirement": reason}
        self._db.execute(update(test_sets).where(test_sets.c.id == id).values(gone))
        self._audit.append(actor, "testset.retire", id, {"reason": reason}, now)

    def use(self, use: Use) -> None:
        """Count a look. The same version for the same purpose counts once: nothing more is learned from it."""
        if any((known.version, known.purpose) == (use.version, use.purpose) for known in self.uses(use.test_set)):
            return
        self._db.execute(insert(test_set_uses).values({**asdict(use), "at": as_utc(use.at)}))
        told = {"version": use.version, "purpose": use.purpose}
        self._audit.append(use.actor, "testset.use", use.test_set, told, use.at)

    def uses(self, id: str) -> tuple[Use, ...]:
        """Oldest first."""
        found = test_set_uses
        query = select(*(found.c[name] for name in Use.__slots__)).where(found.c.test_set == id)
        return tuple(Use(**row._mapping) for row in self._db.execute(query.order_by(found.c.seq)))


def _stored(row: Row[Any]) -> StoredTestSet:
    return StoredTestSet(**{**row._mapping, "fields": tuple(json.loads(row.fields))})
