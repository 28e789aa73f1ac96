"""Requests of a drill, through the gateway like everybody's, each for a unit of its own; answers are counted."""

from __future__ import annotations

import json
import secrets
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from http.client import HTTPException
from typing import Any, Final

from seatrial.client import Answer, Client
from seatrial.control.project import Project
from seatrial.control.way_home.probe import samples
from seatrial.control.way_home.proof import running_host
from seatrial.errors import Conflict, UsageError

SENDERS: Final = 4
MOST: Final = 20
"""Different bodies that are kept of what users sent, or of a file."""

Body = Mapping[str, Any]
"""``path`` and ``body``, as JSON."""


@dataclass(slots=True)
class Told:
    """What came back. ``first_fault``: when the assigned version first did not answer itself (monotonic seconds)."""

    requests: int = 0
    user_errors: int = 0
    by: Counter[str] = field(default_factory=Counter)
    levels: Counter[str] = field(default_factory=Counter)
    arms: Counter[str] = field(default_factory=Counter)
    first_fault: float | None = None

    def add(self, answer: Answer | None, at: float) -> None:
        """One answer; None if there was none."""
        self.requests += 1
        if answer is None or not answer.ok:
            self.user_errors += 1
        if answer is None:
            return
        self.by[answer.version or "nobody"] += 1
        self.levels[answer.level or "nobody"] += 1
        self.arms[answer.arm or "none"] += 1
        if answer.arm == "canary" and answer.level != "primary":
            self.first_fault = at if self.first_fault is None else min(self.first_fault, at)

    def document(self) -> dict[str, Any]:
        return {
            "requests": self.requests,
            "userErrors": self.user_errors,
            "answeredBy": dict(sorted(self.by.items())),
            "levels": dict(sorted(self.levels.items())),
            "arms": dict(sorted(self.arms.items())),
        }


class Asker:
    """Sends in batches. ``replay``: with an event time, which is given for each batch."""

    def __init__(self, project: Project, model: str, unit_header: str, bodies: Sequence[Body]) -> None:
        patience = project.config.timeouts.request.seconds + 5.0
        self._client = Client(project.config.gateway.url, timeout_s=patience, unit_header=unit_header)
        self._model, self._bodies = model, bodies
        self._name, self._count = f"drill-{secrets.token_hex(4)}", 0

    @property
    def sample(self) -> Body:
        """One of the requests."""
        return self._bodies[0]

    def batch(self, count: int, at: datetime | None = None) -> Told:
        """``count`` requests of new units."""
        jobs = [(f"{self._name}-{self._count + n}", self._bodies[n % len(self._bodies)]) for n in range(count)]
        self._count += count
        headers = {} if at is None else {"x-event-time": at.isoformat()}
        told = Told()
        with ThreadPoolExecutor(SENDERS) as pool:
            for found in pool.map(lambda n: self._ask(jobs[n::SENDERS], headers), range(SENDERS)):
                for answer, moment in found:
                    told.add(answer, moment)
        return told

    def _ask(self, jobs: Iterable[tuple[str, Body]], headers: Mapping[str, str]) -> list[tuple[Answer | None, float]]:
        found: list[tuple[Answer | None, float]] = []
        for unit, asked in jobs:
            try:
                answer = self._client.predict(
                    self._model, asked["body"], unit=unit, path=asked["path"], headers=headers
                )
            except (OSError, HTTPException):
                answer = None
            found.append((answer, time.monotonic()))
        self._client.close()
        return found


def bodies_of(project: Project, model: str, champion: int, given: Sequence[Any]) -> list[Body]:
    """What is asked: bodies that were given, else what users sent last. ``Conflict`` (ST0373) if there is neither."""
    if given:
        return [{"path": "/invocations", "body": body} for body in given[:MOST]]
    host = running_host(project, model, champion)
    captured = [] if host is None else samples(project, model, host[0])
    found: list[Body] = []
    for sample in captured:
        try:
            found.append({"path": sample.path, "body": json.loads(sample.body)})
        except ValueError:
            continue
    if not found:
        raise Conflict(
            "ST0373", f"model '{model}': there is nothing to ask it, for nobody has asked it of late.",
            remedy="Give bodies of requests, one JSON text a line: --requests FILE.",
        )  # fmt: skip
    return found[:MOST]


def read_bodies(text: str, source: str) -> list[Any]:
    """Bodies of a file, one JSON text a line. Raises UsageError (ST0374)."""
    found = []
    for n, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                found.append(json.loads(line))
            except ValueError as error:
                raise UsageError("ST0374", f"'{source}', line {n}, is not JSON: {error}.",
                                 remedy="One body of a request a line.") from None  # fmt: skip
    if not found:
        raise UsageError("ST0374", f"'{source}' is empty.", remedy="One body of a request a line.")
    return found
