"""Files that are either old or new, never half written, and a lock between processes."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seatrial.gateway.reserve import FULL, spend


def write_atomically(path: Path, text: str, *, mode: int = 0o644, reserve: Path | None = None) -> None:
    """Write beside the target's directory, sync, rename. A watcher of the directory sees exactly one rename.

    The temporary file is in the parent of the target's directory: same file system, but not watched. On a full disk the
    ``reserve`` is spent.
    """
    while True:
        try:
            _write_and_rename(path, text, mode)
            return
        except OSError as error:
            if error.errno not in FULL or reserve is None or not spend(reserve):
                raise


def _write_and_rename(path: Path, text: str, mode: int) -> None:
    temporary = path.parent.parent / f".{path.name}.{os.getpid()}.tmp"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make renames and removals in a directory survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold an exclusive lock on a file, against threads and processes alike. The kernel drops it when we die.

    With ``wait=False``, ``BlockingIOError`` at once if somebody else holds it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
