"""One comparison of a simulated release: its cells, and its effect after every slot in a few array operations.

The effect repeats ``stats.clustered.stratified_effect`` for all slots at once. It only says which looks are worth
taking; what a look finds comes from the real function on the real cells.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from seatrial.evidence.tally import COUNT, TOTAL, UNIT_BUCKETS, Cell, Sums
from seatrial.ids import Arm
from seatrial.rollout.simulate.feed import Floats, Grid, Ints

_ROUND_OFF = 2e-12
"""A standard error below this share of the rates is rounding (stats.clustered has the same rule)."""


class Path:
    """The effect over the strata since some phase: arrays over all slots, NaN where there is none.

    ``count``: exposures of the treatment; ``rate``: the champion's weighted rate.
    """

    def __init__(self, slots: int) -> None:
        self.estimate, self.variance, self.count, self.rate = np.full((4, slots), np.nan)
        self._closed = _Parts.none(1)
        self._open = _Parts.none(1)
        self._window = _Parts.none(0)
        self._before = _Parts.none(0)

    def extend(self, start: int, parts: _Parts, strata: Ints, ends: Ints, *, log: bool, continued: bool) -> None:
        """Add the slots from ``start`` on. ``strata`` numbers the stratum of each, ``ends`` is each one's last slot."""
        closed = self._closed if continued else self._closed + self._open
        before = (closed + parts.at(ends).summed().shifted()).at(strata)
        self._window, self._before = parts, before
        total = before + parts
        stop = start + len(strata)
        with np.errstate(all="ignore"):
            rate = total.weighted / total.weight[:, None]
            by = total.weighted if log else np.stack([total.weight, total.weight], axis=1)
            psi = total.influence[:, 1] / by[:, 1:] - total.influence[:, 0] / by[:, :1]
            variance = UNIT_BUCKETS / (UNIT_BUCKETS - 1) * np.einsum("sb,sb->s", psi, psi)
            noise = _ROUND_OFF * (1.0 if log else np.abs(rate).sum(axis=1))
            estimate = np.log(rate[:, 1]) - np.log(rate[:, 0]) if log else rate[:, 1] - rate[:, 0]
        self.estimate[start:stop] = np.where(np.isfinite(estimate), estimate, np.nan)
        self.variance[start:stop] = np.where(variance > noise * noise, variance, np.nan)
        self.count[start:stop], self.rate[start:stop] = total.count, rate[:, 0]

    def settle(self, start: int, kept: int) -> None:
        """Keep the first slots of what was added last."""
        if kept:
            self._closed, self._open = self._before.at([kept - 1]), self._window.at([kept - 1])
        for values in (self.estimate, self.variance, self.count, self.rate):
            values[start + kept : start + len(self._window.weight)] = np.nan


@dataclass(frozen=True, slots=True)
class _Parts:
    """What strata contribute to an effect; first axis: slots, arms are champion and treatment.

    ``weight`` W, ``weighted`` W R of each arm, ``influence`` W (num - R den) / D by arm and unit bucket.
    """

    weight: Floats
    weighted: Floats
    influence: Floats
    count: Floats

    @classmethod
    def none(cls, slots: int) -> _Parts:
        influence = np.zeros((slots, 2, UNIT_BUCKETS))
        return cls(np.zeros(slots), np.zeros((slots, 2)), influence, np.zeros(slots))

    @classmethod
    def of(cls, sums: Ints) -> _Parts:
        """Of strata as far as they are known after each slot: shape (slots, 2, 256, 3)."""
        num, den = sums[..., 1].astype(np.float64), sums[..., 2].astype(np.float64)
        total = den.sum(axis=2)
        both = (total > 0).all(axis=1)
        total[~both] = 1.0
        weight = np.where(both, total[:, 0] * total[:, 1] / (total[:, 0] + total[:, 1]), 0.0)
        rates = num.sum(axis=2) / total
        influence = (weight[:, None] / total)[:, :, None] * (num - rates[:, :, None] * den)
        return cls(weight, weight[:, None] * rates, influence, sums[:, 1, :, COUNT].sum(axis=1) * both.astype(float))

    def __add__(self, other: _Parts) -> _Parts:
        return _Parts(
            self.weight + other.weight,
            self.weighted + other.weighted,
            self.influence + other.influence,
            self.count + other.count,
        )

    def at(self, index: Ints | list[int]) -> _Parts:
        return _Parts(self.weight[index], self.weighted[index], self.influence[index], self.count[index])

    def summed(self) -> _Parts:
        return _Parts(*(np.cumsum(a, axis=0) for a in (self.weight, self.weighted, self.influence, self.count)))

    def shifted(self) -> _Parts:
        """The one before at each place, nothing at the first."""
        arrays = (self.weight, self.weighted, self.influence, self.count)
        return _Parts(*(np.concatenate([np.zeros_like(a[:1]), a[:-1]]) for a in arrays))


