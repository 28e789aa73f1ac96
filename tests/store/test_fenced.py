"""A store for the holder of a lease: whoever has lost it writes nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from seatrial.errors import Unavailable
from seatrial.store.db import Store
from seatrial.store.fenced import FencedStore
from seatrial.store.leases import Lease, LeaseHeld, LeaseLost

TTL = timedelta(seconds=30)


def fenced(store: Store, holder: str, ttl: timedelta = TTL) -> FencedStore:
    return FencedStore(store, "controller", holder, ttl)


def put(store: Store, key: str) -> None:
    with store.begin() as tx:
        tx.settings.put(key, 1, datetime.now(UTC))


def keys(store: Store) -> set[str]:
    with store.read() as tx:
        return set(tx.settings.items())


def test_only_the_holder_writes(store: Store) -> None:
    one, two = fenced(store, "one"), fenced(store, "two")
    with pytest.raises(Unavailable, match="does not hold the lease"):
        put(one, "too early")
    one.take()
    put(one, "mine")
    with pytest.raises(LeaseHeld, match="is held by one until"):
        two.take()
    assert keys(store) == {"mine"}


def test_a_holder_that_slept_too_long_writes_nothing(store: Store) -> None:
    told: list[Lease] = []
    one, two = fenced(store, "one", timedelta(0)), fenced(store, "two")
    one.take()
    put(one, "before")  # run out, and nobody else has it: still the holder's
    two.take(taken_over=lambda tx, before: told.append(before))
    assert [before.holder for before in told] == ["one"]
    for act in (lambda: put(one, "after"), one.require, one.renew):
        with pytest.raises(LeaseLost, match="it is held by two"):
            act()
    put(two, "mine")
    one.give_back()
    put(two, "still mine")
    assert keys(store) == {"before", "mine", "still mine"}


def test_what_is_given_back_is_free_at_once_and_nobody_took_it_over(store: Store) -> None:
    one, two = fenced(store, "one"), fenced(store, "two")
    one.take()
    one.give_back()
    two.take(taken_over=lambda tx, before: pytest.fail("it was given back"))
    with pytest.raises(Unavailable):
        put(one, "after")


def test_the_dead_need_not_be_waited_for(store: Store) -> None:
    told: list[str] = []
    one, two = fenced(store, "one"), fenced(store, "two")
    one.take()
    two.take(is_dead=lambda holder: holder == "one", taken_over=lambda tx, before: told.append(before.holder))
    assert told == ["one"]
    with pytest.raises(LeaseLost):
        put(one, "from the grave")


def test_a_lease_is_prolonged_before_it_runs_out(store: Store) -> None:
    one = fenced(store, "one", timedelta(milliseconds=1))
    one.take()
    with store.read() as tx:
        before = tx.leases.last("controller")
    one.ttl = TTL
    one.renew()
    with store.read() as tx:
        after = tx.leases.last("controller")
    assert before is not None
    assert after is not None
    assert after.expires_at > before.expires_at + TTL / 2
    assert after.fence == before.fence
