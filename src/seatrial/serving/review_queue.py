"""Requests that wait for a person: two append-only files, of what was asked and of what was decided.

A line is on disk before anybody is told of it. A line that a crash tore is passed over: nobody was told that it is
kept. A full disk takes nothing back and loses nothing; the new line is refused.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, TypeVar

from seatrial.errors import Conflict, NotFound, UsageError

ASKED, DECIDED = "asked.jsonl", "decided.jsonl"
LONGEST_DECISION: Final = 64


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came. ``body`` is text, or base64 where it is none (``encoded``)."""

    id: str
    time: datetime
    path: str
    type: str
    body: str
    encoded: bool = False
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class Decided:
    """What somebody decided, and why."""

    id: str
    decision: str
    reason: str
    actor: str
    time: datetime


Line = TypeVar("Line", Asked, Decided)


@dataclass(frozen=True, slots=True)
class Review:
    """A request with its decision; None while it waits."""

    asked: Asked
    decided: Decided | None


class ReviewQueue:
    """The queue of one model in ``directory``. Several processes may append and read at the same time."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def put(self, requests: Iterable[Asked]) -> None:
        """Keep requests; they are on disk when this returns. Raises OSError, and keeps none of them."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        _append(self.directory / ASKED, [_plain(one) for one in requests])

    def reviews(self) -> list[Review]:
        """All of them, oldest first. A request that came twice (asked again by the chain) is there once."""
        asked = {one.id: one for one in reversed([*_read(self.directory / ASKED, Asked)])}
        decided = {one.id: one for one in reversed([*_read(self.directory / DECIDED, Decided)])}
        found = [Review(one, decided.get(one.id)) for one in asked.values()]
        return sorted(found, key=lambda review: (review.asked.time, review.asked.id))

    def get(self, id: str) -> Review:
        """Raises NotFound."""
        for review in self.reviews():
            if review.asked.id == id:
                return review
        raise NotFound("ST0775", f"there is no review '{id}'.", remedy="`seatrial review list` names them.")

    def depth(self) -> int:
        """How many wait. Asked every second, and read again only when something was written."""
        sizes = (_size(self.directory / name) for name in (ASKED, DECIDED))
        return _depth(self.directory, *sizes)

    def decide(self, id: str, decision: str, *, reason: str, actor: str, now: datetime) -> Review:
        """Raises Conflict if somebody has decided already, NotFound, UsageError without a decision or a reason."""
        if not decision.strip() or len(decision) > LONGEST_DECISION or not decision.isprintable():
            raise UsageError("ST0776", f"review '{id}': {decision!r} is no decision.", remedy="e.g. approve or decline")
        if not reason.strip():
            raise UsageError("ST0776", f"review '{id}' is decided without a reason.", remedy="Say why: --reason '...'.")
        with _locked(self.directory):  # two people at once: the second one is told
            review = self.get(id)
            if (before := review.decided) is not None:
                raise Conflict("ST0777", f"review '{id}' was decided by {before.actor}: {before.decision}.")
            made = Decided(id, decision, reason, actor, now)
            _append(self.directory / DECIDED, [_plain(made)])
        return Review(review.asked, made)


@lru_cache(256)
def _depth(directory: Path, asked: int, decided: int) -> int:
    return sum(review.decided is None for review in ReviewQueue(directory).reviews())


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _plain(record: Asked | Decided) -> Mapping[str, Any]:
    return {**asdict(record), "time": record.time.astimezone(UTC).isoformat()}


def _append(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """All lines or none. What a crash tore before is ended first, so that it does not take the next line with it."""
    data = "".join(json.dumps(record) + "\n" for record in records).encode()
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        size = os.fstat(file).st_size
        if size and os.pread(file, 1, size - 1) != b"\n":
            data = b"\n" + data
        try:
            while data:
                data = data[os.write(file, data) :]
            os.fsync(file)
        except OSError:
            os.ftruncate(file, size)
            raise
    finally:
        os.close(file)


def _read(path: Path, kind: type[Line]) -> Iterator[Line]:
    """The lines that are whole, oldest first."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return
    for line in text.split(b"\n"):
        with suppress(ValueError, TypeError, KeyError):
            found = json.loads(line)
            yield kind(**{**found, "id": str(found["id"]), "time": datetime.fromisoformat(found["time"])})


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)
