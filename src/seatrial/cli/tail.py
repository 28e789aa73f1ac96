"""The end of a file, and what is added to it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

POLL_S = 0.2


def last_lines(path: Path, n: int) -> list[str]:
    """The last ``n`` lines, with their line ends."""
    with path.open(encoding="utf-8", errors="replace") as file:
        return list(deque(file, maxlen=n))


def follow_file(path: Path) -> Iterator[str]:
    """What is written from now on, for ever; a file that was replaced or cut is read from its beginning."""
    file = path.open(encoding="utf-8", errors="replace")
    file.seek(0, 2)
    try:
        while True:
            if text := file.read():
                yield text
                continue
            time.sleep(POLL_S)
            if path.exists() and (path.stat().st_ino != _inode(file.fileno()) or path.stat().st_size < file.tell()):
                file.close()
                file = path.open(encoding="utf-8", errors="replace")
    finally:
        file.close()


def _inode(descriptor: int) -> int:
    import os

    return os.fstat(descriptor).st_ino
