"""Agreement of two ranked lists of the same query, and the quality of one where grades are known.

A list is a sequence of distinct ids, best first; lists may differ in their members and in length. Agreement is not
quality: a better ranker may well order differently. Nothing here is ever NaN: where a number does not exist it is None.
"""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Ranked = Sequence[Hashable]


def rbo(first: Ranked, second: Ranked, p: float = 0.9) -> float | None:
    """Rank-biased overlap, extrapolated: 0 for disjoint lists, 1 for identical ones, the top counting most.

    ``p`` is how likely a reader goes on to the next rank: with .9 the first ten ranks have 86% of the weight. Lists of
    different length are extrapolated as the paper has it. None for two empty lists; 0.0 if only one is empty, because a
    ranker that answers nothing agrees with nobody. Raises ValueError for a list with an id twice, or p outside (0, 1).
    Source: Webber, Moffat & Zobel (2010, eq. 32), written as one minus the disagreement, so that identical lists give
    exactly 1.0.

    >>> rbo("abcd", "abcd"), round(rbo("abcdefg", "acbd", p=0.8), 9), rbo("ab", "cd")
    (1.0, 0.92, 0.0)
    """
    _distinct(first, second)
    if not 0 < p < 1:
        raise ValueError(f"p must be between 0 and 1, not {p}")
    short, long = sorted((first, second), key=len)
    if not short:
        return 0.0 if long else None
    apart = [1 - agreement for agreement in _agreements(short, long)]
    near = (1 - p) * math.fsum(gap * p**depth for depth, gap in enumerate(apart))
    return max(0.0, 1 - near - apart[-1] * p ** len(apart))


def topk_overlap(first: Ranked, second: Ranked, k: int) -> float | None:
    """Share of the ``k`` best of both lists that they have in common, in any order.

    Of lists shorter than k the longer one's length is the whole, so what one ranker lacks counts as disagreement. None
    for two empty lists. Raises ValueError for a list with an id twice, or k below 1.

    >>> topk_overlap("abcd", "badc", 2), topk_overlap("abcd", "ab", 10)
    (1.0, 0.5)
    """
    _distinct(first, second)
    _check_depth(k)
    whole = min(k, max(len(first), len(second)))
    return len({*first[:k]} & {*second[:k]}) / whole if whole else None


def kendall(first: ArrayLike, second: ArrayLike) -> float | None:
    """Kendall's tau-b of paired scores, shape (n,) each: concordant minus discordant pairs, corrected for ties.

    Identical orders give exactly 1.0. None where there is no correlation to speak of: fewer than two pairs, or all
    scores of one side equal. Raises ValueError for different lengths or scores that are not finite.
    Source: Kendall (1945); counted as in Knight (1966).

    >>> kendall([1, 2, 3], [10, 20, 30]), kendall([3, 2, 1, 1], [1, 2, 3, 3]), kendall([1, 2], [5, 5]) is None
    (1.0, -1.0, True)
    """
    x, y = _scores(first), _scores(second)
    if x.size != y.size:
        raise ValueError(f"scores come in pairs, not {x.size} and {y.size}")
    pairs = sorted(zip(x.tolist(), y.tolist(), strict=True))
    every = math.comb(len(pairs), 2)
    untied_x, untied_y = every - _tied(a for a, _ in pairs), every - _tied(b for _, b in pairs)
    if not (untied_x and untied_y):
        return None
    balance = untied_x + untied_y - every + _tied(pairs) - 2 * _inversions(b for _, b in pairs)
    return max(-1.0, min(1.0, balance / math.sqrt(untied_x * untied_y)))


def kendall_common(
    first: Ranked, second: Ranked, scores: tuple[Sequence[float], Sequence[float]] | None = None
) -> float | None:
    """Kendall's tau of the ids that both lists hold, by their order in each; None for fewer than two of them.

    ``scores``: what each ranker gave its ids, in the order of its list; then ids of equal score are tied, and a ranker
    that gives all of them the same has no order to agree with (None). What only one list holds is not in it: read it
    beside :func:`topk_overlap`. Raises ValueError for a list with an id twice, or with another number of scores.

    >>> kendall_common("abxc", "acyb"), kendall_common("ab", "bc") is None
    (0.3333333333333333, True)
    >>> kendall_common("abc", "abc", ([3, 2, 1], [5, 5, 5])) is None
    True
    """
    _distinct(first, second)
    orders = scores or (range(0, -len(first), -1), range(0, -len(second), -1))
    worth = dict(zip(second, orders[1], strict=True))
    common = [(mine, worth[item]) for item, mine in zip(first, orders[0], strict=True) if item in worth]
    return kendall([mine for mine, _ in common], [theirs for _, theirs in common])


