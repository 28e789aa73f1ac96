"""Running the study: every cell, so many releases, on so many processes; the result does not depend on how many."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np

from benchmarks.calibration.cells import CELLS
from benchmarks.calibration.verdict import Played, summarise

CHUNK = 50
AUDIT_EVERY = 500
"""Every so many releases, all looks are taken by the gates, and the verdict must be that of the shortcut."""

Rows = list[dict[str, Any]]


def run(names: Sequence[str], releases: int, *, seed: int, jobs: int, tell: Callable[[str], None]) -> Iterator[Rows]:
    """Rows of `verdict.summarise`, cell by cell, in the order of ``names``."""
    with ProcessPoolExecutor(jobs) as pool:
        for number, name in enumerate(names, 1):
            began = time.monotonic()
            tell(f"{number}/{len(names)} {name} ...")
            chunks = [(name, seed, first, min(first + CHUNK, releases)) for first in range(0, releases, CHUNK)]
            played = [release for chunk in pool.map(play, chunks) for release in chunk]
            tell(f"{number}/{len(names)} {name}: {releases:,} releases in {time.monotonic() - began:.0f} s")
            yield summarise(CELLS[name], played)


def play(chunk: tuple[str, int, int, int]) -> list[Played]:
    """Releases [first, last) of a cell. Each has a generator of its own, seeded by its number."""
    name, seed, first, last = chunk
    return [
        CELLS[name].play(generator, audit=number % AUDIT_EVERY == 0)
        for number, generator in zip(range(first, last), generators(name, seed, first, last), strict=True)
    ]


def generators(name: str, seed: int, first: int, last: int) -> Iterator[np.random.Generator]:
    return (np.random.default_rng([seed, zlib.crc32(name.encode()), number]) for number in range(first, last))
