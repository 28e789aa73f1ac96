"""Whether the gateway and the model hosts still answer: one that hangs is as bad as one that died, and looks alive.

A thread of its own asks, because an answer that does not come takes time, and a kill must not wait for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType

EVERY_S = 2.0
TIMEOUT_S = 2.0
PATIENCE = 3
"""So many answers in a row must fail to come: with the two above, 6 to 12 seconds. A pause of 4 is nothing."""

FIRST_ANSWER_S = 60.0
"""One that has never answered yet is given this long: large models take their time to load."""

AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Target:
    """One process to ask. ``pid`` tells it from the one that replaces it; ``ask`` gives up by itself."""

    name: Hashable
    pid: int
    ask: Callable[[], bool]


@dataclass(slots=True)
class _Streak:
    pid: int
    since: float
    answered: bool = False
    failures: int = 0


class Probes:
    """Asks everything that ``targets`` names, again and again, while the ``with`` block lasts."""

    def __init__(
        self, targets: Callable[[], list[Target]], *, every_s: float = EVERY_S, patience: int = PATIENCE
    ) -> None:
        self._targets, self._every_s, self._patience = targets, every_s, patience
        self._streaks: Mapping[Hashable, _Streak] = {}
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Probes:
        self._ending.clear()
        self._thread = threading.Thread(target=self._run, name="probes", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ending.set()
        if self._thread is not None:
            self._thread.join()

    def hangs(self, name: Hashable, pid: int | None) -> bool:
        """Whether this process has been silent for too long."""
        streak = self._streaks.get(name)
        return streak is not None and streak.pid == pid and self._is_over(streak)

    def doubts(self, name: Hashable, pid: int | None) -> bool:
        """Whether it did not answer the last time."""
        streak = self._streaks.get(name)
        return streak is not None and streak.pid == pid and streak.failures > 0

    def _run(self) -> None:
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="probe") as pool:
            while not self._ending.wait(self._every_s):
                self.ask_once(pool)

    def ask_once(self, pool: ThreadPoolExecutor) -> None:
        """One round."""
        targets = self._targets()
        answers = [*pool.map(lambda target: target.ask(), targets)]
        self._streaks = {t.name: self._counted(t, answer) for t, answer in zip(targets, answers, strict=True)}

    def _counted(self, target: Target, answer: bool) -> _Streak:
        before = self._streaks.get(target.name)
        streak = before if before is not None and before.pid == target.pid else _Streak(target.pid, time.monotonic())
        failures = 0 if answer else streak.failures + 1
        return _Streak(streak.pid, streak.since, streak.answered or answer, failures)

    def _is_over(self, streak: _Streak) -> bool:
        known = streak.answered or time.monotonic() - streak.since > FIRST_ANSWER_S
        return known and streak.failures >= self._patience
