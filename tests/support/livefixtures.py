"""Fixtures for running systems; ``livesystem`` has the parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from livesystem import T0, Live

Make = Callable[..., Live]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """``make("name", clock="wall")``: a started system (of replayed time unless said otherwise); all are ended."""
    made: list[Live] = []

    def start(name: str = "live", *, started: bool = True, **settings: str) -> Live:
        live = Live(tmp_path / name, **settings)
        made.append(live)
        if started:
            live.start()
            if live.controller.replay:
                live.operations.advance(T0)
        return live

    yield start
    for live in made:
        live.close()
