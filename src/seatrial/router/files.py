"""The files of one process that routes by itself, beside Envoy's log: what was answered, and how much of it.

``router-PID-TOKEN.jsonl`` has a line for each request, as Envoy writes them. ``.counts.json`` says how many there were,
as Envoy's counters do. ``.lock`` is held for as long as the process lives: the kernel lets go of it, however it ends.
The collector rotates the log by renaming it, and deletes all of them when it has read everything of a process that is
gone.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

PREFIX: Final = "router-"
LOCK, LOG, COUNTS = ".lock", ".jsonl", ".counts.json"

Key = tuple[str | None, int | None, str]
"""Rollout, phase, arm."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Requests of one process by key: ``answered`` in all, of these ``written`` to the log, or ``dropped``.

    What is in neither may be on its way.
    """

    answered: Mapping[Key, int] = field(default_factory=dict)
    written: Mapping[Key, int] = field(default_factory=dict)
    dropped: Mapping[Key, int] = field(default_factory=dict)

    def text(self) -> str:
        document = {name: [[*key, n] for key, n in getattr(self, name).items()] for name in self.__slots__}
        return json.dumps(document) + "\n"

    @classmethod
    def read(cls, path: Path) -> Counts | None:
        """None where the file is not there or does not read: then nothing is claimed."""
        try:
            document = json.loads(path.read_text())
            return cls(*({(r, p, a): int(n) for r, p, a, n in document[name]} for name in cls.__slots__))
        except (OSError, ValueError, KeyError, TypeError):
            return None


class LogFiles:
    """Written by one thread of one process. Every call may raise OSError and may then be made again."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        name = f"{PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
        self.log, self._counts = directory / f"{name}{LOG}", directory / f"{name}{COUNTS}"
        self._lock = _locked(directory / f"{name}{LOCK}")
        self._open: int | None = None
        self._rest, self._torn = b"", False

    def tell(self, counts: Counts) -> None:
        """Replace the counts."""
        temporary = self._counts.with_name(f".{self._counts.name}")
        temporary.write_text(counts.text())
        os.replace(temporary, self._counts)

    def append(self, lines: bytes = b"") -> None:
        """Add whole lines. After an error nothing of them is lost: the next call, without any, goes on with the rest.

        A file that the collector has renamed gets no line that was not begun by then.
        """
        self._rest += lines
        while self._rest:
            self.follow()
            assert self._open is not None
            done = os.write(self._open, self._rest)
            self._torn = self._rest[done - 1 : done] != b"\n"
            self._rest = self._rest[done:]

    def follow(self) -> None:
        """Go on in a new file where the collector has renamed this one, unless it ends within a line."""
        if not self._torn and self._moved():
            self._reopen()

    def abandon(self) -> None:
        """In a child: these are the parent's files. The lock stays the parent's as long as the parent has it open."""
        for descriptor in (self._open, self._lock):
            if descriptor is not None:
                with suppress(OSError):
                    os.close(descriptor)
        self._open = None

    def _moved(self) -> bool:
        if self._open is None:
            return True
        try:
            return os.stat(self.log).st_ino != os.fstat(self._open).st_ino
        except FileNotFoundError:
            return True

    def _reopen(self) -> None:
        opened = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        if self._open is not None:
            os.close(self._open)
        self._open = opened


def _locked(path: Path) -> int:
    """A lock file that is locked from the moment it has its name."""
    hidden = path.with_name(f".{path.name}")
    descriptor = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.rename(hidden, path)
    return descriptor
