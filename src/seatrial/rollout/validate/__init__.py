"""What a plan asks for that cannot be honoured, found before anything starts. A setting is never ignored silently."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from seatrial.rollout.plan import Plan
from seatrial.rollout.validate.agreements import check_agreements
from seatrial.rollout.validate.holdout import check_holdout
from seatrial.rollout.validate.impact import check_floors, check_impact, check_populations
from seatrial.rollout.validate.inputs import check_inputs
from seatrial.rollout.validate.margins import PRESERVED, check_justifications, check_margins
from seatrial.rollout.validate.metrics import check_metrics
from seatrial.rollout.validate.pacing import check_pacing
from seatrial.rollout.validate.people import check_approvals, check_names
from seatrial.rollout.validate.problem import Problem
from seatrial.rollout.validate.sampling import check_sampling
from seatrial.rollout.validate.segments import check_segments
from seatrial.rollout.validate.steps import check_ignored, check_steps
from seatrial.rollout.validate.surrogates import check_surrogates
from seatrial.rollout.validate.times import check_times

__all__ = ["PRESERVED", "Problem", "problems"]

CHECKS: tuple[Callable[[Plan], Iterator[Problem]], ...] = (
    check_steps,
    check_ignored,
    check_names,
    check_approvals,
    check_segments,
    check_sampling,
    check_metrics,
    check_agreements,
    check_margins,
    check_justifications,
    check_times,
    check_pacing,
    check_impact,
    check_populations,
    check_floors,
    check_inputs,
    check_surrogates,
    check_holdout,
)
"""In reading order."""


def problems(plan: Plan) -> list[Problem]:
    """Everything that is wrong with a plan, in reading order; empty when it can be honoured."""
    return [problem for check in CHECKS for problem in check(plan)]
