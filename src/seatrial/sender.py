"""Outcomes sent in the background, for code that must not wait and must not fail: a request handler, say.

The promise is weaker than that of :meth:`Client.log_outcomes`, which is on disk when it returns: what is not delivered
when the process is killed is lost. Standard library only.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from itertools import islice

from seatrial.client import FIRST_PAUSE_S, LONGEST_PAUSE_S, Client, OutcomesRefused, outcome

log = logging.getLogger("seatrial.sender")

EXIT_S = 10.0
"""How long the end of a process waits for what is still to be sent."""


class OutcomeSender:
    """``put`` returns at once and never raises; a thread sends what was put, in batches, until it is acknowledged.

    At most ``size`` outcomes wait; what comes beyond is dropped. ``dropped`` and ``refused`` count what does not
    arrive, and the log says so. A process that ends waits for what is left, up to ten seconds.
    """

    def __init__(
        self, client: Client | None = None, *, size: int = 10_000, batch: int = 1_000, linger_s: float = 0.5
    ) -> None:
        self._client = client or Client()
        self._size, self._batch, self._linger_s = size, batch, linger_s
        self.dropped = self.refused = 0
        self._begin()
        atexit.register(self.flush, EXIT_S)
        os.register_at_fork(after_in_child=self._begin)  # threads and locks of a parent do not work in its child

    def _begin(self) -> None:
        self._waiting: deque[str] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._hurried = False

    @property
    def pending(self) -> int:
        """Outcomes that are not acknowledged yet."""
        return len(self._waiting)

    def put(
        self, model: str, key: str, name: str, value: float, *, time: datetime | None = None, revision: int = 0
    ) -> bool:
        """Take one outcome; false where it is dropped."""
        try:
            line = json.dumps(outcome(model, key, name, value, time=time, revision=revision))
        except (TypeError, ValueError, OverflowError) as error:
            self._lose("refused", repr(error))
            return False
        with self._changed:
            if len(self._waiting) >= self._size:
                self._lose("dropped", f"{self._size:,} are waiting already")
                return False
            self._waiting.append(line)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="seatrial-outcomes", daemon=True)
                self._thread.start()
            self._changed.notify_all()
        return True

    def flush(self, timeout_s: float = EXIT_S) -> bool:
        """Send what waits now and wait for it; false where it was not delivered in time."""
        with self._changed:
            self._hurried = True
            self._changed.notify_all()
            done = self._changed.wait_for(lambda: not self._waiting, timeout_s)
            self._hurried = False
        return done

    def _run(self) -> None:
        pause = FIRST_PAUSE_S
        while True:
            lines = self._next()
            try:
                self._send(lines)
                self._client.close()  # the next batch may be long in coming
            except Exception as error:  # whatever it is: this thread is the only one that sends
                log.warning("%d outcomes are not delivered yet: %r", self.pending, error)
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_S)
                continue
            pause = FIRST_PAUSE_S
            with self._changed:
                for _ in lines:
                    self._waiting.popleft()
                self._changed.notify_all()

    def _next(self) -> list[str]:
        """The next batch: as soon as it is full, or its first outcome has lingered."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._waiting))
            self._changed.wait_for(lambda: self._hurried or len(self._waiting) >= self._batch, self._linger_s)
            return list(islice(self._waiting, self._batch))

    def _send(self, lines: Sequence[str]) -> None:
        """Deliver all of them; where the API refuses some, the others all the same."""
        try:
            self._client.log_outcomes([json.loads(line) for line in lines])
        except OutcomesRefused as error:
            if len(lines) == 1:
                self._lose("refused", str(error))
                return
            half = len(lines) // 2
            self._send(lines[:half])
            self._send(lines[half:])

    def _lose(self, how: str, why: str) -> None:
        count = getattr(self, how) + 1
        setattr(self, how, count)
        if count & (count - 1) == 0:  # the first, the second, the fourth ...: a flood must not flood the log
            log.warning("%d outcomes %s: %s", count, how, why)


_shared: list[OutcomeSender] = []
_sharing = threading.Lock()


def log_outcome(
    model: str, key: str, name: str, value: float, *, time: datetime | None = None, revision: int = 0
) -> None:
    """``OutcomeSender().put`` on a sender that this process shares: returns at once, never raises.

    Where an outcome must not be lost, :meth:`Client.log_outcome` waits until it is on disk.
    """
    with _sharing:
        if not _shared:
            _shared.append(OutcomeSender())
    _shared[0].put(model, key, name, value, time=time, revision=revision)


def flush(timeout_s: float = EXIT_S) -> bool:
    """Wait until what :func:`log_outcome` took is on disk; false where it is not in time."""
    return all(sender.flush(timeout_s) for sender in _shared)
