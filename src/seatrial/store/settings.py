"""Small state of the control plane by key: the stored clock, the watermark, generations, collector positions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from seatrial.errors import Conflict
from seatrial.store.canonical import as_utc, canonical, iso_z
from seatrial.store.schema import settings


@dataclass(frozen=True, slots=True)
class Setting:
    """A value (anything JSON holds) and how often it has been written."""

    key: str
    value: Any
    revision: int
    updated_at: datetime


class Settings:
    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def get(self, key: str) -> Setting | None:
        row = self._db.execute(select(settings).where(settings.c.key == key)).first()
        return None if row is None else Setting(row.key, json.loads(row.value), row.revision, row.updated_at)

    def items(self, prefix: str = "") -> dict[str, Any]:
        """Values of all keys that start with ``prefix``, by key."""
        query = select(settings.c.key, settings.c.value).where(settings.c.key.startswith(prefix, autoescape=True))
        rows = self._db.execute(query.order_by(settings.c.key))
        return {row.key: json.loads(row.value) for row in rows if row.key.startswith(prefix)}  # LIKE ignores case

    def put(self, key: str, value: Any, now: datetime, *, expected: int | None = None) -> int:
        """Write and return the new revision.

        With ``expected``, only over that revision (0: the key is not there), else ``Conflict``.
        """
        current = self.get(key)
        revision = 0 if current is None else current.revision
        if expected is not None and revision != expected:
            raise Conflict("ST0680", f"setting {key!r} is at revision {revision}, expected {expected}.")
        row = {"value": canonical(value), "revision": revision + 1, "updated_at": now}
        if current is None:
            self._db.execute(insert(settings).values(key=key, **row))
        else:
            self._db.execute(update(settings).where(settings.c.key == key).values(row))
        return revision + 1

    def delete(self, key: str) -> None:
        self._db.execute(delete(settings).where(settings.c.key == key))

    def next_number(self, key: str, now: datetime, *, above: int = 0) -> int:
        """Count up: the next number of a counter that never goes back.

        ``above`` is the highest number seen elsewhere, in files that outlived a restored database.
        """
        current = self.get(key)
        number = max(0 if current is None else int(current.value), above) + 1
        self.put(key, number, now)
        return number

    def advance(self, key: str, to: int, now: datetime) -> None:
        """Move a number (a byte position) forward; ``Conflict`` if it would go back."""
        current = self.get(key)
        if current is not None and current.value > to:
            raise Conflict("ST0681", f"setting {key!r} is {current.value} and does not go back to {to}.")
        self.put(key, to, now)

    def time(self, key: str) -> datetime | None:
        current = self.get(key)
        return None if current is None else datetime.fromisoformat(current.value)

    def advance_time(self, key: str, to: datetime, now: datetime) -> None:
        """Move a time (the stored clock, a watermark) forward; ``Conflict`` if it would go back."""
        current = self.time(key)
        if current is not None and current > as_utc(to):
            raise Conflict("ST0681", f"setting {key!r} is {iso_z(current)} and does not go back to {iso_z(to)}.")
        self.put(key, iso_z(to), now)
