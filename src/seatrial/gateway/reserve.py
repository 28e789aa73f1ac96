"""Disk space kept for the way home: given up when the disk is full, so that a kill and its routes still fit."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

SIZE = 4 << 20
PIECE = 1 << 20
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def keep(path: Path) -> None:
    """Fill the reserve up to its size, as far as the disk lets us."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if (has := os.fstat(descriptor).st_size) < SIZE:
                os.pwrite(descriptor, bytes(SIZE - has), has)  # a file with holes would keep nothing
        finally:
            os.close(descriptor)


def spend(path: Path) -> bool:
    """Give one piece back to the disk; False when nothing is left."""
    try:
        left = path.stat().st_size
        os.truncate(path, max(0, left - PIECE))
    except OSError:
        return False
    return left > 0
