"""Delivering alerts: one thread a target, at least once, with ever longer pauses between attempts.

A receiver that is slow or down holds up its own thread only: neither the controller nor the other receivers.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from seatrial.control.alerting.messages import Message, message
from seatrial.control.alerting.targets import AlertTarget, check_url
from seatrial.control.project import Project, is_loopback
from seatrial.errors import SeatrialError, UsageError
from seatrial.store.alert import Alert
from seatrial.store.db import Store, Transaction
from seatrial.store.outbox import Delivery

if TYPE_CHECKING:
    import httpx

log = logging.getLogger("seatrial.alerts")

POLL_S = 0.5
TIMEOUT_S = 10.0
REPLY_BYTES = 300
POSITION = "alerts.position."


@dataclass(frozen=True, slots=True)
class Pace:
    """Attempts, and the pauses between them: each twice the one before up to ``longest_s``, less a jitter.

    16 attempts are spread over about seven hours.
    """

    attempts: int = 16
    first_s: float = 1.0
    longest_s: float = 3600.0

    def pause_s(self, key: str, attempt: int) -> float:
        """After this many failed attempts. The jitter (up to half) spreads what failed together; it depends on nothing
        but the key and the attempt."""
        full = min(self.first_s * 2.0 ** (attempt - 1), self.longest_s)
        seed = hashlib.blake2b(f"{key}:{attempt}".encode(), digest_size=4).digest()
        return full * (1 - int.from_bytes(seed, "big") / (1 << 33))


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: ``status`` 0 if nothing did. ``retry_after_s``: the receiver's wish."""

    status: int
    text: str
    retry_after_s: float = 0.0

    @property
    def ok(self) -> bool:
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    def __str__(self) -> str:
        return f"{self.status} {self.text}".strip() if self.status else self.text


def post(project: Project, target: AlertTarget, alert: Alert, environment: Mapping[str, str] = os.environ) -> Reply:
    """One attempt. Raises UsageError when the URL or the key is not in the environment: nothing goes out unsigned."""
    url = target.url or _variable(target, target.url_env, environment)
    check_url(target.name, url)
    secret = _variable(target, target.secret_env, environment) if target.secret_env else ""
    return send(url, message(project, target, alert, secret))


def _variable(target: AlertTarget, name: str, environment: Mapping[str, str]) -> str:
    value = environment.get(name, "")
    if not value:
        raise UsageError(
            "ST0892",
            f"alerts: target '{target.name}': the environment variable {name} is not set.",
            remedy="Set it where the control plane starts.",
        )
    return value


def send(url: str, sent: Message) -> Reply:
    """One POST. Whatever goes wrong on the way is a reply of status 0."""
    import httpx

    # The proxy settings of the environment are for the outside. Redirects are not followed: whoever answers with one
    # is not the receiver that was configured.
    try:
        outside = not is_loopback(urlsplit(url).hostname or "")
        with (
            httpx.Client(timeout=TIMEOUT_S, trust_env=outside, follow_redirects=False) as http,
            http.stream("POST", url, content=sent.body, headers=sent.headers(int(time.time()))) as response,
        ):
            return Reply(response.status_code, _first_words(response), _retry_after_s(response))
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:  # ValueError: half a bracket
        return Reply(0, f"{type(error).__name__}: {error}"[:REPLY_BYTES])


def _first_words(response: httpx.Response) -> str:
    """The beginning of the answer; one that drips is cut off."""
    deadline, data = time.monotonic() + TIMEOUT_S, b""
    for chunk in response.iter_raw():
        data += chunk
        if len(data) >= REPLY_BYTES or time.monotonic() > deadline:
            break
    return " ".join(data[:REPLY_BYTES].decode("utf-8", "replace").split())


def _retry_after_s(response: httpx.Response) -> float:
    text = response.headers.get("retry-after", "")
    return float(text) if text.isdigit() else 0.0


class Courier:
    """Takes alerts out of the outbox and delivers them, while this process holds the lease."""

    def __init__(self, project: Project, store: Store, *, pace: Pace | None = None, poll_s: float = POLL_S) -> None:
        self._project, self._store, self._pace, self._poll_s = project, store, pace or Pace(), poll_s
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """A target that is new hears of what happens from now on, and of nothing before."""
        targets = self._project.config.alerts
        if not targets:
            return
        with self._store.begin() as tx:
            for target in targets:
                if tx.settings.get(POSITION + target.name) is None:
                    tx.settings.put(POSITION + target.name, tx.alerts.newest(), datetime.now(UTC))
        for target in targets:
            thread = threading.Thread(target=self._run, args=(target,), name=f"alerts {target.name}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """What is not delivered stays in the outbox. A request that hangs is not waited for."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(timeout=1.0)

    def _run(self, target: AlertTarget) -> None:
        failed = ""
        while not self._stopping.wait(self._poll_s):
            try:
                self.round(target)
                failed = ""
            except Exception as error:  # the store is away, most often; what is in it waits
                if str(error) != failed:
                    log.exception("alerts to %s wait", target.name)
                failed = str(error)

    def round(self, target: AlertTarget) -> None:
        """Plan what is new, and attempt once what is due."""
        now = datetime.now(UTC)
        with self._store.read() as tx:
            news = tx.alerts.newest() > _position(tx, target)
        if news:
            with self._store.begin() as tx:
                self._plan(tx, target, now)
        with self._store.read() as tx:
            due = [(delivery, tx.alerts.get(delivery.alert).alert) for delivery in tx.alerts.due(target.name, now)]
        for delivery, alert in due:
            if self._stopping.is_set():
                return
            after = self._attempt(target, delivery, alert)
            with self._store.begin() as tx:
                tx.alerts.settle(after)

    def _plan(self, tx: Transaction, target: AlertTarget, now: datetime) -> None:
        """One delivery for each new alert that the target wants."""
        last = _position(tx, target)
        for stored in tx.alerts.after(last):
            if target.wants(stored.alert):
                tx.alerts.send(stored.seq, target.name, now)
            last = stored.seq
        tx.settings.put(POSITION + target.name, last, now)

    def _attempt(self, target: AlertTarget, delivery: Delivery, alert: Alert) -> Delivery:
        try:
            reply = post(self._project, target, alert)
        except SeatrialError as error:
            reply = Reply(0, error.message)
        now, attempts = datetime.now(UTC), delivery.attempts + 1
        if reply.ok:
            return replace(delivery, state="delivered", attempts=attempts, next_at=now, last_error="")
        if attempts >= self._pace.attempts:
            log.error("alert %s is not delivered to %s after %d attempts: %s", alert.key, target.name, attempts, reply)
            return replace(delivery, state="failed", attempts=attempts, next_at=now, last_error=str(reply))
        wished = min(reply.retry_after_s, self._pace.longest_s)
        pause = timedelta(seconds=max(self._pace.pause_s(alert.key, attempts), wished))
        return replace(delivery, attempts=attempts, next_at=now + pause, last_error=str(reply))


def _position(tx: Transaction, target: AlertTarget) -> int:
    """Up to which alert the target's deliveries are planned."""
    found = tx.settings.get(POSITION + target.name)
    return tx.alerts.newest() if found is None else int(found.value)
