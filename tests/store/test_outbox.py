"""Old alerts go when nobody waits for them any more, and numbers go on rising."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from seatrial.store.alert import Alert

NOW = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def alert(n: int, at: datetime) -> Alert:
    return Alert(key=f"k{n}", kind="model.kill", severity="info", object="fraud", text=f"alert {n}", at=at)


def told(tx: Any) -> list[str]:
    return [stored.alert.key for stored in tx.alerts.latest(100)][::-1]


def test_what_was_delivered_before_a_time_goes(store: Any) -> None:
    with store.begin() as tx:
        for n in range(5):
            tx.alerts.put(alert(n, NOW + n * DAY))
            for target in ("ops", "chat"):
                tx.alerts.send(n + 1, target, NOW)
        for n in range(4):
            for delivery in tx.alerts.deliveries(n + 1):
                state = "failed" if (n, delivery.target) == (1, "chat") else "delivered"
                tx.alerts.settle(replace(delivery, state=state))
    with store.begin() as tx:
        assert tx.alerts.prune(NOW) == 0, "nothing is so old"
        assert tx.alerts.prune(NOW + 3 * DAY) == 2, "one waits for a receiver that is down, one is too young"
        assert told(tx) == ["k1", "k3", "k4"]
        assert [d.state for d in tx.alerts.deliveries(1)] == []
        assert {d.target: d.state for d in tx.alerts.deliveries(2)} == {"ops": "delivered", "chat": "failed"}
        assert tx.alerts.undelivered() == {("chat", "failed"): 1, ("chat", "pending"): 1, ("ops", "pending"): 1}


def test_the_newest_stays_so_that_numbers_go_on(store: Any) -> None:
    with store.begin() as tx:
        for n in range(3):
            tx.alerts.put(alert(n, NOW))
        last = tx.alerts.newest()
    with store.begin() as tx:
        assert tx.alerts.prune(NOW + DAY) == 2
        assert tx.alerts.newest() == last
        tx.alerts.put(alert(9, NOW + DAY))
        assert tx.alerts.newest() == last + 1, "a reader that has come so far misses nothing"
