"""Whole releases without traffic: the real gates and the real decisions over a population of recorded exposures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from seatrial.evidence.facts import UnitCounts
from seatrial.evidence.snapshot import Evidence, MetricEvidence, ShadowEvidence
from seatrial.evidence.tally import MICRO, TOTAL, UNIT_BUCKETS, Cell, Sums, Tally
from seatrial.ids import CANARY, CHAMPION, SHADOW, Arm, ModelName, RolloutId, VersionNumber
from seatrial.rollout.look import take_look
from seatrial.rollout.plan import Plan
from seatrial.rollout.start import start
from seatrial.rollout.state import RolloutState
from seatrial.rollout.verdicts import Decision, Signals

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Values:
    """One metric for every exposure: its value with either model (millionths), and whether its outcome came in time."""

    champion: Ints
    candidate: Ints
    known: Bools


@dataclass(frozen=True)
class Population:
    """Recorded exposures in time order: ``time`` in seconds since the epoch (UTC), ``unit`` as an index from 0.

    ``events``: per rare metric, whether the exposure meets the event with (champion, candidate).
    """

    time: NDArray[np.float64]
    unit: Ints
    values: Mapping[str, Values]
    events: Mapping[str, tuple[Bools, Bools]]

    @property
    def units(self) -> int:
        return int(self.unit.max()) + 1 if len(self.unit) else 0


@dataclass(frozen=True)
class Outcome:
    """How one simulated release went."""

    decisions: tuple[Decision, ...]
    state: RolloutState

    def first(self, *actions: str) -> Decision | None:
        """The first decision with one of these actions."""
        return next((d for d in self.decisions if d.action in actions), None)


def simulate(
    plan: Plan, population: Population, points: Ints, buckets: Ints, begin: datetime, end: datetime
) -> Outcome:
    """Run one release from ``begin`` until it is over or ``end`` is reached.

    ``points``: for every unit its place in 0..9,999 (gateway.assignment with this release's salt); ``buckets``: its
    variance bucket. The split follows the decisions; a look sees what had matured by then.
    """
    ids = (RolloutId("simulated"), ModelName("simulated"), VersionNumber(1), VersionNumber(2))
    opening, state = start(plan, *ids, "simulated", begin, "simulation")
    world = _World(plan, population, points, buckets, begin)
    decisions = [opening]
    at = begin
    while not state.over and at + plan.look_every.delta <= end:
        at += plan.look_every.delta
        world.run(state, at)
        looked = take_look(plan, state, world.evidence(state, at), Signals())
        decisions.append(looked.decision)
        state = looked.state
    return Outcome(tuple(decisions), state)


class _World:
    """Exposures as they happen under a changing split, and the evidence they leave."""

    def __init__(self, plan: Plan, population: Population, points: Ints, buckets: Ints, begin: datetime) -> None:
        self._plan, self._all = plan, population
        self._points = points[population.unit]
        self._bucket = buckets[population.unit]
        self._next = int(np.searchsorted(population.time, begin.timestamp(), side="right"))
        self._arm = np.zeros(len(population.time), dtype=np.int8)  # 0 not yet, 1 champion, 2 canary
        self._phase = np.zeros(len(population.time), dtype=np.int64)
        self._mirrored = np.zeros(len(population.time), dtype=bool)
        self._matured = {m.name: self._next for m in plan.metrics}
        self._live: dict[str, dict[Cell, Sums]] = {m.name: {} for m in plan.metrics}
        self._pairs: dict[str, dict[Cell, Sums]] = {m.name: {} for m in plan.metrics}
        self._missing: dict[str, dict[tuple[int, Arm], int]] = {m.name: {} for m in plan.metrics}
        self._there: dict[tuple[int, Arm], Bools] = {}
        self._copied: dict[str, dict[tuple[int, Arm], Bools]] = {}
        self._seen: dict[Arm, Bools] = {arm: np.zeros(population.units, bool) for arm in (CHAMPION, CANARY, SHADOW)}
        self._new: dict[tuple[int, Arm], int] = {}
        self._pair_count = 0
        self._touched: dict[tuple[str, Arm], Bools] = {}
        self._firsts: dict[str, dict[int, tuple[int, Arm]]] = {}

    def run(self, state: RolloutState, until: datetime) -> None:
        """Serve every exposure up to ``until`` under the present split."""
        stop = int(np.searchsorted(self._all.time, until.timestamp(), side="right"))
        window = slice(self._next, stop)
        phase = state.phase
        canary = self._points[window] < phase.weight
        self._arm[window] = np.where(canary, 2, 1)
        self._phase[window] = phase.number
        self._mirrored[window] = ~canary & (self._points[window] < phase.weight + phase.mirrored)
        self._pair_count += int(self._mirrored[window].sum())
        for arm, mask in ((CHAMPION, ~canary), (CANARY, canary), (SHADOW, self._mirrored[window])):
            self._see(arm, phase.number, self._all.unit[window][mask])
        for name, (champion, candidate) in self._all.events.items():
            met = np.where(canary, candidate[window], champion[window])
            self._meet(name, phase.number, state.epoch, window, canary, met)
            if phase.mirrored:
                self._copy(name, phase.number, window, CHAMPION, champion[window])
                self._copy(name, phase.number, window, SHADOW, candidate[window] & self._mirrored[window])
        self._next = stop

    def evidence(self, state: RolloutState, at: datetime) -> Evidence:
        """Everything matured by ``at``."""
        for metric in self._plan.metrics:
            horizon = metric.horizon.seconds if metric.horizon else 0.0
            stop = int(np.searchsorted(self._all.time, at.timestamp() - horizon, side="right"))
            stop = max(min(stop, self._next), self._matured[metric.name])
            if metric.name in self._all.values:
                self._mature(metric.name, slice(self._matured[metric.name], stop))
            self._matured[metric.name] = stop
        return Evidence(
            at=at,
            metrics={
                name: MetricEvidence(Tally(cells), self._immature(name), self._missing[name])
                for name, cells in self._live.items()
            },
            pairs={name: MetricEvidence(Tally(cells)) for name, cells in self._pairs.items()},
            units=self._units(state),
            shadow=ShadowEvidence(pairs=self._pair_count),
        )

    def _see(self, arm: Arm, phase: int, units: Ints) -> None:
        units = np.unique(units)
        if arm != SHADOW:
            fresh = ~(self._seen[CHAMPION][units] | self._seen[CANARY][units])
            self._new[phase, arm] = self._new.get((phase, arm), 0) + int(fresh.sum())
        self._seen[arm][units] = True
        self._there.setdefault((phase, arm), np.zeros(self._all.units, bool))[units] = True

    def _copy(self, name: str, phase: int, window: slice, arm: Arm, met: Bools) -> None:
        found = self._copied.setdefault(name, {}).setdefault((phase, arm), np.zeros(self._all.units, bool))
        found[self._all.unit[window][met]] = True

    def _meet(self, name: str, phase: int, epoch: int, window: slice, canary: Bools, met: Bools) -> None:
        for unit, in_canary in zip(self._all.unit[window][met], canary[met], strict=True):
            arm: Arm = CANARY if in_canary else CHAMPION
            touched = self._touched.setdefault((name, arm), np.zeros(self._all.units, bool))
            touched[unit] = True
            known = self._firsts.setdefault(name, {}).get(int(unit))
            if known is None or known[0] < epoch:
                self._firsts[name][int(unit)] = (phase, arm)

    def _mature(self, name: str, window: slice) -> None:
        values = self._all.values[name]
        known = values.known[window]
        times = self._all.time[window]
        size = self._plan.time_bucket.seconds
        start = (times // size * size).astype(np.int64)
        for arm_code, arm in ((1, CHAMPION), (2, CANARY)):
            mask = (self._arm[window] == arm_code) & known
            numbers = (values.champion if arm == CHAMPION else values.candidate)[window]
            self._add(self._live[name], arm, window, mask, start, numbers)
            lost = int(((self._arm[window] == arm_code) & ~known).sum())
            phase = int(self._phase[window.stop - 1]) if window.stop > window.start else 0
            if lost:
                self._missing[name][phase, arm] = self._missing[name].get((phase, arm), 0) + lost
        mask = self._mirrored[window] & known
        self._add(self._pairs[name], CHAMPION, window, mask, start, values.champion[window])
        self._add(self._pairs[name], SHADOW, window, mask, start, values.candidate[window])

    def _add(self, cells: dict[Cell, Sums], arm: Arm, window: slice, mask: Bools, start: Ints, numbers: Ints) -> None:
        phases, buckets = self._phase[window], self._bucket[window]
        keys = np.stack([phases[mask], start[mask]], axis=1)
        for phase, time in np.unique(keys, axis=0):
            here = mask & (phases == phase) & (start == time)
            sums = np.zeros((UNIT_BUCKETS, 3), dtype=np.int64)
            ones = np.ones(int(here.sum()), dtype=np.int64)
            np.add.at(sums, buckets[here], np.stack([ones, numbers[here], ones * MICRO], axis=1))
            cell = Cell(int(phase), int(time), TOTAL, arm)
            cells[cell] = cells[cell] + sums if cell in cells else sums

    def _immature(self, name: str) -> dict[tuple[int, Arm], int]:
        window = slice(self._matured[name], self._next)
        counts: dict[tuple[int, Arm], int] = {}
        for code, arm in ((1, CHAMPION), (2, CANARY)):
            for phase, n in zip(
                *np.unique(self._phase[window][self._arm[window] == code], return_counts=True), strict=True
            ):
                counts[int(phase), arm] = int(n)
        return counts

    def _units(self, state: RolloutState) -> UnitCounts:
        firsts: dict[str, dict[tuple[int, Arm], int]] = {}
        for name, found in self._firsts.items():
            counts = firsts.setdefault(name, {})
            for phase, arm in found.values():
                if phase >= state.epoch:
                    counts[phase, arm] = counts.get((phase, arm), 0) + 1
        touched: dict[str, dict[Arm, int]] = {}
        for (name, arm), units in self._touched.items():
            touched.setdefault(name, {})[arm] = int(units.sum())
        epoch = [phase for phase in state.phases if phase.number >= state.epoch]
        live = {phase.number for phase in epoch if phase.weight}
        mirrored = {phase.number for phase in epoch if phase.mirrored}
        return UnitCounts(
            live=_distinct(self._there, live),
            mirrored=_distinct(self._there, mirrored),
            shadowed={name: _distinct(met, mirrored) for name, met in self._copied.items()},
            new=dict(self._new),
            arms={arm: int(seen.sum()) for arm, seen in self._seen.items()},
            crossed=int((self._seen[CHAMPION] & self._seen[CANARY]).sum()),
            firsts=firsts,
            touched=touched,
        )


def _distinct(seen: Mapping[tuple[int, Arm], Bools], phases: set[int]) -> dict[Arm, int]:
    """Distinct units an arm had in any of the phases."""
    found: dict[Arm, Bools] = {}
    for (phase, arm), units in seen.items():
        if phase in phases:
            found[arm] = found[arm] | units if arm in found else units
    return {arm: int(units.sum()) for arm, units in found.items()}
