"""A stream of errors watched for a change of its mean, by a window that forgets what came before one."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from seatrial.stats.checks import check_alpha

WIDTH = 5
"""Buckets of each size, as in ADWIN: sizes double, so a million values are some sixty buckets."""

CLOCK = 32
"""Values in the smallest bucket, and between two looks for a cut."""

_BASEL = math.pi**2 / 6


@dataclass(frozen=True, slots=True)
class Bucket:
    """Consecutive values in [0, 1]; ``a + b`` is both together, and ``Bucket()`` the identity."""

    n: int = 0
    total: float = 0.0

    def __add__(self, other: Bucket) -> Bucket:
        return Bucket(self.n + other.n, self.total + other.total)

    def __sub__(self, part: Bucket) -> Bucket:
        return Bucket(self.n - part.n, self.total - part.total)

    @property
    def mean(self) -> float:
        return min(max(self.total / self.n, 0.0), 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The values since the last change, oldest bucket first, and how often a cut has been looked for.

    Immutable: `watched` gives the next one. ``cut_at`` counts the values seen when older ones were last dropped.
    """

    alpha: float = 0.002
    buckets: tuple[Bucket, ...] = ()
    begun: Bucket = Bucket()
    seen: int = 0
    looks: int = 0
    cut_at: int | None = None

    @property
    def whole(self) -> Bucket:
        return sum(self.buckets, self.begun)


def watched(window: Window, values: Iterable[float]) -> Window:
    """The window after these values, each in [0, 1]; ``cut_at`` is set where the mean was shown to have changed.

    Every 32 values each border between two buckets is tried: are both sides likely under one mean? Look k may err with
    probability 6 alpha / (pi k)^2 over all its borders (`parted`), so at a stationary stream the chance of any cut,
    however long it is, is alpha at most: no threshold was set by simulation. ADWIN's own bound does not grow with the
    looks; it alarms sooner, and in the end falsely. Raises ValueError for values outside [0, 1], or alpha outside
    (0, 1). Source: Bifet & Gavalda (2007) for the window.

    >>> calm = watched(Window(), [0, 0, 0, 0, 1] * 400)
    >>> calm.cut_at, watched(calm, [1, 0, 1, 1, 0] * 60).cut_at
    (None, 2080)
    """
    check_alpha(window.alpha)
    buckets, begun = list(window.buckets), window.begun
    seen, looks, cut_at = window.seen, window.looks, window.cut_at
    for value in values:
        if not 0 <= value <= 1:
            raise ValueError(f"errors lie between 0 and 1, not at {value}")
        begun += Bucket(1, float(value))
        seen += 1
        if begun.n == CLOCK:
            buckets.append(begun)
            begun, looks = Bucket(), looks + 1
            _compress(buckets)
            kept = _cut(buckets, window.alpha / (_BASEL * looks**2))
            cut_at = seen if len(kept) < len(buckets) else cut_at
            buckets = kept
    return Window(alpha=window.alpha, buckets=tuple(buckets), begun=begun, seen=seen, looks=looks, cut_at=cut_at)


def parted(old: Bucket, young: Bucket) -> float:
    """A bound of the probability that means lie as far apart as these, where both sides have one mean.

    With kl the relative entropy of two rates and p the mean of both, n kl(mean, p) summed over both sides is at most
    2 ln 2 plus a gamma variable of shape 2: each side alone is beyond x with probability 2 exp(-x) at most, for any
    independent values in [0, 1]. Raises ValueError for an empty side. Source: Hoeffding (1963), theorem 1.

    >>> round(parted(Bucket(200, 20), Bucket(100, 20)), 4)
    0.606
    """
    if not (old.n and young.n):
        raise ValueError("a border has values on both sides")
    together = (old + young).mean
    evidence = sum(side.n * _relative_entropy(side.mean, together) for side in (old, young))
    beyond = max(evidence - 2 * math.log(2), 0.0)
    return (1 + beyond) * math.exp(-beyond)


def _relative_entropy(p: float, q: float) -> float:
    """Of two rates, in nats; ``q`` lies between the rates that it is the mean of."""
    return sum(a * math.log(a / b) for a, b in ((p, q), (1 - p, 1 - q)) if a > 0)


def _compress(buckets: list[Bucket]) -> None:
    """At most `WIDTH` buckets of a size: the two oldest of a size become one of the next."""
    size, end = CLOCK, len(buckets)
    while True:
        first = end
        while first > 0 and buckets[first - 1].n == size:
            first -= 1
        if end - first <= WIDTH:
            return
        buckets[first : first + 2] = [buckets[first] + buckets[first + 1]]
        size, end = 2 * size, first + 1


def _cut(buckets: list[Bucket], alpha: float) -> list[Bucket]:
    """What is left after the youngest border at which the means part; all of it if they do not."""
    young, whole = Bucket(), sum(buckets, Bucket())
    for border in range(len(buckets) - 1, 0, -1):
        young += buckets[border]
        if parted(whole - young, young) * (len(buckets) - 1) <= alpha:
            return buckets[border:]
    return buckets
