"""Paces that the plan does not leave room for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from seatrial.rollout.pacing import shortest
from seatrial.rollout.plan import Pacing, Plan
from seatrial.rollout.stages import Stage, compile_stages
from seatrial.rollout.validate.problem import Problem


def check_pacing(plan: Plan) -> Iterator[Problem]:
    if plan.pacing is None:
        return
    stages = compile_stages(plan)
    yield from _metric(plan, plan.pacing)
    yield from _bounds(plan.pacing)
    yield from _steps(stages, plan.pacing)
    yield from _times(plan, stages, plan.pacing)


def _metric(plan: Plan, pacing: Pacing) -> Iterator[Problem]:
    found = next((m for m in plan.guardrails if m.name == pacing.metric and not m.rare), None)
    if found is None:
        known = ", ".join(m.name for m in plan.guardrails if not m.rare) or "none"
        yield Problem(
            "ST0236", "pacing", f"no guardrail '{pacing.metric}' could set the pace.",
            f"Name one that is a mean of something, not a rare event: {known}.",
        )  # fmt: skip
    elif found.margin is not None and found.margin.scale != pacing.strong.scale:
        yield Problem(
            "ST0236", "pacing", f"a gain of {pacing.strong} cannot be held against a margin of {found.margin}.",
            "Give both in the same unit: per cent, or absolute.",
        )  # fmt: skip


def _bounds(pacing: Pacing) -> Iterator[Problem]:
    if pacing.fastest.factor > 1:
        yield Problem("ST0237", "pacing", f"'fastest: {pacing.fastest}' is slower than planned.", "1x or less.")
    if pacing.slowest.factor < 1:
        yield Problem("ST0237", "pacing", f"'slowest: {pacing.slowest}' is faster than planned.", "1x or more.")


def _steps(stages: Sequence[Stage], pacing: Pacing) -> Iterator[Problem]:
    weight = 0
    for stage in stages:
        if stage.kind == "canary" and stage.weight - weight > pacing.max_step.per_10k:
            yield Problem(
                "ST0237", stage.name, f"the plan itself rises by {(stage.weight - weight) / 100:g} points; "
                f"'maxStep' is {pacing.max_step}.", "Add a step, or raise 'maxStep'.",
            )  # fmt: skip
        weight = stage.weight


def _times(plan: Plan, stages: Sequence[Stage], pacing: Pacing) -> Iterator[Problem]:
    lasts = sum(s.min_duration * (pacing.slowest.factor if s.kind == "canary" else 1.0) for s in stages)
    if lasts > plan.deadline.seconds:
        yield Problem(
            "ST0238", "pacing", f"at the slowest pace the steps end after the deadline of {plan.deadline}.",
            "Lengthen the deadline, or lower 'slowest'.",
        )  # fmt: skip
    for stage in stages:
        for metric in plan.guardrails:
            horizon = metric.horizon.seconds if metric.horizon and stage.watches(metric) else 0.0
            if stage.kind == "canary" and 0 < shortest(plan, stage) < horizon <= stage.min_duration:
                yield Problem(
                    "ST0238", stage.name,
                    f"at the fastest pace it ends before outcomes of '{metric.name}' mature ({metric.horizon}).",
                    "Raise 'fastest' or 'floor', or lengthen the pause.",
                )  # fmt: skip
