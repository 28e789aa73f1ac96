"""Protective moves are routed first and recorded second; this file remembers them in between.

One fsynced line a move. Whatever is in it and not in the store when a controller starts is recorded then, so that a
crash between the two never puts traffic back.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Move:
    """A protective decision of a rollout, with everything needed to record it: the JSON of decision and state."""

    rollout: str
    revision: int
    decision: str
    state: str
    evidence: str | None


class Journal:
    """An append-only file of moves."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, move: Move) -> None:
        """Durable when this returns."""
        line = json.dumps(asdict(move)) + "\n"
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, line.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def moves(self) -> Iterator[Move]:
        """All complete lines; a torn last line was never acted on and is left out."""
        if not self._path.exists():
            return
        for line in self._path.read_text(encoding="utf-8").splitlines():
            try:
                yield Move(**json.loads(line))
            except (json.JSONDecodeError, TypeError):
                continue

    def clear(self) -> None:
        """After everything in it is recorded."""
        self._path.unlink(missing_ok=True)
