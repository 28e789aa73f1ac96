"""Pairs of answers counted by their place on the shadow grid and by the bucket of their unit."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from seatrial.engines.outputs import Answers
from seatrial.evidence.scores import SCORE_BINS
from seatrial.evidence.snapshot import Sampled
from seatrial.evidence.tally import TOTAL, UNIT_BUCKETS

Counts = NDArray[np.int64]


class PairCounts:
    """Of each segment a grid, and of each segment and share at which copies were made another, where shares are told.

    Arrays that were handed out before are left alone: a changed one is a new one.
    """

    def __init__(self) -> None:
        self.grid: dict[str, Counts] = {}
        self.buckets: dict[str, Counts] = {}
        self._shares: dict[int, tuple[dict[str, Counts], dict[str, Counts]]] = {}

    def add(
        self,
        segment: str,
        places: tuple[Counts, Counts],
        bucket: Counts | None,
        count: Counts,
        shares: Counts | None = None,
    ) -> None:
        """Pairs of a segment: so many in each place, of units in these buckets (if agreement is judged).

        ``shares``: points of 10,000 at which each was copied, for a plan that has several.
        """
        _add(self.grid, segment, (SCORE_BINS, SCORE_BINS), places, count)
        if bucket is None:
            return
        _add(self.buckets, segment, (UNIT_BUCKETS,), (bucket,), count)
        for share in () if shares is None else np.unique(shares).tolist():
            where = shares == share
            grid, buckets = self._shares.setdefault(share, ({}, {}))
            _add(grid, segment, (SCORE_BINS, SCORE_BINS), (places[0][where], places[1][where]), count[where])
            _add(buckets, segment, (UNIT_BUCKETS,), (bucket[where],), count[where])

    def shares(self, answers: Answers) -> Mapping[int, Sampled]:
        """By share, in the order of labels that the whole has."""
        whole = self.grid.get(TOTAL)
        return {
            share: Sampled(answers.in_order(grid, whole), dict(buckets))
            for share, (grid, buckets) in sorted(self._shares.items())
        }


def _add(
    held: dict[str, Counts], segment: str, shape: tuple[int, ...], where: tuple[Counts, ...], count: Counts
) -> None:
    known = held.get(segment)
    sums = np.zeros(shape, dtype=np.int64) if known is None else known.copy()
    np.add.at(sums, where, count)
    held[segment] = sums
