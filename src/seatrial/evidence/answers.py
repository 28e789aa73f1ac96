"""Answers of champion and shadow to the same requests, pair by pair: what a shadow report is computed from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seatrial.evidence.lists import PARTS, RankedList, list_agreement, sums_by_bucket
from seatrial.evidence.scores import SCORE_BINS, score_bins
from seatrial.evidence.snapshot import Outputs, Sampled, ShadowEvidence
from seatrial.evidence.tally import TOTAL, UNIT_BUCKETS

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Texts = NDArray[np.object_]

MOST_VALUES = 50
"""Values of a dimension that are segments of their own; the rest are ``other``."""

MOST_CLASSES = 10
"""Scores with no more distinct values than this are class labels, written as numbers."""


@dataclass(frozen=True, eq=False)
class Side:
    """What one model did with the requests, one place each.

    ``answered``: it gave a primary answer; ``error``: it is to blame that there is none; ``score``: NaN where there is
    none; ``label``: None where there is none; ``latency``: seconds, NaN if unknown; ``ranked``: lists where answers are
    lists, else None.
    """

    answered: Bools
    error: Bools
    score: Floats
    label: Texts
    latency: Floats
    ranked: Sequence[RankedList | None] | None = None

    def take(self, where: Any) -> Side:
        """Some of the places."""
        ranked = None if self.ranked is None else [self.ranked[n] for n in np.arange(len(self.error))[where]]
        return Side(
            self.answered[where], self.error[where], self.score[where], self.label[where], self.latency[where], ranked
        )


@dataclass(frozen=True, eq=False)
class Answers:
    """Requests that were copied. ``joined``: both sides are in the log under one id.

    ``time``: microseconds since the epoch, -1 if unknown; ``bucket``: of the unit, 0..255; ``segments``: by dimension,
    the value of each request; ``clicks``: the items that were clicked, where the answers are lists and that is known;
    ``sampled``: which share of the units (points of 10,000) was copied where each comes from, if that differs.
    """

    time: NDArray[np.int64]
    bucket: NDArray[np.int64]
    joined: Bools
    champion: Side
    shadow: Side
    segments: Mapping[str, Texts] = field(default_factory=dict)
    clicks: Sequence[Sequence[str] | None] | None = None
    sampled: NDArray[np.int64] | None = None

    @property
    def uneven(self) -> bool:
        """Whether the requests stand for unequal numbers of them."""
        return self.sampled is not None and len(np.unique(self.sampled)) > 1

    @property
    def compared(self) -> Bools:
        """Pairs: joined, with a primary answer on both sides. The rest is unmatched."""
        return self.joined & self.champion.answered & self.shadow.answered

    def take(self, where: Any) -> Answers:
        segments = {name: values[where] for name, values in self.segments.items()}
        sides = self.champion.take(where), self.shadow.take(where)
        clicks = None if self.clicks is None else [self.clicks[n] for n in np.arange(len(self.time))[where]]
        sampled = None if self.sampled is None else self.sampled[where]
        return Answers(self.time[where], self.bucket[where], self.joined[where], *sides, segments, clicks, sampled)

    def places(self) -> dict[str, Bools]:
        """Where each segment is: ``total``, and ``dimension=value``, of each dimension the most frequent ones."""
        found = {TOTAL: np.ones(len(self.time), dtype=bool)}
        for name, values in self.segments.items():
            often = [
                value for value, _ in sorted(Counter(values.tolist()).items(), key=lambda item: (-item[1], item[0]))
            ]
            found |= {f"{name}={value}": values == value for value in sorted(often[:MOST_VALUES])}
            if rest := set(often[MOST_VALUES:]):
                found[f"{name}=other"] = np.array([value in rest for value in values], dtype=bool)
        return found

    def outputs(self) -> Outputs:
        """What the compared answers are."""
        pairs = self.take(self.compared)
        if pairs.champion.ranked is not None:
            return "lists"
        scores = np.concatenate([pairs.champion.score, pairs.shadow.score])
        scored = scores[~np.isnan(scores)]
        if 0 < len(scored) < len(scores):
            return "mixed"
        if not len(scored):
            return "classes" if any(label is not None for label in pairs.champion.label) else "scores"
        return "classes" if len(np.unique(scored)) <= MOST_CLASSES else "scores"

    def classes(self) -> tuple[list[str], NDArray[np.int64], NDArray[np.int64]]:
        """The labels there are (or scores that are some), and which one either side gave."""
        sides = [_named(side) for side in (self.champion, self.shadow)]
        names = sorted({name for side in sides for name in side})
        place = {name: n for n, name in enumerate(names)}
        first, second = (np.array([place[name] for name in side], dtype=np.int64) for side in sides)
        return names, first, second

    def agreements(self) -> NDArray[np.int64]:
        """How alike the lists of each pair are, shape (n, 5): ``evidence.lists.PARTS``."""
        lists = zip(self.champion.ranked or (), self.shadow.ranked or (), strict=True)
        found = [list_agreement(ours, theirs) for ours, theirs in lists if ours is not None and theirs is not None]
        return np.array(found, dtype=np.int64).reshape(-1, len(PARTS))

    def evidence(self) -> ShadowEvidence:
        """The same answers as a look at a rollout sees them (``engines.evidence``)."""
        pairs, outputs = self.take(self.compared), self.outputs()
        unmatched = int((~self.compared).sum())
        if outputs == "lists":
            return pairs._of_lists(unmatched)
        bins = self._bins(pairs, outputs)
        placed = (bins[0] >= 0) & (bins[1] >= 0)
        grid, buckets = {}, {}
        for name, where in pairs.places().items():
            here = where & placed
            counts = np.zeros((SCORE_BINS, SCORE_BINS), dtype=np.int64)
            np.add.at(counts, (bins[0][here], bins[1][here]), 1)
            grid[name] = counts
            buckets[name] = np.bincount(pairs.bucket[here], minlength=UNIT_BUCKETS).astype(np.int64)
        shares = self._shares(pairs, placed, bins) if pairs.sampled is not None else {}
        return ShadowEvidence(grid, len(pairs.time), unmatched, buckets, outputs, shares=shares)

    @staticmethod
    def _shares(pairs: Answers, placed: Bools, bins: tuple[NDArray[np.int64], NDArray[np.int64]]) -> dict[int, Sampled]:
        """The pairs that have a place, by the share at which they were copied."""
        assert pairs.sampled is not None
        found: dict[int, Sampled] = {}
        for share in np.unique(pairs.sampled).tolist():
            kept = Sampled()
            for name, where in pairs.places().items():
                here = where & placed & (pairs.sampled == share)
                if here.any():
                    counts = np.zeros((SCORE_BINS, SCORE_BINS), dtype=np.int64)
                    np.add.at(counts, (bins[0][here], bins[1][here]), 1)
                    kept.grid[name] = counts
                    kept.buckets[name] = np.bincount(pairs.bucket[here], minlength=UNIT_BUCKETS).astype(np.int64)
            found[share] = kept
        return found

    def _of_lists(self, unmatched: int) -> ShadowEvidence:
        parts = self.agreements()
        places = self.places().items()
        sums = {name: sums_by_bucket(parts[where], self.bucket[where]) for name, where in places if where.any()}
        return ShadowEvidence({}, len(self.time), unmatched, outputs="lists", lists=sums)

    @staticmethod
    def _bins(pairs: Answers, outputs: Outputs) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        if outputs == "classes" and np.isnan(pairs.champion.score).all():
            _, *sides = pairs.classes()
            first, second = (np.where(side < SCORE_BINS, side, -1) for side in sides)
            return first, second
        return score_bins(pairs.champion.score), score_bins(pairs.shadow.score)


def _named(side: Side) -> list[str]:
    return [f"{score:g}" if label is None else str(label) for score, label in zip(side.score, side.label, strict=True)]
