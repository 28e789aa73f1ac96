"""The replay: every flight a real HTTP request through the gateway, every delay an outcome hours later.

The control plane may be away for a while, killed and started again: what is asked of it is asked until it answers.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pandas as pd

from seatrial.client import Answer, Client, outcome
from seatrial.demo import flights

CLIENTS = 48
AWAY_S = 90.0
"""How long the control plane may be away."""

PAUSE_S = 0.2


@dataclass
class Driver:
    """Replays ``rows`` (see :func:`seatrial.demo.flights.load`) to one model, window after window.

    ``sent``, ``failed`` and ``reported`` count requests, requests without a good answer, and outcomes.
    """

    client: Client
    model: str
    rows: pd.DataFrame
    sent: int = 0
    failed: int = 0
    reported: int = 0
    answered: dict[str, int] = field(default_factory=dict)
    _due: list[tuple[datetime, str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._pool = ThreadPoolExecutor(CLIENTS)
        self._next = 0
        self._records: list[dict[str, Any]] = [
            {str(k): v for k, v in row.items()} for row in self.rows.to_dict("records")
        ]

    def run_until(self, until: datetime) -> dict[str, Any]:
        """Send what departs before ``until``, report what has landed by then, and move the replay's clock.

        The clock moves only after everything that was sent is captured; the looks that fell due are taken on the way.
        """
        batch = []
        while self._next < len(self._records) and self._records[self._next]["event_time"] < until:
            batch.append(self._records[self._next])
            self._next += 1
        for record, answer in zip(batch, self._pool.map(self._ask, batch), strict=True):
            self._note(record, answer)
        self._report(until)
        moved: dict[str, Any] = self.call("POST", "/v1/replay/advance", {"to": until.isoformat()})
        return moved

    def call(self, method: str, path: str, body: object | None = None, done: Callable[[], Any] = lambda: None) -> Any:
        """Any call of the API that may be made twice; one that may not says by ``done`` what came of it, if anything.

        That is asked after a call whose answer was lost: what it returns is taken for the answer.
        """

        def once_more() -> Any:
            return done() or self.client.call(method, path, body)

        try:
            return self.client.call(method, path, body)
        except OSError:
            return patiently(once_more)

    def close(self) -> None:
        self._pool.shutdown()

    def _ask(self, record: dict[str, Any]) -> Answer:
        headers = {"x-event-time": record["event_time"].isoformat()}
        return self.client.predict(self.model, flights.request_body(record), unit=record["unit"], headers=headers)

    def _note(self, record: dict[str, Any], answer: Answer) -> None:
        self.sent += 1
        self.failed += not answer.ok
        self.answered[answer.version] = self.answered.get(answer.version, 0) + 1
        if not pd.isna(record["outcome_time"]):
            when: datetime = record["outcome_time"].to_pydatetime()
            heapq.heappush(self._due, (when, answer.id, float(record["delayed"])))

    def _report(self, until: datetime) -> None:
        """Delays of flights that have landed; cancelled and diverted flights never come here."""
        landed = []
        while self._due and self._due[0][0] <= until:
            when, key, late = heapq.heappop(self._due)
            landed.append(outcome(self.model, key, "delayed", late, time=when))
        if landed:
            self.reported += self.client.log_outcomes(landed)


def patiently(call: Callable[[], Any]) -> Any:
    """The same call again, until somebody is there to answer it."""
    deadline = time.monotonic() + AWAY_S
    while True:
        try:
            return call()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(PAUSE_S)
