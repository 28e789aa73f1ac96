"""Rare errors on a ramp: units that fail at every visit, judged exactly on first events, and by those who count all."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from benchmarks.calibration.gate import BEGIN, start
from benchmarks.calibration.traffic import ACTIVITY_SHAPE, Floats, Ints, Schedule
from benchmarks.calibration.verdict import NEVER, Calls, Played, Verdict
from seatrial.evidence.facts import UnitCounts
from seatrial.evidence.snapshot import Evidence
from seatrial.ids import CANARY, CHAMPION, Arm
from seatrial.rollout.gates import judge
from seatrial.rollout.metric import Metric
from seatrial.rollout.plan import Plan, Step
from seatrial.rollout.stages import Stage
from seatrial.rollout.state import Phase
from seatrial.stats.counts import harm_grid, rate_ratio_log_e
from seatrial.stats.proportions import two_proportion_z
from seatrial.values import Margin, Share

ERRORS = "errors"
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Visits:
    """Visits of the units that can fail, and when how many units had been in each arm.

    ``canary``, ``champion``: shape (units, looks), visits in that arm; ``always``: units that fail in both arms, the
    others fail in the canary alone; ``seen_t``, ``seen_c``: distinct units of each arm up to each look.
    """

    canary: Ints
    champion: Ints
    always: Bools
    seen_t: Ints
    seen_c: Ints


@dataclass(frozen=True, eq=False)
class Counts:
    """What a gate reads of rare events. ``first_events``: per unit that fails, the look of its first event if that was
    in the canary, and if in the champion (or past the end); the rest: distinct units up to each look."""

    first_events: tuple[Ints, Ints]
    touched_t: Ints
    touched_c: Ints
    seen_t: Ints
    seen_c: Ints

    def may_pass(self, look: int, margin: float) -> bool:
        """False where even an interval narrower than any valid one reaches the margin: 2.2 standard errors an arm.

        That is what one look alone would need at alpha / 2 an arm; without events, three over the number of units.
        """
        n_t, n_c = float(self.seen_t[look]), float(self.seen_c[look])
        if not (n_t and n_c):
            return False
        p_t, p_c = self.touched_t[look] / n_t, self.touched_c[look] / n_c
        above = max(2.2 * math.sqrt(p_t * (1 - p_t) / n_t), 3 / n_t)
        below = min(2.2 * math.sqrt(p_c * (1 - p_c) / n_c), p_c)
        return bool(p_t + above - (p_c - below) < margin)


@dataclass(frozen=True)
class Failing:
    """A share of the units (``failing``) meets errors in either arm: at ``every_visit``, day after day, or only once.

    ``margin``: how much larger the canary's share of such units may be (absolute, 0.01 is 1pp).
    """

    name: str
    what: str
    units: int
    schedule: Schedule
    failing: float
    margin: float
    every_visit: bool = True
    alpha: float = 0.05

    @property
    def nulls(self) -> tuple[str, ...]:
        return ("none",)

    @property
    def margins(self) -> tuple[str, ...]:
        return ("margin",)

    @property
    def effects(self) -> dict[str, float]:
        """Share of the units that fail in the canary alone."""
        return {"none": 0.0, "margin": self.margin}

    @cached_property
    def plan(self) -> Plan:
        steps = tuple(Step(set_weight=Share(round(10_000 * share))) for share, _ in self.schedule.stages)
        metric = Metric(name=ERRORS, kind="error_rate", margin=Margin(self.margin, "absolute"))
        return Plan(name="calibration", steps=steps, metrics=(metric,))

    def play(self, rng: np.random.Generator, *, audit: bool = False) -> Played:
        played: dict[tuple[str, str], Verdict] = {}
        for effect, extra in self.effects.items():
            visits = self._visits(extra, rng)
            verdict = self._gate(visits)
            if audit and self._gate(visits, every=True) != verdict:
                raise AssertionError(f"{self.name}: the shortcut of errors.py changes a verdict")
            played[effect, "seatrial"] = verdict
            for name, calls in self._rivals(visits).items():
                played[effect, name] = Verdict(calls.verdict().failed, math.nan)
        return played

    def _visits(self, extra: float, rng: np.random.Generator) -> Visits:
        counts = rng.multinomial(self.units, [self.failing, extra, 1 - self.failing - extra])
        joins = np.append(_starts(self.schedule), self.schedule.looks)
        shares = np.array([0.0, *(share for share, _ in self.schedule.stages), 1.0])
        able = counts[0] + counts[1]
        joined = joins[np.searchsorted(shares, rng.random(able), side="right") - 1]
        activity = rng.gamma(ACTIVITY_SHAPE, 1 / ACTIVITY_SHAPE, able)
        visits = rng.poisson(activity[:, None] * self.schedule.traffic)
        if not self.every_visit:
            moments = rng.choice(self.schedule.looks, able, p=self.schedule.traffic / self.schedule.traffic.sum())
            visits = (np.arange(self.schedule.looks) == moments[:, None]).astype(np.int64)
        in_canary = np.arange(self.schedule.looks) >= joined[:, None]
        return Visits(
            visits * in_canary, visits * ~in_canary, np.arange(able) < counts[0], *self._seen(joins, shares, rng)
        )

    def _seen(self, joins: Ints, shares: Floats, rng: np.random.Generator) -> tuple[Ints, Ints]:
        """Distinct units up to each look: a unit is first seen when its Poisson process has its first point."""
        place = np.searchsorted(shares, rng.random(self.units), side="right") - 1
        activity = rng.gamma(ACTIVITY_SHAPE, 1 / ACTIVITY_SHAPE, self.units)
        clock = np.concatenate([[0.0], np.cumsum(self.schedule.traffic)])
        joined = clock[joins[place]]
        in_champion = rng.exponential(size=self.units) / activity
        in_canary = joined + rng.exponential(size=self.units) / activity
        seen_t = np.searchsorted(np.sort(in_canary[in_canary < clock[-1]]), clock[1:])
        seen_c = np.searchsorted(np.sort(in_champion[in_champion < joined]), clock[1:])
        return seen_t, seen_c

    def _gate(self, visits: Visits, *, every: bool = False) -> Verdict:
        """The real gate, at the looks that may matter; all of them with ``every``."""
        counts = self._counts(visits)
        harm = self._e_process(*(_by_look(first, self.schedule.looks) for first in counts.first_events)).worse
        failed, passed = NEVER, NEVER
        for look in range(self.schedule.looks):
            asked = (harm[look] and failed == NEVER) or (passed == NEVER and counts.may_pass(look, self.margin))
            if not (every or asked):
                continue
            verdict = self._judge(look, counts)
            here = (look + 1) / self.schedule.looks
            failed = min(failed, here) if verdict == "fail" else failed
            passed = min(passed, here) if verdict == "pass" else passed
        return Verdict(failed, passed)

    def _counts(self, visits: Visits) -> Counts:
        met_t, met_c = _first(visits.canary > 0), _first((visits.champion > 0) & visits.always[:, None])
        never = self.schedule.looks
        looks = np.arange(never)[:, None]
        return Counts(
            (np.where(met_t < met_c, met_t, never), np.where(met_c < met_t, met_c, never)),
            (met_t <= looks).sum(axis=1),
            (met_c <= looks).sum(axis=1),
            visits.seen_t,
            visits.seen_c,
        )

    def _firsts(self, look: int, counts: Counts) -> dict[tuple[int, Arm], int]:
        """Units by the (phase, arm) of their first event of all."""
        found: dict[tuple[int, Arm], int] = {}
        for arm, first in zip((CANARY, CHAMPION), counts.first_events, strict=True):
            per_phase = np.bincount(self.schedule.stage[first[first <= look]])
            found |= {(phase + 1, arm): int(n) for phase, n in enumerate(per_phase)}
        return found

    def _judge(self, look: int, counts: Counts) -> str:
        touched: dict[Arm, int] = {CANARY: int(counts.touched_t[look]), CHAMPION: int(counts.touched_c[look])}
        live: dict[Arm, int] = {CANARY: int(counts.seen_t[look]), CHAMPION: int(counts.seen_c[look])}
        firsts = {ERRORS: self._firsts(look, counts)}
        units = UnitCounts(arms=live, live=live, firsts=firsts, touched={ERRORS: touched})
        evidence = Evidence(BEGIN + timedelta(hours=look + 1), units=units)
        phases = self._phases[: self.schedule.stage[look] + 1]
        judged = judge(self.plan, Stage(0, "canary", phases[-1].weight, 0), True, start(phases), evidence)
        return judged.verdicts[0].verdict

    @cached_property
    def _phases(self) -> tuple[Phase, ...]:
        shares = (share for share, _ in self.schedule.stages)
        return tuple(Phase(i + 1, i, round(10_000 * share), 0, BEGIN) for i, share in enumerate(shares))

    def _rivals(self, visits: Visits) -> dict[str, Calls]:
        """Those who count every error, or the first of a unit in every day."""
        error_t, error_c = visits.canary, visits.champion * visits.always[:, None]
        exposed = self.units * self.schedule.traffic
        share = np.array([s for s, _ in self.schedule.stages])[self.schedule.stage]
        every = error_t.sum(axis=0), error_c.sum(axis=0)
        daily = tuple(_first_of_each(error > 0, self.schedule.strata) for error in (error_t, error_c))
        z = self._z(*every, exposed * share, exposed * (1 - share))
        return {
            "e-process, every error": self._e_process(*every),
            "e-process, first of each day": self._e_process(*daily),
            "z once, requests": _at_end(z),
            "z peeking, requests": z,
        }

    def _e_process(self, x: Ints, y: Ints) -> Calls:
        stage, looks = self.schedule.stage, self.schedule.looks
        by_phase = stage == np.arange(stage[-1] + 1)[:, None]
        x_h, y_h = np.cumsum(by_phase * x, axis=1), np.cumsum(by_phase * y, axis=1)
        share = np.array([s for s, _ in self.schedule.stages])
        log_e = [
            rate_ratio_log_e(x_h[:, i], x_h[:, i] + y_h[:, i], share, theta0=1.0, thetas=harm_grid())
            for i in range(looks)
        ]
        return _worse(np.array(log_e) >= -math.log(self.alpha))

    def _z(self, x: Ints, y: Ints, n: Floats, m: Floats) -> Calls:
        sums = zip(*(np.cumsum(a) for a in (x, n, y, m)), strict=True)
        p_values = np.array([two_proportion_z(*look).p_greater for look in sums])
        return _worse(p_values < self.alpha)


def _starts(schedule: Schedule) -> Ints:
    """First slice of each stage."""
    return np.searchsorted(schedule.stage, np.arange(len(schedule.stages)))


def _first(event: Bools) -> Ints:
    """Look of each unit's first event; past the end without one."""
    first: Ints = np.where(event.any(axis=1), event.argmax(axis=1), event.shape[1])
    return first


def _by_look(first: Ints, looks: int) -> Ints:
    """How many firsts fall on each look."""
    return np.bincount(first, minlength=looks + 1)[:looks]


def _first_of_each(event: Bools, strata: list[tuple[int, int]]) -> Ints:
    """Per look, events that are their unit's first in the stratum."""
    out = np.zeros(event.shape[1], dtype=np.int64)
    for a, b in strata:
        first = _first(event[:, a:b])
        out[a:b] = _by_look(first, b - a)
    return out


def _at_end(calls: Calls) -> Calls:
    worse = np.zeros(len(calls.worse), bool)
    worse[-1] = calls.worse[-1]
    return _worse(worse)


def _worse(worse: Bools) -> Calls:
    return Calls(worse, np.zeros(len(worse), bool))
