"""Rotation of the capture log: rename, let Envoy open its log anew, drain, delete after the commit.

The first two are here, the others are the collector's. Between any two of them a crash loses nothing: a renamed log is
read on, Envoy writes to it until it has opened a new one, and where it was not asked to it is asked again.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from seatrial.control.project import Capture
from seatrial.errors import Unavailable
from seatrial.events.log import rotate, rotated

log = logging.getLogger("seatrial.control")

ASK_AGAIN_S = 2.0
ROOM = 1 << 20
"""Free bytes below which nothing is rotated: Envoy would find no room for a new log, and write none from then on."""


class Rotation:
    """When the logs of one project are rotated. A log's age is counted from when it was first seen here."""

    def __init__(self, capture: Capture, clock: Callable[[], float] = time.monotonic) -> None:
        self._capture, self._clock = capture, clock
        self._since: dict[Path, float] = {}
        self._asked = float("-inf")

    def due(self, path: Path) -> bool:
        """Whether a log is beyond its size, or has held something for too long."""
        size, now = path.stat().st_size if path.exists() else 0, self._clock()
        if not size:
            self._since.pop(path, None)
            return False
        old = now - self._since.setdefault(path, now) >= self._capture.rotate_every.seconds
        if (not old and size < self._capture.rotate.bytes) or shutil.disk_usage(path.parent).free < ROOM:
            return False
        del self._since[path]
        return True

    def turn(self, logs: Sequence[Path], reopen: Callable[[], None]) -> None:
        """Rotate the logs that are due; ``reopen`` makes the one who writes them open them anew."""
        due = [path for path in logs if self.due(path)]
        for path in due:
            rotate(path)
        if due or (self._pending(logs) and self._clock() - self._asked >= ASK_AGAIN_S):
            self._asked = self._clock()
            try:
                reopen()
            except Unavailable as error:
                log.warning("the capture log is renamed, and Envoy writes on in it: %s", error.message)

    @staticmethod
    def _pending(logs: Sequence[Path]) -> bool:
        """Whether a log was renamed that Envoy has not opened anew."""
        return any(not path.exists() and rotated(path) for path in logs)