class _Block(NamedTuple):
    """Sums of one stratum since it began, after each slot from ``first`` on; ``base`` are those before that slot."""

    phase: int
    time: int
    first: int
    sums: Ints
    base: Ints

    def goes_on(self, phase: int, time: int, slot: int) -> bool:
        return (self.phase, self.time, self.first + len(self.sums)) == (phase, time, slot)


class Track:
    """One metric of champion and treatment, grown window by window.

    ``log``: relative margins. ``slots``: as many as the release can have. ``delay``: slots until an exposure matures.
    ``whole`` is the effect over the release, ``epoch`` that since the last strike; before one they are the same.
    """

    def __init__(self, grid: Grid, treatment: Arm, *, log: bool, slots: int, delay: int) -> None:
        self.delay = delay
        self._grid, self._treatment, self._log, self._slots = grid, treatment, log, slots
        self.whole = self.epoch = Path(slots)
        self.open = np.full((2, slots), np.nan)
        """Exposures of the treatment and their sum (millionths) in the stratum that is open after each slot."""
        self._cells: dict[Cell, Sums] = {}
        self._blocks: list[_Block] = []
        self._pending: list[_Block] = []
        self._start = 0

    def begin_epoch(self) -> None:
        self.epoch = Path(self._slots)

    def extend(self, phase: int, start: int, sums: Ints) -> None:
        """What slots from ``start`` on bring; nothing is settled yet."""
        times = self._grid.strata(start, start + len(sums))
        fresh = np.concatenate([[True], times[1:] != times[:-1]])
        strata = np.cumsum(fresh) - 1
        starts = np.flatnonzero(fresh)
        ends = np.append(starts[1:], len(sums)) - 1
        last = self._blocks[-1] if self._blocks else None
        continued = last is not None and last.goes_on(phase, int(times[0]), start)
        grown = sums.copy() if len(ends) == len(sums) else _within(sums, strata, ends)
        nothing = np.zeros_like(grown[0])
        base = last.sums[-1] if continued and last is not None else nothing
        grown[: ends[0] + 1] += base
        self.open[:, start : start + len(sums)] = grown[:, 1, :, :2].sum(axis=1).T
        parts = _Parts.of(grown)
        for path in {id(p): p for p in (self.whole, self.epoch)}.values():
            path.extend(start, parts, strata, ends, log=self._log, continued=continued)
        self._start = start
        self._pending = [
            _Block(phase, int(times[a]), start + int(a), grown[a : b + 1], nothing if a else base)
            for a, b in zip(starts, ends, strict=True)
        ]

    def settle(self, kept: int) -> None:
        """Keep the first slots of what was added last."""
        for path in {id(p): p for p in (self.whole, self.epoch)}.values():
            path.settle(self._start, kept)
        stop = self._start + kept
        self.open[:, stop : self._start + sum(len(b.sums) for b in self._pending)] = np.nan
        self._blocks += [b._replace(sums=b.sums[: stop - b.first]) for b in self._pending if b.first < stop]
        self._pending = []

    def matured(self, look: int) -> int:
        """How many slots are mature at a look."""
        return max(look - self.delay, 0)

    def cells(self, look: int) -> dict[Cell, Sums]:
        """Everything that is mature at a look; looks never go back."""
        known = self.matured(look)
        while len(self._blocks) > 1 and self._blocks[0].first + len(self._blocks[0].sums) <= known:
            block = self._blocks.pop(0)
            self._cells.update(self._cells_of(block, len(block.sums)))
        found = dict(self._cells)
        for block in (*self._blocks, *self._pending):
            if known > block.first:
                found.update(self._cells_of(block, min(known - block.first, len(block.sums))))
        return found

    def immature(self, look: int) -> dict[tuple[int, Arm], int]:
        """Exposures that a look cannot count yet, by phase and arm."""
        known, counts = self.matured(look), dict[tuple[int, Arm], int]()
        for block in (*self._blocks, *self._pending):
            until = min(look - block.first, len(block.sums))
            if until <= 0 or known >= block.first + until:
                continue
            mature = block.sums[known - block.first - 1] if known > block.first else block.base
            waiting = (block.sums[until - 1] - mature)[..., COUNT].sum(axis=1)
            for arm, n in zip(self._arms(), waiting, strict=True):
                counts[block.phase, arm] = counts.get((block.phase, arm), 0) + int(n)
        return counts

    def _arms(self) -> tuple[Arm, Arm]:
        return "champion", self._treatment

    def _cells_of(self, block: _Block, slots: int) -> Iterator[tuple[Cell, Sums]]:
        for n, arm in enumerate(self._arms()):
            sums = block.sums[slots - 1, n]
            if sums[:, COUNT].any():
                yield Cell(block.phase, block.time, TOTAL, arm), sums.copy()


def _within(sums: Ints, strata: Ints, ends: Ints) -> Ints:
    """Sums since each one's stratum began."""
    grown = np.cumsum(sums, axis=0)
    before: Ints = np.concatenate([np.zeros_like(grown[:1]), grown[ends[:-1]]])
    return grown - before[strata]
