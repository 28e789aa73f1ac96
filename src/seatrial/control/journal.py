"""Protective moves are routed first and recorded second; this file remembers them in between.

One fsynced line a move. As long as a line is here, it is in force: routes are rendered from store, journal and kill
latches. Whatever a crash left unrecorded is recorded at the next start, and never puts traffic back.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from seatrial.gateway.files import sync_directory

log = logging.getLogger("seatrial.control")


@dataclass(frozen=True, slots=True)
class Move:
    """A protective decision of a rollout, with everything needed to record it: the JSON of decision, state
    and what it was taken on."""

    rollout: str
    revision: int
    decision: str
    state: str
    evidence: str | None
    given: str | None = None


@dataclass(frozen=True, slots=True)
class Homecoming:
    """A model's traffic goes back from its champion to the standby. ``at``: ISO 8601."""

    model: str
    champion: int
    home: int
    actor: str
    reason: str
    at: str


Entry = Move | Homecoming


class Journal:
    """An append-only file of moves. What this object was told counts even where the disk did not take it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._told: list[Entry] = []

    def write(self, entry: Entry) -> None:
        """Durable when this returns. A disk that refuses is logged: it does not keep traffic where it does harm."""
        self._told.append(entry)
        try:
            self._append(json.dumps(asdict(entry)) + "\n")
        except OSError:
            log.exception("the journal cannot be written; a crash before the store knows would undo this move")

    def moves(self) -> list[Entry]:
        """All moves that may not be recorded yet, oldest first; a torn last line was never acted on and is left out."""
        lines = self._path.read_text(encoding="utf-8").splitlines() if self._path.exists() else []
        kept = [entry for entry in map(_parsed, lines) if entry is not None]
        return kept + [entry for entry in self._told if entry not in kept]

    def clear(self) -> None:
        """After everything in it is recorded."""
        self._told.clear()
        self._path.unlink(missing_ok=True)

    def _append(self, line: str) -> None:
        fresh = not self._path.exists()
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            if (size := os.fstat(descriptor).st_size) and os.pread(descriptor, 1, size - 1) != b"\n":
                line = "\n" + line  # a crash tore the line before; this one must not be lost with it
            data = line.encode()
            while data:
                data = data[os.write(descriptor, data) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if fresh:
            sync_directory(self._path.parent)


def _parsed(line: str) -> Entry | None:
    try:
        document = json.loads(line)
        return Move(**document) if "rollout" in document else Homecoming(**document)
    except (json.JSONDecodeError, TypeError):
        return None
