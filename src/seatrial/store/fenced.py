"""The store as the holder of a lease writes it: every transaction first asks whether the lease is still held.

A process that was stopped for longer than its lease, and goes on, writes nothing: between it and the database stands
the number of its lease (a fencing token: Kleppmann, "How to do distributed locking", 2016).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from seatrial.errors import Unavailable
from seatrial.store.db import Store, Transaction
from seatrial.store.leases import Lease


class FencedStore(Store):
    """A store for one holder of the lease ``name``. Reading needs no lease; writing without one raises.

    ``LeaseLost`` if another holder has it or it was given back, ``Unavailable`` if it was never taken.
    """

    def __init__(self, store: Store, name: str, holder: str, ttl: timedelta) -> None:
        super().__init__(store.engine)
        self.name, self.holder, self.ttl = name, holder, ttl
        self._lease: Lease | None = None
        self._renewed = 0.0
        self._seen: tuple[Lease, float] | None = None

    @contextmanager
    def begin(self) -> Iterator[Transaction]:
        lease = self._held()
        with super().begin() as tx:
            tx.leases.check(lease)
            yield tx

    def require(self) -> None:
        """Before an act outside the store that is the holder's alone. Raises ``LeaseLost``."""
        lease = self._held()
        with self.read() as tx:
            tx.leases.check(lease)

    def take(
        self,
        is_dead: Callable[[str], bool] = lambda holder: False,
        taken_over: Callable[[Transaction, Lease], None] = lambda tx, before: None,
    ) -> None:
        """Take the lease; ``LeaseHeld`` names its holder.

        ``is_dead`` says of a holder whether it can never come back: its lease need not run out. ``taken_over`` is
        called in the same transaction with the lease of a holder that did not give it back.
        """
        now = datetime.now(UTC)
        with super().begin() as tx:
            before = tx.leases.last(self.name)
            if before is not None and (is_dead(before.holder) or self._has_stopped(before, now)):
                tx.leases.release(before)
            self._lease = tx.leases.acquire(self.name, self.holder, self.ttl, now)
            self._renewed = time.monotonic()
            if before is not None and before.holder != self.holder:
                taken_over(tx, before)

    def _has_stopped(self, lease: Lease, now: datetime) -> bool:
        """Whether a lease that claims to run for longer than any does was not renewed while we watched it.

        The clock that wrote it was ahead of ours, so the time in it says nothing about when it runs out.
        """
        if lease.expires_at <= now + self.ttl:
            return False
        watched = time.monotonic()
        if self._seen is None or self._seen[0] != lease:
            self._seen = lease, watched
        return watched - self._seen[1] > self.ttl.total_seconds()

    def renew(self) -> None:
        """Prolong the lease when half of it is over, by whichever clock says so first. Raises ``LeaseLost``."""
        lease, now = self._held(), datetime.now(UTC)
        due = time.monotonic() - self._renewed > self.ttl.total_seconds() / 2 or lease.expires_at - now < self.ttl / 2
        if due:
            with super().begin() as tx:
                self._lease = tx.leases.renew(lease, self.ttl, now)
            self._renewed = time.monotonic()

    def give_back(self) -> None:
        """From here on nothing is written; one that is lost already stays with whoever has it."""
        lease, self._lease = self._lease, None
        if lease is not None:
            with super().begin() as tx:
                tx.leases.release(lease)

    def _held(self) -> Lease:
        if self._lease is None:
            raise Unavailable("ST0625", f"{self.holder} does not hold the lease {self.name}.", remedy="`seatrial up`")
        return self._lease
