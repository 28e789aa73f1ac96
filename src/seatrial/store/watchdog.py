"""A database that stops answering without hanging up must not stop its clients: their connection is cut.

Neither TCP nor the driver notices a server that is alive and silent (stopped, swapped out, on a disk that hangs): the
kernel keeps acknowledging, and a call waits for ever.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time


class Watchdog:
    """Cuts connections whose server has not answered for ``silence`` seconds. One thread, started when first needed."""

    def __init__(self, silence: float) -> None:
        self._silence = silence
        self._deadlines: dict[int, tuple[float, socket.socket]] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def expect(self, descriptor: int) -> int:
        """Begin to watch the connection with this descriptor; a ticket for ``again`` and ``release``.

        What is kept is a descriptor of its own: the driver may close its one at any time, and its number be reused.
        """
        line = socket.socket(fileno=os.dup(descriptor))
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="store-watchdog", daemon=True)
                self._thread.start()
            self._deadlines[line.fileno()] = (time.monotonic() + self._silence, line)
            self._changed.notify()
        return line.fileno()

    def again(self, ticket: int) -> None:
        """The server has answered so far and is asked anew: its time begins again."""
        with self._changed:
            if (watched := self._deadlines.get(ticket)) is not None:
                self._deadlines[ticket] = (time.monotonic() + self._silence, watched[1])

    def release(self, ticket: int) -> None:
        """Nothing is expected of this connection any more."""
        with self._changed:
            if (watched := self._deadlines.pop(ticket, None)) is not None:
                watched[1].close()

    def _watch(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                for at, line in self._deadlines.values():
                    if at <= now:
                        _hang_up(line)
                waiting = [at - now for at, _ in self._deadlines.values() if at > now]
                self._changed.wait(min(waiting, default=None))


def _hang_up(line: socket.socket) -> None:
    """End both directions: whoever waits on the connection reads its end."""
    with contextlib.suppress(OSError):  # it has ended by itself
        line.shutdown(socket.SHUT_RDWR)
