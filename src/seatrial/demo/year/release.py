"""One release: the flights of each day go into the log, the real engine reads it, and the plan decides.

A look sees what a controller's would: the evidence of the log up to its tick, and no more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from seatrial.demo.year.log import Answers, Log, Split
from seatrial.demo.year.world import World
from seatrial.engines.evidence import EvidenceBuilder
from seatrial.events.schema import to_micros
from seatrial.ids import ModelName, RolloutId, VersionNumber
from seatrial.rollout.look import take_look
from seatrial.rollout.plan import Plan
from seatrial.rollout.start import start
from seatrial.rollout.state import RolloutState
from seatrial.rollout.verdicts import Decision, Signals


@dataclass(frozen=True)
class Released:
    """What became of a release. ``decisions``: one a look, the start first; ``shadowed``: answers of its shadow."""

    state: RolloutState
    decisions: Sequence[Decision]
    shadowed: int

    @property
    def ended(self) -> datetime:
        return self.decisions[-1].at

    @property
    def outcome(self) -> str:
        return self.state.status if self.state.over else "undecided"

    def moves(self) -> list[Decision]:
        """The decisions that changed who answers."""
        return [d for d in self.decisions if d.action not in ("hold", "extend")]

    def first(self, *actions: str) -> Decision | None:
        return next((d for d in self.decisions if d.action in actions), None)


@dataclass(frozen=True)
class Stage:
    """Where releases are made: the flights, the plan, and the directory of their logs.

    ``looked`` hears of every decision.
    """

    world: World
    plan: Plan
    model: str
    root: Path
    looked: Callable[[Decision], None] = field(default=lambda decision: None)

    def release(self, name: str, answers: Answers, begin: datetime, end: datetime, salt: str = "") -> Released:
        """Release the candidate by the plan, from ``begin`` until it is over or the flights are (``end``).

        ``salt``: what decides who is on the canary; the name of the release unless it is given.
        """
        log = Log(self.root / name, self.model, self.world)
        builder = EvidenceBuilder(log.events, log.outcomes, self.plan, name, self.model, begin)
        try:
            first, state = start(
                self.plan, RolloutId(name), ModelName(self.model), VersionNumber(answers.champion),
                VersionNumber(answers.candidate), salt or name, begin, "seatrial demo",
            )  # fmt: skip
            return self._looks(state, [first], answers, end, log, builder)
        finally:
            builder.close()

    def _looks(
        self, state: RolloutState, decisions: list[Decision], answers: Answers, end: datetime, log: Log,
        builder: EvidenceBuilder,
    ) -> Released:  # fmt: skip
        points, shadowed, at = self.world.points(state.salt), 0, state.started
        while not state.over and at + self.plan.look_every.delta <= end:
            before, at = at, at + self.plan.look_every.delta
            split = Split(state.rollout, state.phase.number, state.phase.weight, state.phase.mirrored, points)
            shadowed += log.write(to_micros(before), to_micros(at), split, answers)
            builder.advance(at)
            epoch = [phase for phase in state.phases if phase.number >= state.epoch]
            evidence = builder.snapshot(
                live=[phase.number for phase in epoch if phase.weight],
                mirrored=[phase.number for phase in epoch if phase.mirrored],
            )
            looked = take_look(self.plan, state, evidence, Signals())
            state = looked.state
            decisions.append(looked.decision)
            self.looked(looked.decision)
        return Released(state, decisions, shadowed)
