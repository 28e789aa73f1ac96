"""A PostgreSQL that is alive and answers nobody: whoever waits for it is told, and everything goes on when it wakes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from pgfixtures import PostgreSQL
from pgfixtures import mortal_postgresql as mortal_postgresql
from seatrial.errors import Unavailable
from seatrial.store.db import Store

NOW = datetime(2026, 3, 1, tzinfo=UTC)
PATIENCE = timedelta(seconds=0.5)


@pytest.fixture
def store(mortal_postgresql: PostgreSQL) -> Iterator[Store]:
    with Store.open(mortal_postgresql.new_database(), patience=PATIENCE) as opened:
        yield opened


def count(store: Store) -> int:
    with store.begin() as tx:
        return tx.settings.next_number("count", NOW)


def test_a_silent_server_is_given_up(store: Store, mortal_postgresql: PostgreSQL) -> None:
    assert count(store) == 1
    with mortal_postgresql.silent(), pytest.raises(Unavailable, match="ST0611"):
        count(store)
    assert count(store) == 2


def test_silence_in_the_middle_of_a_transaction_leaves_nothing(store: Store, mortal_postgresql: PostgreSQL) -> None:
    def interrupted() -> None:
        with store.begin() as tx:
            tx.settings.next_number("count", NOW)
            with mortal_postgresql.silent():
                tx.settings.next_number("count", NOW)

    with pytest.raises(Unavailable, match="ST0611"):
        interrupted()
    assert count(store) == 1


def test_a_server_that_answers_in_time_is_not_cut(store: Store) -> None:
    """Many short statements in a transaction that is longer than the patience with a single one."""
    pause = threading.Event()
    with store.begin() as tx:
        for _ in range(8):
            tx.settings.next_number("count", NOW)
            pause.wait(PATIENCE.total_seconds() / 2)
    assert count(store) == 9
