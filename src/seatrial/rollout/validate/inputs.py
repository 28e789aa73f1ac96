"""What a plan says about inputs."""

from __future__ import annotations

from collections.abc import Iterator

from seatrial.rollout.plan import Inputs, Plan
from seatrial.rollout.validate.problem import Problem


def check_inputs(plan: Plan) -> Iterator[Problem]:
    if plan.inputs is None:
        return
    if not plan.mirrors:
        yield Problem(
            "ST0229", "inputs", "no step shadows: two models never get the same request.",
            "Add a shadow step, or leave inputs out.",
        )  # fmt: skip
    yield from values_problems(plan.inputs)


def values_problems(inputs: Inputs) -> Iterator[Problem]:
    """Values that compare nothing, whoever gave them."""
    if not 0 <= inputs.tolerance < 1:
        yield Problem(
            "ST0228", "inputs.tolerance", f"{inputs.tolerance:g} is no relative tolerance.",
            "Give a part of the larger number, e.g. 1e-9.",
        )  # fmt: skip
    if inputs.max_divergence.per_10k == 10_000:
        yield Problem("ST0228", "inputs.maxDivergence", "100% finds nothing.", "Give a share below 100%, e.g. 1%.")
    names = inputs.features
    if names is not None and (
        not names or len(set(names)) < len(names) or any(name[:1] in ("", "@") for name in names)
    ):
        yield Problem(
            "ST0228", "inputs.features", "names of features are wanted, each of them once, none with an '@' in front.",
            "Leave it out to compare every feature that both models tell.",
        )  # fmt: skip
