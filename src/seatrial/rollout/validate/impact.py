"""What a plan owes to the people its model decides about: steps that catch harm early, consent, and floors."""

from __future__ import annotations

from collections.abc import Iterator

from seatrial.rollout.metric import OUTCOME_KINDS
from seatrial.rollout.plan import Plan
from seatrial.rollout.stages import compile_stages
from seatrial.rollout.validate.problem import Problem

CAREFUL = frozenset({"immediate", "irreversible", "clinical"})


def check_impact(plan: Plan) -> Iterator[Problem]:
    """A decision that acts at once, or cannot be taken back, is seen in shadow and on few before it is everybody's."""
    if plan.impact in CAREFUL:
        kinds = {stage.kind for stage in compile_stages(plan)}
        for kind, step, why in (
            ("shadow", "a shadow step", "nobody sees what it would decide before it decides"),
            ("canary", "a setWeight below 100%", "it goes from nobody to everybody at once"),
        ):
            if kind not in kinds:
                yield Problem(
                    "ST0344", "steps", f"the impact is {plan.impact}, and without {step} {why}.",
                    f"Add {step}, or say why not: `seatrial rollout start --override REASON`.",
                )  # fmt: skip
    if plan.impact == "clinical":
        yield from _clinical(plan)


def _clinical(plan: Plan) -> Iterator[Problem]:
    if plan.ethics is None or not plan.ethics.reference.strip():
        yield Problem(
            "ST0345", "ethics", "a clinical rollout needs the approval of an ethics board.",
            "Give its number: ethics: {reference: IRB 2026-113}.",
        )  # fmt: skip
    if plan.unit is None or plan.unit.kind is None:
        yield Problem(
            "ST0345", "unit", "a clinical rollout randomises sites or readers, not requests of patients.",
            "Say so: unit: {header: x-site-id, kind: site}.",
        )  # fmt: skip
    for stage in compile_stages(plan):
        if stage.kind == "canary" and (stage.approval is None or not stage.approval.by):
            yield Problem(
                "ST0345", stage.name, "a clinical rollout goes on by the word of named people only.",
                "End it with approval: {by: [NAME]}.",
            )  # fmt: skip


def check_populations(plan: Plan) -> Iterator[Problem]:
    """Populations that hold everybody or nobody, or belong to a metric that has none."""
    for m in plan.metrics:
        if (asked := m.among) is None:
            continue
        where = f"metric '{m.name}'"
        if m.kind not in OUTCOME_KINDS:
            yield Problem("ST0217", where, f"'among' has no meaning for kind {m.kind}.", "Remove it.")
        if asked.below is None and asked.at_least is None:
            yield Problem("ST0239", where, f"'among {asked.name}' is everybody.", "Give 'below', 'atLeast' or both.")
        elif asked.below is not None and asked.at_least is not None and asked.below <= asked.at_least:
            yield Problem(
                "ST0239", where, f"no score is below {asked.below:g} and at least {asked.at_least:g}.", "Swap them."
            )


def check_floors(plan: Plan) -> Iterator[Problem]:
    """Floors of what the plan does not know."""
    shares = {m.name for m in plan.metrics if m.kind == "proportion"}
    segments = {segment.name for segment in plan.segments}
    for floor in plan.floors or ():
        where = f"floor of '{floor.metric}'"
        if floor.metric not in shares:
            yield Problem(
                "ST0346", where, "a floor is of a proportion of this plan.",
                f"Metrics of kind proportion: {', '.join(sorted(shares)) or 'none'}.",
            )  # fmt: skip
        if floor.segment not in segments:
            yield Problem(
                "ST0346", where, f"there is no segment '{floor.segment}'.",
                f"Segments: {', '.join(sorted(segments)) or 'none'}.",
            )  # fmt: skip
        if floor.hold == "unit" and (plan.unit is None or plan.unit.kind is None):
            yield Problem(
                "ST0346", where, "'hold: unit' sends single sites home, and the plan does not say that a unit is one.",
                "Say so (unit: {header: x-site-id, kind: site}), or hold: all.",
            )  # fmt: skip
