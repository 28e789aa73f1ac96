"""Simulated releases by the thousand, on as many processes as wanted: the same result on any number of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import NamedTuple

import numpy as np

from seatrial.rollout.simulate.study import Result, Run, Study, result

AT_ONCE = 8
"""Releases that a process takes at a time."""


class _Share(NamedTuple):
    """Releases ``[first, last)`` of one scenario."""

    scenario: int
    first: int
    last: int


def run_study(
    study: Study, releases: int, seed: int, *, jobs: int = 1, tell: Callable[[int], None] = lambda done: None
) -> tuple[Result, ...]:
    """The scenarios of a study, each on so many releases. ``tell`` hears how many more are done.

    A release draws from a generator of its own, seeded by (seed, scenario, release), whoever computes it.
    """
    shares = [
        _Share(n, first, min(first + AT_ONCE, releases))
        for n in range(len(study.scenarios))
        for first in range(0, releases, AT_ONCE)
    ]
    runs: list[list[Run]] = [[] for _ in study.scenarios]
    for share, found in zip(shares, _computed(study, seed, shares, jobs), strict=True):
        runs[share.scenario] += found
        tell(len(found))
    return tuple(result(scenario, found) for scenario, found in zip(study.scenarios, runs, strict=True))


def _computed(study: Study, seed: int, shares: list[_Share], jobs: int) -> Iterator[list[Run]]:
    """In the order of the shares."""
    if jobs == 1:
        yield from (_share(study, seed, share) for share in shares)
        return
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_begin, initargs=(study, seed))
    try:
        yield from pool.map(_one_share, shares)
    finally:
        pool.shutdown(cancel_futures=True)


def _share(study: Study, seed: int, share: _Share) -> list[Run]:
    scenario = study.scenarios[share.scenario]
    return [
        study.run(scenario, np.random.default_rng([seed, share.scenario, release]))
        for release in range(share.first, share.last)
    ]


_STUDY: list[tuple[Study, int]] = []
"""In a process of the pool: what all its shares are of, sent once."""


def _begin(study: Study, seed: int) -> None:
    _STUDY[:] = [(study, seed)]


def _one_share(share: _Share) -> list[Run]:
    study, seed = _STUDY[0]
    return _share(study, seed, share)
