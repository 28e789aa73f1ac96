"""Whole releases without traffic: the real gates and the real decisions over synthetic or recorded exposures.

A release looks as often as a live one. Only looks that can change something are taken in full (the screen); at
the others the gates hold, and nothing is recorded of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from seatrial.ids import CANARY, ModelName, RolloutId, VersionNumber
from seatrial.rollout.look import take_look
from seatrial.rollout.pacing import shortest
from seatrial.rollout.plan import Plan
from seatrial.rollout.simulate.feed import Feed, Grid, Ints
from seatrial.rollout.simulate.records import Population, RecordedFeed
from seatrial.rollout.simulate.screen import Case, next_look
from seatrial.rollout.simulate.world import AFTER_LEAST_TIME, World
from seatrial.rollout.stages import compile_stages
from seatrial.rollout.start import by_hand, start
from seatrial.rollout.state import Approved, RolloutState
from seatrial.rollout.verdicts import Decision, Signals


@dataclass(frozen=True)
class Outcome:
    """How one simulated release went.

    ``decisions``: those of the looks that could change something, the start first. ``exposed``: distinct units that the
    canary had. ``looks``: how many looks the release lasted.
    """

    decisions: tuple[Decision, ...]
    state: RolloutState
    exposed: int
    looks: int

    def first(self, *actions: str) -> Decision | None:
        """The first decision with one of these actions."""
        return next((d for d in self.decisions if d.action in actions), None)


def simulate(
    plan: Plan, population: Population, points: Ints, buckets: Ints, begin: datetime, end: datetime
) -> Outcome:
    """Run one release over recorded exposures from ``begin`` until it is over or ``end`` is reached.

    ``points``: for every unit its place in 0..9,999 (gateway.assignment with this release's salt); ``buckets``: its
    variance bucket. The split follows the decisions; a look sees what had matured by then.
    """
    return release(plan, RecordedFeed(population, points, buckets, grid_of(plan, begin)), begin, end)


def grid_of(plan: Plan, begin: datetime) -> Grid:
    """The looks of a release. ValueError unless ``begin`` lies on the grid of looks (a full hour always does)."""
    return Grid(begin.timestamp(), plan.look_every.seconds, plan.time_bucket.seconds)


def release(plan: Plan, feed: Feed, begin: datetime, end: datetime) -> Outcome:
    """Run one release on a feed until it is over or ``end`` is reached.

    A manual pause is released, and approvals are given, at the look at which they are all that the release waits for.
    """
    ids = (RolloutId("simulated"), ModelName("simulated"), VersionNumber(1), VersionNumber(2))
    opening, state = start(plan, *ids, "simulated", begin, "simulation")
    grid = grid_of(plan, begin)
    looks = int((end - begin) / plan.look_every.delta)
    run = _Run(plan, World(plan, feed, grid, looks), state, looks)
    while not run.state.over and run.look < looks:
        run.window()
    exposed = run.world.units.counts(0).arms.get(CANARY, 0)
    return Outcome((opening, *run.decisions), run.state, exposed, run.look)


class _Run:
    """A release on its way: ``look`` is the last one that is settled."""

    def __init__(self, plan: Plan, world: World, state: RolloutState, looks: int) -> None:
        self.plan, self.world, self.state, self._looks = plan, world, state, looks
        self.decisions: list[Decision] = []
        self.look = 0
        self._stages = compile_stages(plan)

    def window(self) -> None:
        """Draw what comes next, and look until the split changes or the window ends."""
        upto = self.world.draw(self.state, min(self._target(), self._looks))
        phase, epoch = self.state.phase.number, self.state.epoch
        while self.look < upto and self.state.phase.number == phase:
            stage = self._stages[self.state.stage]
            last = self.state.stage + 1 >= len(self._stages)
            found = next_look(Case(self.plan, stage, last, self.state, self.world, self.look, upto))
            self.look = upto if found is None else found
            if found is not None:
                self._take(found)
        self.world.settle(self.look)
        if self.state.epoch != epoch:
            self.world.begin_epoch()

    def _signed(self, at: datetime) -> tuple[Approved, ...]:
        """Every approval that the present stage asks for."""
        wanted = self._stages[self.state.stage].approval
        return tuple(Approved(f"simulation-{n}", at) for n in range(wanted.count)) if wanted else ()

    def _target(self) -> int:
        """Up to which slot to draw: to the end of the stage's least time, or a stretch beyond it."""
        stage, phase = self._stages[self.state.stage], self.state.phase
        ends = self.world.grid.slots((phase.started - self.state.started).total_seconds() + shortest(self.plan, stage))
        return ends if ends > self.look else self.look + AFTER_LEAST_TIME

    def _take(self, look: int) -> None:
        state = replace(self.state, look=look - 1)
        looked = take_look(self.plan, state, self.world.evidence(state, look), Signals())
        self.decisions.append(looked.decision)
        self.state = looked.state
        if looked.decision.rule == "approval":
            decision, self.state = by_hand(
                self.plan, self.state, "promote", full=False, reason="", actor="simulation", now=looked.decision.at
            )
            self.decisions.append(decision)
            self.state = replace(self.state, approvals=self._signed(decision.at))
