"""Steps that cannot be walked, and conditions that no rule would read where they stand."""

from __future__ import annotations

from collections.abc import Iterator

from seatrial.rollout.plan import Plan
from seatrial.rollout.stages import compile_stages
from seatrial.rollout.validate.problem import Problem


def check_steps(plan: Plan) -> Iterator[Problem]:
    weight = 0
    opened = False
    for n, step in enumerate(plan.steps, start=1):
        where = f"step {n}"
        given = step.actions
        if len(given) != 1:
            yield Problem("ST0201", where, "a step is a map with exactly one action.", "Split it into one step each.")
            continue
        if not opened and given[0] in ("pause", "analysis", "approval"):
            yield Problem("ST0202", where, f"'{given[0]}' before any traffic.", "Begin with 'shadow' or 'setWeight'.")
        opened = opened or given[0] in ("shadow", "set_weight")
        if step.shadow is not None and weight > 0:
            yield Problem("ST0204", where, "shadow after users are on the canary.", "Shadow first, then set weights.")
        if step.shadow is not None and step.shadow.share.per_10k == 0:
            yield Problem("ST0205", where, "a shadow of 0% sees nothing.", "Give a share above 0%.")
        if step.set_weight is not None:
            if step.set_weight.per_10k <= weight:
                yield Problem(
                    "ST0206", where, f"setWeight {step.set_weight} does not rise above {weight / 100:g}%.",
                    "Weights rise from step to step; going back is what evidence decides.",
                )  # fmt: skip
            weight = step.set_weight.per_10k
            if weight == 10_000 and n < len(plan.steps):
                yield Problem("ST0207", where, "setWeight 100% is the promotion.", "Make it the last step.")
    if not compile_stages(plan):
        yield Problem(
            "ST0208", "steps", "nobody sees the candidate before everybody does.",
            "Add a shadow step or a setWeight below 100%.",
        )  # fmt: skip


def check_ignored(plan: Plan) -> Iterator[Problem]:
    """Conditions that no rule would read where they stand."""
    stage, opened = "", 0
    for n, step in enumerate(plan.steps, start=1):
        if step.shadow is not None or (step.set_weight is not None and step.set_weight.per_10k < 10_000):
            stage, opened = ("shadow" if step.shadow is not None else "canary"), n
        if step.analysis is not None and step.analysis.min_pairs is not None and stage == "canary":
            yield Problem("ST0209", f"step {n}", "'minPairs' counts shadow pairs; a canary has none.", "Use minUnits.")
    for n, step in enumerate(plan.steps[opened:], start=opened + 1):
        if step.analysis is not None and step.analysis.tolerance is not None:
            yield Problem(
                "ST0209", f"step {n}", "'tolerance' before promotion has no meaning: there the margin itself counts.",
                "Remove it, or widen the margin.",
            )  # fmt: skip
