"""Made-up users who search: rankers that know relevance more or less well, and clicks that follow it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

import seatrial as st
from seatrial.interleaving import Item

DOCUMENTS, RELEVANT, PAGE = 20, 5, 10
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Search:
    """A catalogue of queries, and rankers that know its relevance but for ``noise``, drawn anew for each page."""

    def __init__(self, seed: int, queries: int = 30) -> None:
        self._rng = np.random.default_rng(seed)
        self._salt = f"search-{seed}"
        self._relevance = np.zeros((queries, DOCUMENTS))
        for row in self._relevance:
            row[self._rng.choice(DOCUMENTS, RELEVANT, replace=False)] = 1.0

    def log(self, champion: float, candidate: float | None, *, users: int, searches: int = 3) -> list[dict[str, Any]]:
        """The rows a service would have logged; without a candidate of its own the champion is both rankers.

        Some users search once, some many times.
        """
        rows = []
        for user in range(users):
            for _ in range(1 + self._rng.poisson(searches - 1)):
                query = int(self._rng.integers(len(self._relevance)))
                before = self._ranked(query, champion)
                after = before if candidate is None else self._ranked(query, candidate)
                shown = st.interleave(before, after, salt=self._salt, unit=f"u{user}", query=f"q{query}", length=PAGE)
                rows.append(shown.row(self._clicks(query, shown.items), time=NOON))
        return rows

    def _ranked(self, query: int, noise: float) -> list[int]:
        scores = self._relevance[query] + self._rng.normal(0, noise, DOCUMENTS)
        ranked: list[int] = np.argsort(-scores)[:PAGE].tolist()
        return ranked

    def _clicks(self, query: int, items: Sequence[Item]) -> Iterator[Item]:
        """Down the page: look at the next one or go, click what looks relevant, and often be content with it."""
        luck = self._rng.random((len(items), 3))
        for item, (patience, interest, content) in zip(items, luck, strict=True):
            if patience > 0.9:
                return
            if interest < 0.05 + 0.4 * self._relevance[query, int(item)]:
                yield item
                if content < 0.5:
                    return
