"""Releases after a strike: the real decisions, step back and all, with the evidence they lead to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from benchmarks.calibration.gate import BEGIN, start
from benchmarks.calibration.traffic import Population, Schedule
from benchmarks.calibration.verdict import NEVER, Played, Verdict
from seatrial.evidence.facts import UnitCounts
from seatrial.evidence.snapshot import Evidence, MetricEvidence
from seatrial.evidence.tally import COUNT, DENOMINATOR, MICRO, NUMERATOR, TOTAL, UNIT_BUCKETS, Cell, Tally
from seatrial.ids import CANARY, CHAMPION
from seatrial.rollout.look import take_look
from seatrial.rollout.metric import Metric
from seatrial.rollout.plan import Pause, Plan, Step
from seatrial.rollout.state import Phase, RolloutState
from seatrial.rollout.verdicts import Signals
from seatrial.values import Duration, Margin, Share

FAULT = 0.3


@dataclass(frozen=True)
class Struck:
    """A plan of several stages, run by its own decisions until it is over or the time of ``schedule`` is.

    Effects: *none*; *recovers*: a fault takes 30% of the canary's clicks from its first day in the second stage until
    the strike that sends it back, and nothing after; *recovers to margin*: after it a loss of the margin stays;
    *persists*: the fault stays. A false rollback is a strike without a fault: in *recovers* the second one.
    """

    name: str
    what: str
    units: int
    stages: tuple[tuple[float, float], ...]
    margin: float
    schedule: Schedule
    alpha: float = 0.05

    @property
    def nulls(self) -> tuple[str, ...]:
        return ("none", "recovers")

    @property
    def margins(self) -> tuple[str, ...]:
        return ("recovers to margin",)

    @cached_property
    def plan(self) -> Plan:
        steps: list[Step] = []
        for share, days in self.stages:
            steps += [Step(set_weight=Share(round(10_000 * share))), Step(pause=Pause(duration=_days(days)))]
        metric = Metric(name="clicks", kind="proportion", outcome="clicks", margin=Margin(self.margin, "relative"))
        return Plan(name="calibration", steps=tuple(steps), metrics=(metric,), time_bucket=_days(1))

    def play(self, rng: np.random.Generator, *, audit: bool = False) -> Played:
        edges = np.array([share for share, _ in self.stages])
        population = Population.draw(self.units, edges, rng, gaussian=False)
        after = {"none": 0.0, "recovers": 0.0, "recovers to margin": self.margin, "persists": FAULT}
        return {
            (effect, "seatrial"): _Run(self, population, rng.spawn(1)[0], 0.0 if effect == "none" else FAULT, loss).go()
            for effect, loss in after.items()
        }


class _Run:
    """One release as it happens. ``fault``: loss in the second stage before a strike; ``after``: loss after it."""

    def __init__(
        self, cell: Struck, population: Population, rng: np.random.Generator, fault: float, after: float
    ) -> None:
        self._cell, self._rng, self._fault, self._after = cell, rng, fault, after
        joined = np.cumsum(population.activity, axis=0), np.cumsum(population.liking, axis=0)
        self._arms = {
            round(10_000 * share): [(activity[k], liking[k]) for activity, liking in [joined]]
            + [(activity[-1] - activity[k], liking[-1] - liking[k]) for activity, liking in [joined]]
            for k, (share, _) in enumerate(cell.stages)
        }
        self._appeal = cell.schedule.appeal(rng)
        self._cells: dict[Cell, NDArray[np.int64]] = {}

    def go(self) -> Verdict:
        """Serve and look in turn. Strikes count as rollbacks from the first one that had no fault behind it."""
        schedule = self._cell.schedule
        first = Phase(1, 0, round(10_000 * self._cell.stages[0][0]), 0, BEGIN)
        state = start((first,))
        expected = 1 if self._fault else 0
        failed = NEVER
        for look in range(schedule.looks):
            self._serve(state, look)
            at = BEGIN + timedelta(days=(look + 1) * schedule.days / schedule.looks)
            evidence = Evidence(at, {"clicks": MetricEvidence(Tally(self._cells))}, units=self._units(state, look))
            state = take_look(self._cell.plan, state, evidence, Signals()).state
            if len(state.strikes) > expected:
                failed = min(failed, (look + 1) / schedule.looks)
            if state.over:
                break
        return Verdict(failed, (look + 1) / schedule.looks if state.status == "promoted" else NEVER)

    def _units(self, state: RolloutState, look: int) -> UnitCounts:
        """Units of each arm so far, as expected; only the plan's minimum sample reads them."""
        share = state.phase.weight / 10_000
        seen = float(self._cell.schedule.seen(self._cell.units)[look])
        return UnitCounts(arms={CANARY: int(share * seen), CHAMPION: int(seen)})

    def _serve(self, state: RolloutState, look: int) -> None:
        schedule = self._cell.schedule
        struck = bool(state.strikes)
        loss = self._after if struck else self._fault * (state.stage > 0)
        time = int(schedule.time[look]) * 86_400
        for arm, (activity, liking) in zip((CANARY, CHAMPION), self._arms[state.phase.weight], strict=True):
            shown = activity * schedule.traffic[look]
            clicked = liking * schedule.traffic[look] * self._appeal[look]
            clicks = self._rng.poisson(clicked * (1 - loss if arm == CANARY else 1.0))
            misses = self._rng.poisson(np.maximum(shown - clicked, 0))
            cell = Cell(state.phase.number, time, TOTAL, arm)
            sums = self._cells.setdefault(cell, np.zeros((UNIT_BUCKETS, 3), dtype=np.int64))
            sums[:, COUNT] += clicks + misses
            sums[:, NUMERATOR] += clicks * MICRO
            sums[:, DENOMINATOR] += (clicks + misses) * MICRO


def _days(days: float) -> Duration:
    return Duration(days * 86_400, f"{days:g}d")