def ndcg(grades: ArrayLike, scores: ArrayLike, k: int | None = None) -> float | None:
    """Normalised discounted cumulative gain at ``k`` of one query: the ranking by ``scores`` against the best one.

    ``grades`` of the judged items (0 and more; a click is 1) and the ranker's scores of them, shape (n,) each; for a
    list the negative rank is the score. The gain is linear, the discount ``1 / log2(rank + 1)``. Items of equal score
    share the mean of their gains, so constant scores have the expected value of a random order and no luck. None where
    no grade is above 0: there is nothing to find. Raises ValueError for different lengths, grades below 0 or k below 1.
    Source: Järvelin & Kekäläinen (2002); ties as in McSherry & Najork (2008).

    >>> ndcg([1, 0, 0], [3, 2, 1]), round(ndcg([0, 0, 1], [3, 2, 1]), 3), round(ndcg([1, 0, 0], [5, 5, 5]), 3)
    (1.0, 0.5, 0.71)
    """
    gains, order = _scores(grades), _scores(scores)
    if gains.size != order.size or np.any(gains < 0):
        raise ValueError("every item has one score and one grade of 0 or more")
    if k is not None:
        _check_depth(k)
    discounts = 1 / np.log2(np.arange(gains.size) + 2)
    discounts[gains.size if k is None else k :] = 0
    best = float(np.sort(gains)[::-1] @ discounts)
    if best <= 0:
        return None
    _, group, size = np.unique(-order, return_inverse=True, return_counts=True)
    mean = np.bincount(group, weights=gains) / size
    found = float(np.repeat(mean, size) @ discounts)
    return min(1.0, found / best)


def ndcg_of_clicks(ranked: Ranked, clicked: Collection[Hashable], k: int) -> float | None:
    """NDCG at ``k`` of a list that somebody saw, judged by what they clicked: 1 if the clicks are at the top.

    A click is a grade of 1, and one on what the first ``k`` do not hold is found by nobody. None without clicks: there
    is nothing to find. Users look at the top first, so clicks favour the list that they were made on.
    Raises ValueError for a list with an id twice, or k below 1. Source: Järvelin & Kekäläinen (2002).

    >>> ndcg_of_clicks("abc", "a", 10), ndcg_of_clicks("abc", "x", 10), ndcg_of_clicks("abc", "", 10) is None
    (1.0, 0.0, True)
    >>> round(ndcg_of_clicks("abc", "bc", 10), 3)
    0.693
    """
    _distinct(ranked)
    _check_depth(k)
    wanted = {*clicked}
    if not wanted:
        return None
    found = math.fsum(discount(place) for place, item in enumerate(ranked[:k]) if item in wanted)
    return found / math.fsum(discount(place) for place in range(min(len(wanted), k)))


def discount(place: int) -> float:
    """What an item at a place is worth, counted from 0.

    >>> discount(0), discount(2)
    (1.0, 0.5)
    """
    return 1 / math.log2(place + 2)


def _agreements(short: Ranked, long: Ranked) -> list[float]:
    """Overlap over depth at each depth of the longer list, the shorter one extrapolated beyond its end."""
    seen: tuple[set[Hashable], set[Hashable]] = (set(), set())
    found, common, end = [], 0, len(short)
    at_end = 0
    for depth, item in enumerate(long, 1):
        seen[1].add(item)
        common += item in seen[0]
        if depth <= end:
            seen[0].add(short[depth - 1])
            common += short[depth - 1] in seen[1]
            at_end = common
        found.append((common + at_end * max(0, depth - end) / end) / depth)
    return found


def _distinct(*lists: Ranked) -> None:
    for ranked in lists:
        if len({*ranked}) < len(ranked):
            twice = next(item for item, times in Counter(ranked).items() if times > 1)
            raise ValueError(f"a ranked list holds {twice!r} twice")


def _check_depth(k: int) -> None:
    if k < 1:
        raise ValueError(f"k must be 1 or more, not {k}")


def _scores(given: ArrayLike) -> NDArray[np.float64]:
    scores = np.asarray(given, dtype=np.float64)
    if scores.ndim != 1 or not np.all(np.isfinite(scores)):
        raise ValueError("scores are one-dimensional and finite")
    return scores


def _tied(values: Iterable[object]) -> int:
    """Pairs of equal values."""
    return sum(math.comb(times, 2) for times in Counter(values).values())


def _inversions(values: Iterable[float]) -> int:
    """Pairs whose first value is the larger one."""
    before: list[float] = []
    found = 0
    for value in values:
        found += len(before) - bisect_right(before, value)
        insort(before, value)
    return found
