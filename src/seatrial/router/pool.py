"""Threads that run calls nobody has to wait for to the end: a call that hangs costs its thread, and nobody's time.

``concurrent.futures`` will not do: its queue has no bound, and a process that ends waits for every call.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any


class Busy(RuntimeError):
    """Every thread is occupied: by calls that hang, or by more than was allowed for."""


class _Job:
    __slots__ = ("done", "error", "result", "run")

    def __init__(self, run: Callable[[], Any]) -> None:
        self.run, self.done = run, threading.Event()
        self.result: Any = None
        self.error: BaseException | None = None


class Pool:
    """At most ``threads`` at work and ``waiting`` jobs besides. Threads are started when they are needed."""

    def __init__(self, name: str, *, threads: int, waiting: int = 0) -> None:
        self._name, self._threads, self._most = name, threads, threads + waiting
        self._begin()
        again = weakref.WeakMethod(self._begin)
        os.register_at_fork(after_in_child=lambda: (begin := again()) and begin())

    def _begin(self) -> None:
        """No thread of a parent works in its child."""
        self._lock, self._jobs = threading.Lock(), SimpleQueue[_Job]()
        self._started = self._taken = 0

    def call(self, run: Callable[[], Any], timeout_s: float) -> Any:
        """What ``run`` returns or raises. Raises TimeoutError and leaves the call behind; Busy where none is free."""
        job = self.submit(run)
        if not job.done.wait(timeout_s):
            raise TimeoutError(f"no answer within {timeout_s:g} s")
        if job.error is not None:
            raise job.error
        return job.result

    def submit(self, run: Callable[[], Any]) -> _Job:
        """Have it run some time soon. Raises Busy."""
        job = _Job(run)
        with self._lock:
            if self._taken >= self._most:
                raise Busy(f"{self._taken} calls are under way or waiting")
            self._taken += 1
            starts = self._started < min(self._taken, self._threads)
            self._started += starts
        if starts:
            threading.Thread(target=self._work, name=self._name, daemon=True).start()
        self._jobs.put(job)
        return job

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            try:
                job.result = job.run()
            except BaseException as error:  # whoever waits is told, whatever it is
                job.error = error
            with self._lock:
                self._taken -= 1
            job.done.set()
            del job

    @property
    def busy(self) -> bool:
        """Whether anything is under way or waiting."""
        return self._taken > 0
