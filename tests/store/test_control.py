"""Settings and leases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from seatrial.errors import Conflict, UsageError
from seatrial.store.db import Store

TTL = timedelta(seconds=15)


def test_settings_hold_json_and_count_their_writes(store: Store, now: datetime) -> None:
    with store.begin() as tx:
        assert tx.settings.get("gateway") is None
        assert tx.settings.put("gateway", {"port": 8710, "ids": [1, None]}, now) == 1
        assert tx.settings.put("gateway", {"port": 8711}, now) == 2
        setting = tx.settings.get("gateway")
        assert setting is not None
        assert (setting.value, setting.revision, setting.updated_at) == ({"port": 8711}, 2, now)
        tx.settings.delete("gateway")
        assert tx.settings.items() == {}
        with pytest.raises(UsageError, match="nan"):
            tx.settings.put("rate", float("nan"), now)


def test_settings_compare_and_swap(store: Store, now: datetime) -> None:
    with store.begin() as tx:
        tx.settings.put("key", "a", now, expected=0)
        for expected in (0, 2):
            with pytest.raises(Conflict, match=f"at revision 1, expected {expected}"):
                tx.settings.put("key", "b", now, expected=expected)
        assert tx.settings.put("key", "c", now, expected=1) == 2


def test_a_generation_never_goes_back(store: Store, now: datetime) -> None:
    with store.begin() as tx:
        assert [tx.settings.next_number("generation/fraud", now) for _ in range(3)] == [1, 2, 3]
        assert tx.settings.next_number("generation/fraud", now, above=40) == 41
        assert tx.settings.next_number("generation/fraud", now, above=7) == 42


def test_positions_and_clocks_move_forward_only(store: Store, now: datetime) -> None:
    with store.begin() as tx:
        for position in (0, 100, 100, 250):
            tx.settings.advance("collector/live/8123", position, now)
        with pytest.raises(Conflict, match="250 and does not go back to 249"):
            tx.settings.advance("collector/live/8123", 249, now)
        tx.settings.advance("collector/LIVE/1", 5, now)
        tx.settings.put("collector_x", 1, now)
        assert tx.settings.items("collector/live/") == {"collector/live/8123": 250}

        assert tx.settings.time("clock") is None
        tx.settings.advance_time("clock", now, now)
        tx.settings.advance_time("clock", now + timedelta(microseconds=1), now)
        with pytest.raises(Conflict, match="does not go back"):
            tx.settings.advance_time("clock", now, now)
        assert tx.settings.time("clock") == datetime(2026, 3, 1, 12, 30, 0, 123457, tzinfo=UTC)


def test_a_lease_has_one_holder_until_it_runs_out(store: Store, now: datetime) -> None:
    with store.begin() as tx:
        lease = tx.leases.acquire("controller", "host-a:1", TTL, now)
        with pytest.raises(Conflict, match=r"controller is held by host-a:1 until 2026-03-01T12:30:15.123456Z"):
            tx.leases.acquire("controller", "host-b:2", TTL, now + TTL - timedelta(microseconds=1))
        taken = tx.leases.acquire("controller", "host-b:2", TTL, now + TTL)
        assert (taken.holder, taken.fence) == ("host-b:2", lease.fence + 1)
        assert tx.leases.get("controller", now + TTL) == taken
        assert tx.leases.get("controller", now + 2 * TTL) is None


def test_a_holder_keeps_its_lease_by_renewing_or_asking_again(store: Store, now: datetime) -> None:
    with store.begin() as tx:
        lease = tx.leases.acquire("controller", "host-a:1", TTL, now)
        renewed = tx.leases.renew(lease, TTL, now + TTL / 2)
        assert (renewed.fence, renewed.expires_at) == (lease.fence, now + 1.5 * TTL)
        assert tx.leases.acquire("controller", "host-a:1", TTL, now + TTL).fence == lease.fence
        with pytest.raises(Conflict, match="held by host-a:1"):
            tx.leases.acquire("controller", "host-b:2", TTL, now + 1.5 * TTL)


def test_a_holder_that_slept_too_long_is_fenced_off(store: Store, now: datetime) -> None:
    with store.begin() as tx:
        old = tx.leases.acquire("controller", "host-a:1", TTL, now)
        tx.leases.check(old)
        new = tx.leases.acquire("controller", "host-b:2", TTL, now + TTL)
        for act in (lambda: tx.leases.check(old), lambda: tx.leases.renew(old, TTL, now + TTL)):
            with pytest.raises(Conflict, match="host-a:1 has lost the lease controller: it is held by host-b:2"):
                act()
        tx.leases.release(old)
        tx.leases.check(new)


def test_the_same_holder_after_somebody_else_gets_another_fence(store: Store, now: datetime) -> None:
    with store.begin() as tx:
        first = tx.leases.acquire("controller", "host-a:1", TTL, now)
        tx.leases.release(tx.leases.acquire("controller", "host-b:2", TTL, now + TTL))
        again = tx.leases.acquire("controller", "host-a:1", TTL, now + TTL)
        assert again.fence == first.fence + 2
        with pytest.raises(Conflict, match="has lost"):
            tx.leases.check(first)


def test_a_released_lease_is_free_at_once(store: Store, now: datetime) -> None:
    with store.begin() as tx:
        lease = tx.leases.acquire("controller", "host-a:1", TTL, now)
        tx.leases.release(lease)
        assert tx.leases.get("controller", now) is None
        with pytest.raises(Conflict, match="it is free"):
            tx.leases.renew(lease, TTL, now)
        assert tx.leases.acquire("controller", "host-b:2", TTL, now).fence == 2
