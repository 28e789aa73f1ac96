"""One demo at a time: each takes the default ports of a project, whoever else runs tests on this machine."""

from __future__ import annotations

import fcntl
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def one_demo() -> Iterator[None]:
    """Held for the whole test; others wait for it."""
    with (Path(tempfile.gettempdir()) / "seatrial-one-demo.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
