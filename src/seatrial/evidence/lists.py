"""How alike two ranked lists of the same request are, as whole millionths that add up exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from seatrial.evidence.tally import MICRO, UNIT_BUCKETS
from seatrial.stats.agreement import effective_units
from seatrial.stats.lists import kendall_common, rbo, topk_overlap
from seatrial.stats.ranking_mean import mean_by_units

TOP_K = 10
"""How many of each list the overlap is of."""

PARTS = ("pairs", "rbo", "top_k", "tau_pairs", "tau")
"""Columns of the sums: pairs, their RBO and overlap, and Kendall's tau of the pairs that have one."""


ListStatistic = Literal["rbo", "topK", "kendall"]
"""Rank-biased overlap at p = .9, the share of the first ten in common, Kendall's tau of the items in common."""

_COLUMNS: Mapping[ListStatistic, tuple[str, str, float]] = {
    "rbo": ("pairs", "rbo", 0.0),
    "topK": ("pairs", "top_k", 0.0),
    "kendall": ("tau_pairs", "tau", -1.0),
}


@dataclass(frozen=True, slots=True)
class ListMean:
    """A mean over pairs of lists with its standard error; ``units``: what the pairs are worth; ``least``: the lowest
    value there is."""

    value: float
    error: float
    pairs: int
    units: float
    least: float


@dataclass(frozen=True, slots=True)
class RankedList:
    """Ids, best first, and what each was given, where that is known."""

    items: Sequence[str]
    scores: Sequence[float] | None = None


def list_agreement(first: RankedList, second: RankedList) -> list[int]:
    """``PARTS`` of one pair. Where only one side tells scores, neither counts: then the order of each is all there is.

    >>> list_agreement(RankedList("abc"), RankedList("abc"))
    [1, 1000000, 1000000, 1, 1000000]
    >>> list_agreement(RankedList("ab"), RankedList("cd"))
    [1, 0, 0, 0, 0]
    """
    scores = None if first.scores is None or second.scores is None else (first.scores, second.scores)
    tau = kendall_common(first.items, second.items, scores)
    overlap, top = rbo(first.items, second.items), topk_overlap(first.items, second.items, TOP_K)
    return [1, _micro(overlap), _micro(top), int(tau is not None), _micro(tau)]


def list_mean(sums: NDArray[np.int64], statistic: ListStatistic) -> ListMean | None:
    """One statistic over all pairs that have it, of sums by unit bucket; None where no pair has it.

    >>> sums = sums_by_bucket(np.array([[1, 1_000_000, 900_000, 0, 0]] * 4), np.arange(4))
    >>> list_mean(sums, "rbo").value, list_mean(sums, "topK").value, list_mean(sums, "kendall") is None
    (1.0, 0.9, True)
    """
    of, name, least = _COLUMNS[statistic]
    count, total = sums[:, PARTS.index(of)], sums[:, PARTS.index(name)]
    units = effective_units(count)
    found, pairs = mean_by_units(count, total / MICRO, units, least=least), int(count.sum())
    # Of whole numbers, so that it is the same however they were added up.
    return None if found is None else ListMean(int(total.sum()) / (MICRO * pairs), found[1], pairs, units, least)


def sums_by_bucket(parts: NDArray[np.int64], bucket: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows of ``PARTS`` added up by unit bucket, shape (256, 5)."""
    sums = np.zeros((UNIT_BUCKETS, len(PARTS)), dtype=np.int64)
    np.add.at(sums, bucket, parts)
    return sums


def _micro(value: float | None) -> int:
    return 0 if value is None else round(value * MICRO)
