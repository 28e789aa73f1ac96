"""Several locks held together."""

from __future__ import annotations

from contextlib import AbstractContextManager
from types import TracebackType


class Locks:
    """Taken in the order given, let go in the reverse. Whoever takes some of them must keep to the order."""

    def __init__(self, *locks: AbstractContextManager[object]) -> None:
        self._locks = locks

    def __enter__(self) -> None:
        for lock in self._locks:
            lock.__enter__()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for lock in reversed(self._locks):
            lock.__exit__(kind, error, at)
