"""How much a host can answer: requests at a rising rate, straight at its port, until it does not keep up."""

from __future__ import annotations

import http.client
import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from seatrial.control.way_home.probe import Sample, ask
from seatrial.gateway.admin import Admin
from seatrial.gateway.routes import Endpoint

SENDERS = 16
SHARE_GOOD = 0.99
SHARE_KEPT_UP = 0.95
STEPS = (0.25, 0.5, 1.0, 1.25)
"""Of the rate that is needed. The last shows that there is room."""

LEAST_RATE = 10.0
RATE_WINDOW_S = 1.0


@dataclass(frozen=True, slots=True)
class Step:
    """One rate and what came of it. ``good``: share of valid answers; ``p99_ms``: None without any."""

    asked_rps: float
    answered_rps: float
    good: float
    p99_ms: float | None

    def held(self, limit_s: float) -> bool:
        """It kept up, with good answers, in the time that one attempt has."""
        return (
            self.answered_rps >= SHARE_KEPT_UP * self.asked_rps
            and self.good >= SHARE_GOOD
            and self.p99_ms is not None
            and self.p99_ms <= limit_s * 1000
        )


@dataclass
class _Tally:
    """What all senders saw together."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    taken: int = 0
    good: int = 0
    bad: int = 0
    seconds: list[float] = field(default_factory=list)

    def next(self) -> int:
        with self.lock:
            self.taken += 1
            return self.taken - 1

    def note(self, fine: bool, seconds: float) -> None:
        with self.lock:
            self.good += fine
            self.bad += not fine
            self.seconds.append(seconds)


def present_rate(admin: Admin, model: str, seconds: float = RATE_WINDOW_S) -> float:
    """Requests a second that users send to a model now, by Envoy's own counters."""
    before, began = _requests(admin, model), time.monotonic()
    time.sleep(seconds)
    return max(_requests(admin, model) - before, 0) / (time.monotonic() - began)


def ramp(endpoint: Endpoint, asked: Sequence[Sample], rate: float, *, seconds: float, limit_s: float) -> list[Step]:
    """Each step of the way to ``rate`` and beyond for ``seconds``; it ends with the first that is not held."""
    done: list[Step] = []
    for part in STEPS:
        done.append(_send(endpoint, asked, max(part * rate, LEAST_RATE * part), seconds, limit_s))
        if not done[-1].held(limit_s):
            break
    return done


def _send(endpoint: Endpoint, asked: Sequence[Sample], rate: float, seconds: float, limit_s: float) -> Step:
    """An open loop: a request is due when it is due, however long the others take."""
    tally, began = _Tally(), time.monotonic()
    total = max(math.ceil(rate * seconds), 1)
    senders = [
        threading.Thread(target=_sender, args=(endpoint, asked, rate, began, total, limit_s, tally), daemon=True)
        for _ in range(min(SENDERS, total))
    ]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    took = max(time.monotonic() - began, total / rate)
    times = sorted(tally.seconds)
    p99 = times[min(math.ceil(0.99 * len(times)), len(times)) - 1] * 1000 if times else None
    return Step(rate, (tally.good + tally.bad) / took, tally.good / total, p99)


def _sender(
    endpoint: Endpoint, asked: Sequence[Sample], rate: float, began: float, total: int, limit_s: float, tally: _Tally
) -> None:
    connection = http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=max(4 * limit_s, 1.0))
    while (n := tally.next()) < total:
        due = began + n / rate
        time.sleep(max(0.0, due - time.monotonic()))
        try:
            fine = ask(connection, asked[n % len(asked)]) == http.client.OK
        except (OSError, http.client.HTTPException):
            fine = False
            connection.close()
        tally.note(fine, time.monotonic() - due)
    connection.close()


def _requests(admin: Admin, model: str) -> int:
    samples = admin.labelled("envoy_seatrial_requests", r"^seatrial\.")
    return sum(n for tags, n in samples if tags.get("model") == model and tags.get("arm") != "shadow")
