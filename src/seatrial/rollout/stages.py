"""A plan's steps, compiled: ``shadow`` and ``setWeight`` open a stage, ``pause`` and ``analysis`` say how it ends."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from seatrial.rollout.plan import Plan, Step

DEFAULT_TOLERANCE = 3.0
"""Before everyone gets it, a loss larger than this many margins must be excluded; at promotion, the margin itself."""

DEFAULT_MIN_UNITS = 100
DEFAULT_MIN_PAIRS = 200


@dataclass(frozen=True, slots=True)
class Stage:
    """One split of traffic and the conditions for leaving it. Weights are out of 10,000; durations in seconds."""

    index: int
    kind: Literal["shadow", "canary"]
    weight: int
    mirrored: int
    min_duration: float = 0.0
    manual: bool = False
    min_units: int = DEFAULT_MIN_UNITS
    min_outcomes: int = 0
    min_pairs: int = DEFAULT_MIN_PAIRS
    tolerance: float = DEFAULT_TOLERANCE

    @property
    def name(self) -> str:
        if self.kind == "shadow":
            return "shadow" if self.mirrored == 10_000 else f"shadow {self.mirrored / 100:g}%"
        return f"canary {self.weight / 100:g}%"


def compile_stages(plan: Plan) -> tuple[Stage, ...]:
    """Stages before everyone: a final ``setWeight: 100%`` is the promotion itself and has no stage."""
    stages: list[Stage] = []
    for step in plan.steps:
        if step.shadow is not None:
            stages.append(Stage(len(stages), "shadow", 0, step.shadow.share.per_10k))
        elif step.set_weight is not None:
            if step.set_weight.per_10k < 10_000:
                stages.append(Stage(len(stages), "canary", step.set_weight.per_10k, 0))
        elif stages:
            stages[-1] = _refine(stages[-1], step)
    return tuple(stages)


def _refine(stage: Stage, step: Step) -> Stage:
    if step.pause is not None:
        if step.pause.duration is None:
            return replace(stage, manual=True)
        return replace(stage, min_duration=stage.min_duration + step.pause.duration.seconds)
    if (asked := step.analysis) is None:
        return stage
    return replace(
        stage,
        min_units=stage.min_units if asked.min_units is None else asked.min_units,
        min_outcomes=stage.min_outcomes if asked.min_outcomes is None else asked.min_outcomes,
        min_pairs=stage.min_pairs if asked.min_pairs is None else asked.min_pairs,
        tolerance=stage.tolerance if asked.tolerance is None else asked.tolerance.factor,
    )
