"""What the versions of a rollout answer with, scores or class labels, and each answer's place on the shadow grid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from seatrial.evidence.answers import MOST_CLASSES
from seatrial.evidence.scores import SCORE_BINS, score_bins
from seatrial.evidence.snapshot import Outputs
from seatrial.evidence.tally import TOTAL


def primary(part: pa.Table) -> pa.Array:
    """Rows that the assigned version itself answered."""
    return pc.fill_null(pc.and_(pc.invert(part["error"]), pc.is_null(part["error_kind"])), False)


class Answers:
    """Learns labels as they come, and puts them in order where they are handed out: so nothing depends on looks."""

    def __init__(self) -> None:
        self._labels: dict[str, int] = {}
        self._scores: set[float] = set()

    def learn(self, parts: Iterable[pa.Table]) -> None:
        """Everything that came since the last time, in any order."""
        for part in parts:
            part = part.filter(primary(part))
            if len(self._scores) <= MOST_CLASSES:
                self._scores.update(pc.unique(part["score"].drop_null()).to_pylist()[: MOST_CLASSES + 1])
            for label in pc.unique(part.filter(pc.is_null(part["score"]))["label"].drop_null()).to_pylist():
                self._labels.setdefault(label, len(self._labels))

    @property
    def empty(self) -> bool:
        """Whether neither a label nor a score has been seen."""
        return not (self._labels or self._scores)

    @property
    def outputs(self) -> Outputs:
        """What has been seen so far; scores while nothing has."""
        if self._labels and self._scores:
            return "mixed"
        return "classes" if self._labels or 0 < len(self._scores) <= MOST_CLASSES else "scores"

    def in_order(
        self, grids: Mapping[str, NDArray[np.int64]], whole: NDArray[np.int64] | None = None
    ) -> dict[str, NDArray[np.int64]]:
        """Grids with the labels that occur in the ``whole`` (their total) in alphabetical order; of scores, as they
        are.
        """
        whole = grids.get(TOTAL) if whole is None else whole
        if not self._labels or whole is None:
            return dict(grids)
        used = np.flatnonzero(whole.any(axis=0) | whole.any(axis=1)).tolist()
        name = {place: label for label, place in self._labels.items()}
        used.sort(key=lambda place: name.get(place, ""))
        ordered = {segment: np.zeros_like(grid) for segment, grid in grids.items()}
        for segment, grid in grids.items():
            ordered[segment][: len(used), : len(used)] = grid[np.ix_(used, used)]
        return ordered

    def bins(self, scores: NDArray[np.float64], labels: pa.ChunkedArray) -> NDArray[np.int64]:
        """Bin of each answer, -1 for none: that of its score or, without one, of its label (the first 128)."""
        bins = score_bins(scores)
        if self._labels:
            known = np.array([self._labels.get(label, SCORE_BINS) for label in labels.to_pylist()], dtype=np.int64)
            bins = np.where(np.isnan(scores) & (known < SCORE_BINS), known, bins)
        return bins
