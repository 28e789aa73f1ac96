"""A project's files that cannot be written, explained."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from seatrial.errors import Unavailable

if TYPE_CHECKING:
    from seatrial.control.project import Project

_REMEDIES = {
    errno.ENOSPC: "Free some space on its disk.",
    errno.EDQUOT: "Free some space: the quota of this user is used up.",
    errno.EROFS: "Mount it writable, or move the project.",
}


@contextmanager
def disk_told(project: Project) -> Iterator[None]:
    """What the disk refuses in this block is ``Unavailable``, with the file, the reason and what to do."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.errno not in errno.errorcode:
            raise
        whose = f"It must belong to user {os.getuid()} and be writable: chown -R {os.getuid()} {project.state}"
        raise Unavailable(
            "ST0832",
            f"{error.filename or project.state}: {error.strerror}.",
            remedy=f"{_REMEDIES.get(error.errno, whose)} Until then what runs goes on, and nothing new is recorded.",
        ) from error
