"""Sample ratio: is a split as planned ever called wrong, and a broken one found? Alpha is .001 over all looks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from benchmarks.calibration.traffic import Floats, Ints, Schedule
from benchmarks.calibration.verdict import Calls, Played, Verdict
from seatrial.stats.srm import alarms, sample_ratio_log_e


@dataclass(frozen=True)
class Split:
    """New units on a ramp. ``leaks``: share of the canary's units that get lost on the way; ``exposures`` each."""

    name: str
    what: str
    units: int
    schedule: Schedule
    leaks: tuple[float, ...]
    alpha: float = 0.001

    @property
    def nulls(self) -> tuple[str, ...]:
        return ("none",)

    @property
    def margins(self) -> tuple[str, ...]:
        return ()

    @property
    def effects(self) -> dict[str, float]:
        return {"none": 0.0} | {f"{leak:.0%} lost": leak for leak in self.leaks}

    def play(self, rng: np.random.Generator, *, audit: bool = False) -> Played:
        share = np.array([s for s, _ in self.schedule.stages])
        mean = np.diff(self.schedule.seen(self.units), prepend=0.0)
        played: dict[tuple[str, str], Verdict] = {}
        for effect, leak in self.effects.items():
            planned = share[self.schedule.stage]
            x, y = rng.poisson(mean * planned * (1 - leak)), rng.poisson(mean * (1 - planned))
            repeats = rng.poisson(rng.gamma(3.0, self.schedule.exposures / 3.0, int(x.sum() + y.sum()))) + 1
            for name, calls in self._methods(x, y, repeats, share).items():
                played[effect, name] = Verdict(calls.verdict().failed, math.nan)
        return played

    def _methods(self, x: Ints, y: Ints, repeats: Ints, share: Floats) -> dict[str, Calls]:
        requests = _split(repeats, x, y)
        planned = share[self.schedule.stage]
        seen, canary = np.cumsum(x + y), np.cumsum(x)
        by_phase = _chi_squared(canary, seen, np.cumsum((x + y) * planned) / seen)
        return {
            "seatrial": self._e_process(x, y, share),
            "e-process, requests": self._e_process(*requests, share),
            "chi2 peeking at .001": _worse(by_phase < 0.001),
            "chi2 peeking at .05": _worse(by_phase < 0.05),
            "chi2 at .001, present split": _worse(_chi_squared(canary, seen, planned) < 0.001),
        }

    def _e_process(self, x: Ints, y: Ints, share: Floats) -> Calls:
        stage = self.schedule.stage
        by_phase = stage == np.arange(len(share))[:, None]
        x_h, y_h = np.cumsum(by_phase * x, axis=1), np.cumsum(by_phase * y, axis=1)
        log_e = (sample_ratio_log_e(a, a + b, share) for a, b in zip(x_h.T, y_h.T, strict=True))
        return _worse(np.array([alarms(e, self.alpha) for e in log_e]))


def _split(repeats: Ints, x: Ints, y: Ints) -> tuple[Ints, Ints]:
    """All requests of each unit, counted in the slice in which it was first seen."""
    ends = np.cumsum(np.concatenate([x, y]))
    upto = np.concatenate([[0], np.cumsum(repeats)])[np.concatenate([[0], ends])]
    requests = np.diff(upto)
    return requests[: len(x)], requests[len(x) :]


def _chi_squared(canary: Ints, seen: Ints, share: Floats) -> Floats:
    """p-value of Pearson's test of the canary's units so far against a share."""
    with np.errstate(all="ignore"):
        statistic = (canary - seen * share) ** 2 / (seen * share * (1 - share))
    p: Floats = chdtrc(1, np.nan_to_num(statistic))
    return p


def _worse(worse: NDArray[np.bool_]) -> Calls:
    return Calls(worse, np.zeros(len(worse), bool))
