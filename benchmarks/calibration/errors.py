"""Rare errors on a ramp: units that fail at every visit, judged exactly on first events, and by those who count all."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from itertools import pairwise

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
from seatrial.stats.counts import bernoulli_bounds, harm_grid, rate_ratio_log_e
from seatrial.stats.proportions import two_proportion_z
from seatrial.values import Margin, Share

ERRORS = "errors"
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Visits:
    """Visits of the units that can fail, and when how many units had been in each arm.

    ``canary``, ``champion``: shape (units, looks), visits in that arm; ``always``: units that fail in both arms, the
    others fail in the canary alone; ``seen_t``, ``seen_c``: distinct units of each arm in the stage so far;
    ``ever_t``, ``ever_c``: in all stages so far.
    """

    canary: Ints
    champion: Ints
    always: Bools
    seen_t: Ints
    seen_c: Ints
    ever_t: Ints
    ever_c: Ints


@dataclass(frozen=True, eq=False)
class Counts:
    """What a gate reads of rare events. ``first_events``: per unit that fails, the look of its first event if that was
    in the canary, and if in the champion (or past the end); the rest: distinct units in the stage so far."""

    first_events: tuple[Ints, Ints]
    met_t: Ints
    met_c: Ints
    seen_t: Ints
    seen_c: Ints

    def may_pass(self, look: int, margin: float) -> bool:
        """False where even an interval narrower than any valid one reaches the margin: 2.2 standard errors an arm.

        That is what one look alone would need at alpha / 2 an arm; without events, three over the number of units.
        """
        n_t, n_c = float(self.seen_t[look]), float(self.seen_c[look])
        if not (n_t and n_c):
            return False
        p_t, p_c = self.met_t[look] / n_t, self.met_c[look] / n_c
        above = max(2.2 * math.sqrt(p_t * (1 - p_t) / n_t), 3 / n_t)
        below = min(2.2 * math.sqrt(p_c * (1 - p_c) / n_c), p_c)
        return bool(p_t + above - (p_c - below) < margin)


@dataclass(frozen=True)
class Failing:
    """A share of the units (``failing``) meets errors in either arm: at ``every_visit``, or now and then.

    Errors that come now and then come to other units in every stage, at any moment; the shares are of the units that
    the last stage has seen after its ``least`` days. ``margin``: how much larger the canary's share may be (0.01 is
    1pp). A pass promotes from the end of the last stage's least time on.
    """

    name: str
    what: str
    units: int
    schedule: Schedule
    failing: float
    margin: float
    every_visit: bool = True
    least: float = 2.0
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
    def promotes(self) -> Bools:
        """Looks at which a pass would promote: nothing is left to wait for."""
        begin = sum(days for _, days in self.schedule.stages[:-1])
        ends = (np.arange(self.schedule.looks) + 1) * self.schedule.days / self.schedule.looks
        over: Bools = ends >= begin + self.least - 1e-9
        return over

    @cached_property
    def _often(self) -> float:
        """Units that meet an error in the whole run, for one unit of a share: as many as in all its stages together."""
        if self.every_visit:
            return 1.0
        begin = sum(days for _, days in self.schedule.stages[:-1])
        stage = (self.schedule.time > begin) & (self.schedule.time < begin + self.least)
        exposures = self.schedule.traffic[stage].sum()
        seen = 1 - (1 + exposures / ACTIVITY_SHAPE) ** -ACTIVITY_SHAPE
        return float(seen * self.schedule.traffic.sum() / exposures)

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
            if not self.every_visit:
                played[effect, "bounds, shares so far"] = self._so_far(visits)
        return played

    def _visits(self, extra: float, rng: np.random.Generator) -> Visits:
        shares = self._often * np.array([self.failing, extra])
        counts = rng.multinomial(self.units, [*shares, 1 - shares.sum()])
        joins = np.append(_starts(self.schedule), self.schedule.looks)
        splits = np.array([0.0, *(share for share, _ in self.schedule.stages), 1.0])
        able = counts[0] + counts[1]
        joined = joins[np.searchsorted(splits, rng.random(able), side="right") - 1]
        activity = rng.gamma(ACTIVITY_SHAPE, 1 / ACTIVITY_SHAPE, able)
        visits = rng.poisson(activity[:, None] * self.schedule.traffic)
        if not self.every_visit:
            moments = rng.choice(self.schedule.looks, able, p=self.schedule.traffic / self.schedule.traffic.sum())
            visits = (np.arange(self.schedule.looks) == moments[:, None]).astype(np.int64)
        in_canary = np.arange(self.schedule.looks) >= joined[:, None]
        return Visits(
            visits * in_canary, visits * ~in_canary, np.arange(able) < counts[0], *self._seen(joins, splits, rng)
        )

    def _seen(self, joins: Ints, splits: Floats, rng: np.random.Generator) -> tuple[Ints, Ints, Ints, Ints]:
        """Distinct units of a stage, and of all, up to each look: seen at the first point of a Poisson process."""
        place = np.searchsorted(splits, rng.random(self.units), side="right") - 1
        activity = rng.gamma(ACTIVITY_SHAPE, 1 / ACTIVITY_SHAPE, self.units)
        clock = np.concatenate([[0.0], np.cumsum(self.schedule.traffic)])
        seen_t, seen_c = np.zeros((2, self.schedule.looks), dtype=np.int64)
        ever_t, ever_c = np.full((2, self.units), np.inf)
        for stage, (begin, end) in enumerate(pairwise(joins)):
            first = clock[begin] + rng.exponential(size=self.units) / activity
            looks = clock[begin + 1 : end + 1]
            seen_t[begin:end] = np.searchsorted(np.sort(first[place <= stage]), looks)
            seen_c[begin:end] = np.searchsorted(np.sort(first[place > stage]), looks)
            came = np.where(first < clock[end], first, np.inf)
            ever_t = np.minimum(ever_t, np.where(place <= stage, came, np.inf))
            ever_c = np.minimum(ever_c, np.where(place > stage, came, np.inf))
        in_t, in_c = (np.searchsorted(np.sort(ever), clock[1:]).astype(np.int64) for ever in (ever_t, ever_c))
        return seen_t, seen_c, in_t, in_c

    def _gate(self, visits: Visits, *, every: bool = False) -> Verdict:
        """The real gate, at the looks that may matter; all of them with ``every``."""
        counts = self._counts(visits)
        harm = self._e_process(*(_by_look(first, self.schedule.looks) for first in counts.first_events)).worse
        failed, passed = NEVER, NEVER
        for look in range(self.schedule.looks):
            asked = (harm[look] and failed == NEVER) or (
                self.promotes[look] and passed == NEVER and counts.may_pass(look, self.margin)
            )
            if not (every or asked):
                continue
            verdict = self._judge(look, counts)
            here = (look + 1) / self.schedule.looks
            failed = min(failed, here) if verdict == "fail" else failed
            passed = min(passed, here) if verdict == "pass" and self.promotes[look] else passed
        return Verdict(failed, passed)

    def _counts(self, visits: Visits) -> Counts:
        met_t, met_c = _first(visits.canary > 0), _first((visits.champion > 0) & visits.always[:, None])
        never = self.schedule.looks
        return Counts(
            (np.where(met_t < met_c, met_t, never), np.where(met_c < met_t, met_c, never)),
            self._in_stage(visits.canary > 0),
            self._in_stage((visits.champion > 0) & visits.always[:, None]),
            visits.seen_t,
            visits.seen_c,
        )

    def _in_stage(self, event: Bools) -> Ints:
        """Units that met an event in the stage so far, at every look."""
        firsts = _first_of_each(event, self._stages)
        return np.concatenate([np.cumsum(firsts[a:b]) for a, b in self._stages])

    @cached_property
    def _stages(self) -> list[tuple[int, int]]:
        """Slices of each stage."""
        return list(pairwise([*_starts(self.schedule).tolist(), self.schedule.looks]))

    def _firsts(self, look: int, counts: Counts) -> dict[tuple[int, Arm], int]:
        """Units by the (phase, arm) of their first event of all."""
        found: dict[tuple[int, Arm], int] = {}
        for arm, first in zip((CANARY, CHAMPION), counts.first_events, strict=True):
            per_phase = np.bincount(self.schedule.stage[first[first <= look]])
            found |= {(phase + 1, arm): int(n) for phase, n in enumerate(per_phase)}
        return found

    def _judge(self, look: int, counts: Counts) -> str:
        phases = self._phases[: self.schedule.stage[look] + 1]
        arms: tuple[Arm, Arm] = (CANARY, CHAMPION)
        met, seen = (
            {(phases[-1].number, arm): int(of_arm[look]) for arm, of_arm in zip(arms, both, strict=True)}
            for both in ((counts.met_t, counts.met_c), (counts.seen_t, counts.seen_c))
        )
        units = UnitCounts(phases=seen, met={ERRORS: met}, firsts={ERRORS: self._firsts(look, counts)})
        evidence = Evidence(BEGIN + timedelta(hours=look + 1), units=units)
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

    def _so_far(self, visits: Visits) -> Verdict:
        """Exact bounds of the units that ever met an error, of all that were ever seen, once the least time is over."""
        look = int(self.promotes.argmax())
        met_t, met_c = (
            int((event[:, : look + 1] > 0).any(axis=1).sum())
            for event in (visits.canary, visits.champion * visits.always[:, None])
        )
        (_, high), (low, _) = (
            bernoulli_bounds(met, int(ever[look]), alpha=self.alpha / 2, planned_n=4 / self.margin)
            for met, ever in ((met_t, visits.ever_t), (met_c, visits.ever_c))
        )
        return Verdict(math.nan, 1.0 if high - low < self.margin else NEVER)

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
    """Per look, events that are their unit's first in the stratum, or stage."""
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
