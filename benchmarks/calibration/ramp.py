"""Releases judged on sums: one cell is a schedule, a population, an outcome and the losses to plant."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.calibration.gate import Gate
from benchmarks.calibration.rivals import NEED_YES_OR_NO, RIVALS, combine
from benchmarks.calibration.series import Series, Sums
from benchmarks.calibration.traffic import Exposures, Population, Schedule, expose
from benchmarks.calibration.verdict import NEVER, Played, Verdict

Outcome = Literal["click", "revenue", "capped revenue", "three", "late"]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NONE, AT_MARGIN, OURS = "none", "margin", "seatrial"
NESTED = (1.0, 0.6, 0.3)
"""Three guardrails: clicks, and the shares of them that are read to the end and that buy."""

ORDER_SPREAD = 1.5
"""Standard deviation of the log of an order's value: one in a hundred is 33 times the median."""

ORDER_CAP = 10.0
"""Ten times the mean; about one order in a hundred is larger."""

SLOW_T, SLOW_C = 0.2, 0.5
"""Shares of "no" that are known only two days later: fewer with the canary, whose labels are written sooner."""

LATE_DAYS = 2.0


class _Release(NamedTuple):
    """What both arms would have done with the same model, and the sums that no planted loss changes."""

    exposures: Exposures
    shown_t: Sums
    clicks_c: Sums
    shown_c: Sums


@dataclass(frozen=True)
class Ramp:
    """A release on one population, at most as good as the champion.

    ``margin``: the relative loss that is tolerable, which is also the plan (information is planned for it);
    ``losses``: relative losses to plant, beside none and the margin itself; ``outcome``: what is counted:

    - click: a share of the exposures;
    - revenue: value per exposure, lognormal with a heavy tail; capped revenue: no order counts for more than ten;
    - three: three nested shares, each a guardrail with the same margin; the first one is harmed;
    - late: clicks known at once, "no" partly two days later, and sooner with the canary. seatrial waits for its
      horizon of two days; the rivals count what is there.
    """

    name: str
    what: str
    units: int
    schedule: Schedule
    margin: float
    losses: tuple[float, ...] = ()
    outcome: Outcome = "click"
    gaussian: bool = False
    alpha: float = 0.05

    @property
    def nulls(self) -> tuple[str, ...]:
        return (NONE,)

    @property
    def margins(self) -> tuple[str, ...]:
        return (AT_MARGIN,)

    @property
    def revenue(self) -> bool:
        return self.outcome in ("revenue", "capped revenue")

    @property
    def effects(self) -> dict[str, float]:
        return {NONE: 0.0, AT_MARGIN: self.margin} | {f"-{loss:.0%}": loss for loss in self.losses}

    @cached_property
    def gate(self) -> Gate:
        parts = len(NESTED) if self.outcome == "three" else 1
        return Gate((self.margin,) * parts, yes_no=not self.revenue)

    @cached_property
    def lag(self) -> int:
        """Looks until an exposure is mature."""
        return round(LATE_DAYS / self.schedule.days * self.schedule.looks) if self.outcome == "late" else 0

    def play(self, rng: np.random.Generator, *, audit: bool = False) -> Played:
        edges = np.array([share for share, _ in self.schedule.stages])
        population = Population.draw(self.units, edges, rng, gaussian=self.gaussian)
        release = self._release(expose(self.schedule, population, rng))
        draws = rng.spawn(1)[0]
        played: dict[tuple[str, str], Verdict] = {}
        for effect, loss in self.effects.items():
            mature, seen = self._metrics(release, loss, draws)
            verdict = self.gate.verdict(mature)
            if audit and self.gate.verdict(mature, every=True) != verdict:
                raise AssertionError(f"{self.name}: the shortcut of gate.py changes a verdict")
            played[effect, OURS] = self._delayed(verdict)
            for name, rival in RIVALS.items():
                if self.gate.yes_no or name not in NEED_YES_OR_NO:
                    calls = combine([rival(s, self.margin) for s in seen])
                    played[effect, name] = calls.verdict()
        return played

    def _release(self, exposures: Exposures) -> _Release:
        def sums(slices: Ints) -> Sums:
            return Sums(slices, self.schedule.strata)

        e = exposures
        return _Release(e, sums(e.clicks_t + e.misses_t), sums(e.clicks_c), sums(e.clicks_c + e.misses_c))

    def _metrics(self, release: _Release, loss: float, rng: np.random.Generator) -> tuple[list[Series], list[Series]]:
        """The metrics as seatrial counts them, and as the rivals do; the same but for late outcomes."""
        clicks = release.exposures.clicks_t
        kept = rng.binomial(clicks, 1 - loss) if loss else clicks
        if self.revenue:
            metrics = [self._revenue(release, kept, rng)]
        else:
            metrics = [self._series(kept, release.shown_t, release.clicks_c, release.shown_c)]
        if self.outcome == "three":
            metrics += [self._nested(release, share, rng) for share in NESTED[1:]]
        if self.outcome == "late":
            return metrics, [self._as_they_come(release, kept, rng)]
        return metrics, metrics

    def _revenue(self, release: _Release, kept: Ints, rng: np.random.Generator) -> Series:
        cap = ORDER_CAP if self.outcome == "capped revenue" else np.inf
        champion = Sums(_orders(release.exposures.clicks_c, cap, rng), self.schedule.strata)
        return self._series(_orders(kept, cap, rng), release.shown_t, champion, release.shown_c)

    def _nested(self, release: _Release, share: float, rng: np.random.Generator) -> Series:
        """A part of the clicks, without the loss: the first guardrail alone takes it."""
        part_t, part_c = (rng.binomial(n, share) for n in (release.exposures.clicks_t, release.exposures.clicks_c))
        return self._series(part_t, release.shown_t, Sums(part_c, self.schedule.strata), release.shown_c)

    def _as_they_come(self, release: _Release, kept: Ints, rng: np.random.Generator) -> Series:
        """Every outcome in the slice in which it became known."""
        e, known = release.exposures, []
        for clicks, misses, slow in ((kept, e.misses_t, SLOW_T), (e.clicks_c, e.misses_c, SLOW_C)):
            waiting = rng.binomial(misses, slow)
            arrived = np.zeros_like(waiting)
            arrived[self.lag :] = waiting[: -self.lag]
            known.append(Sums(clicks + misses - waiting + arrived, self.schedule.strata))
        return self._series(kept, known[0], release.clicks_c, known[1])

    def _series(self, num_t: Ints | Floats, den_t: Sums, num_c: Sums, den_c: Sums) -> Series:
        units = self.schedule.seen(self.units)
        return Series(Sums(num_t, self.schedule.strata), den_t, num_c, den_c, units, self.gate.yes_no)

    def _delayed(self, verdict: Verdict) -> Verdict:
        """The same looks, each taken when its exposures are mature; those after the end of the run are not."""
        later = (when + self.lag / self.schedule.looks for when in verdict)
        return Verdict(*(when if when <= 1 else NEVER for when in later))


def _orders(clicks: Ints, cap: float, rng: np.random.Generator) -> Floats:
    """The value of as many orders as there are clicks, mean 1 each before the cap."""
    flat = clicks.ravel()
    values = rng.lognormal(-(ORDER_SPREAD**2) / 2, ORDER_SPREAD, int(flat.sum()))
    values = np.minimum(values, cap)
    sums: Floats = np.bincount(np.repeat(np.arange(flat.size), flat), values, flat.size).astype(float)
    return sums.reshape(clicks.shape)
