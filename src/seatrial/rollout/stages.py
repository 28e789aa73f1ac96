"""A plan's steps, compiled: ``shadow`` and ``setWeight`` open a stage; ``pause``, ``analysis`` and ``approval`` say how
it ends."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from seatrial.rollout.metric import Metric
from seatrial.rollout.plan import Approval, Plan, Step

DEFAULT_TOLERANCE = 3.0
"""Before everyone gets it, a loss larger than this many margins must be excluded; at promotion, the margin itself."""

DEFAULT_MIN_UNITS = 100
DEFAULT_MIN_PAIRS = 200


@dataclass(frozen=True, slots=True)
class Stage:
    """One split of traffic and the conditions for leaving it. Weights are out of 10,000; durations in seconds.

    ``title``: what the plan calls it; ``not_yet``: metrics that count from a later stage on; ``mirrored_by``: values of
    the gateway's segment that are mirrored at shares of their own.
    """

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
    title: str = ""
    approval: Approval | None = None
    not_yet: tuple[str, ...] = ()
    mirrored_by: tuple[tuple[str, int], ...] = ()

    @property
    def name(self) -> str:
        """``quarter (canary 25%)``, or the split alone where the plan gives no name."""
        return f"{self.title} ({self.split})" if self.title else self.split

    @property
    def split(self) -> str:
        if self.kind == "shadow":
            return "shadow" if self.mirrored == 10_000 else f"shadow {self.mirrored / 100:g}%"
        return f"canary {self.weight / 100:g}%"

    def watches(self, metric: Metric) -> bool:
        """Whether a guardrail counts here: its ``startingStep`` is reached."""
        return metric.name not in self.not_yet


def compile_stages(plan: Plan) -> tuple[Stage, ...]:
    """Stages before everyone: a final ``setWeight: 100%`` is the promotion itself and has no stage."""
    stages: list[Stage] = []
    for step in plan.steps:
        title = step.name or ""
        if step.shadow is not None:
            by = step.shadow.by.shares if step.shadow.by is not None else {}
            own = tuple(sorted((value, share.per_10k) for value, share in by.items()))
            mirrored = step.shadow.share.per_10k
            stages.append(Stage(len(stages), "shadow", 0, mirrored, title=title, mirrored_by=own))
        elif step.set_weight is not None:
            if step.set_weight.per_10k < 10_000:
                stages.append(Stage(len(stages), "canary", step.set_weight.per_10k, 0, title=title))
        elif stages:
            stages[-1] = _refine(stages[-1], step)
    return _with_starts(plan, stages)


def _with_starts(plan: Plan, stages: list[Stage]) -> tuple[Stage, ...]:
    """Each stage with the metrics that do not count there yet."""
    starts = {stage.title: stage.index for stage in stages if stage.title}
    late = {m.name: starts.get(m.starting_step, 0) for m in plan.metrics if m.starting_step is not None}
    return tuple(
        replace(stage, not_yet=tuple(name for name, start in late.items() if stage.index < start)) for stage in stages
    )


def _refine(stage: Stage, step: Step) -> Stage:
    if step.pause is not None:
        if step.pause.duration is None:
            return replace(stage, manual=True)
        return replace(stage, min_duration=stage.min_duration + step.pause.duration.seconds)
    if step.approval is not None:
        return replace(stage, approval=step.approval)
    if (asked := step.analysis) is None:
        return stage
    return replace(
        stage,
        min_units=stage.min_units if asked.min_units is None else asked.min_units,
        min_outcomes=stage.min_outcomes if asked.min_outcomes is None else asked.min_outcomes,
        min_pairs=stage.min_pairs if asked.min_pairs is None else asked.min_pairs,
        tolerance=stage.tolerance if asked.tolerance is None else asked.tolerance.factor,
    )
