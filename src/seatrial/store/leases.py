"""Leases: at most one holder of a name at a time, e.g. one controller."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, insert, select, update

from seatrial.errors import Conflict
from seatrial.store.canonical import as_utc, iso_z
from seatrial.store.schema import leases


class LeaseHeld(Conflict):
    """Somebody else has it."""


class LeaseLost(Conflict):
    """Somebody else has taken over."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A name held until a time (exclusive). ``fence`` rises with every new holder and with nothing else."""

    name: str
    holder: str
    fence: int
    expires_at: datetime


class Leases:
    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def acquire(self, name: str, holder: str, ttl: timedelta, now: datetime) -> Lease:
        """Take a lease that is free or has run out; its holder keeps it. ``LeaseHeld`` names another one."""
        held = self.get(name, now)
        if held is not None and held.holder != holder:
            raise LeaseHeld(
                "ST0690",
                f"{name} is held by {held.holder} until {iso_z(held.expires_at)}.",
                remedy="Let it do the work, stop it, or wait until its lease runs out.",
            )
        row = self._db.execute(select(leases).where(leases.c.name == name)).first()
        fence = held.fence if held is not None else (0 if row is None else row.fence) + 1
        lease = Lease(name, holder, fence, as_utc(now) + ttl)
        self._write(lease)
        return lease

    def renew(self, lease: Lease, ttl: timedelta, now: datetime) -> Lease:
        """Prolong a lease that nobody else has taken since. Raises ``LeaseLost``."""
        self.check(lease)
        renewed = Lease(lease.name, lease.holder, lease.fence, as_utc(now) + ttl)
        self._write(renewed)
        return renewed

    def release(self, lease: Lease) -> None:
        """Give a lease back; one that is lost already stays with whoever has it."""
        key = (leases.c.name == lease.name, leases.c.fence == lease.fence)
        self._db.execute(update(leases).where(*key).values(holder=None))

    def check(self, lease: Lease) -> None:
        """Fencing, in the transaction that writes: a holder that slept too long writes nothing. ``LeaseLost``."""
        row = self._db.execute(select(leases).where(leases.c.name == lease.name)).first()
        if row is None or (row.holder, row.fence) != (lease.holder, lease.fence):
            now = "free" if row is None or row.holder is None else f"held by {row.holder}"
            raise LeaseLost("ST0691", f"{lease.holder} has lost the lease {lease.name}: it is {now}.")

    def get(self, name: str, now: datetime) -> Lease | None:
        """Who holds the lease now, if anyone does."""
        lease = self.last(name)
        return None if lease is None or lease.expires_at <= as_utc(now) else lease

    def last(self, name: str) -> Lease | None:
        """The lease as it was left, run out or not; None if nobody took it or it was given back."""
        row = self._db.execute(select(leases).where(leases.c.name == name)).first()
        if row is None or row.holder is None:
            return None
        return Lease(row.name, row.holder, row.fence, row.expires_at)

    def _write(self, lease: Lease) -> None:
        values = {"holder": lease.holder, "fence": lease.fence, "expires_at": lease.expires_at}
        if self._db.execute(update(leases).where(leases.c.name == lease.name).values(values)).rowcount == 0:
            self._db.execute(insert(leases).values(name=lease.name, **values))
