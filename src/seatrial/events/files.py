"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

UNFINISHED = ".tmp"
"""Suffix of files that are being written; after a crash they are nobody's."""


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A temporary file that takes the place of ``path`` when it is complete and on disk."""
    with unfinished(path.parent) as handle:
        yield handle
        finish(handle)
    publish(Path(handle.name), path)


@contextlib.contextmanager
def unfinished(directory: Path) -> Iterator[BinaryIO]:
    """A hidden temporary file that stays when the block ends well."""
    handle = tempfile.NamedTemporaryFile(dir=directory, prefix=".", suffix=UNFINISHED, delete=False)  # noqa: SIM115
    try:
        with handle:
            yield handle  # type: ignore[misc]
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(handle.name)
        raise


def finish(handle: BinaryIO) -> None:
    """What was written is on disk."""
    handle.flush()
    os.fsync(handle.fileno())


def publish(temporary: Path, path: Path) -> None:
    """Rename a finished file to its place; a power cut does not undo it."""
    try:
        os.replace(temporary, path)
    except BaseException:
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
