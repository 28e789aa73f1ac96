"""A column of categories as counts: what a reference is kept as, instead of its data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

NAMED = 50
"""Categories of the reference with a bin of their own, the most frequent first; all others are one bin."""


@dataclass(frozen=True, slots=True)
class Categories:
    """Counts of a column's values by category, and how many are missing. ``a + b`` is both together.

    Associative and commutative, with ``Categories()`` as identity.

    >>> Categories({"a": 2}) + Categories({"a": 1, "b": 3}, missing=1)
    Categories(counts={'a': 3, 'b': 3}, missing=1)
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    missing: int = 0

    @property
    def n(self) -> int:
        """Values that are there."""
        return sum(self.counts.values())

    def __add__(self, other: Categories) -> Categories:
        both = Counter(self.counts)
        both.update(other.counts)
        return Categories(dict(both), self.missing + other.missing)

    def __sub__(self, part: Categories) -> Categories:
        """The rest without a part of it. Raises ValueError for what is no part."""
        rest = Counter(self.counts)
        rest.subtract(part.counts)
        if self.missing < part.missing or any(count < 0 for count in rest.values()):
            raise ValueError("only a part can be taken away")
        return Categories({name: n for name, n in rest.items() if n}, self.missing - part.missing)


def named(reference: Categories) -> tuple[str, ...]:
    """The categories of a reference that get a bin, by count and then by name.

    >>> named(Categories({"b": 1, "a": 1, "c": 5}))
    ('c', 'a', 'b')
    """
    return tuple(sorted(reference.counts, key=lambda name: (-reference.counts[name], name))[:NAMED])


def binned(column: Categories, names: tuple[str, ...]) -> NDArray[np.float64]:
    """Counts by these names, and of all other values in a last bin; shape (len(names) + 1,).

    >>> binned(Categories({"a": 2, "new": 3}), ("a", "b")).tolist()
    [2.0, 0.0, 3.0]
    """
    own = [column.counts.get(name, 0) for name in names]
    return np.array([*own, column.n - sum(own)], dtype=np.float64)
