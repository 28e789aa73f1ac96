from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from routerparts import Directory
from seatrial.router import Router, follow


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    """A project with a route of ``fraud``: 10% canary, 20% copied."""
    made = Directory(tmp_path / "shop")
    made.put()
    return made


@pytest.fixture
def router(directory: Directory) -> Router:
    return directory.router()


@pytest.fixture
def now() -> datetime:
    return datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every decision asks whether a file has changed."""
    monkeypatch.setattr(follow, "CHECK_S", 0.0)
