"""What a plan asks for that cannot be honoured, found before anything starts. A setting is never ignored silently."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from seatrial.rollout.plan import Plan
from seatrial.rollout.validate.margins import PRESERVED, check_margins
from seatrial.rollout.validate.metrics import check_metrics
from seatrial.rollout.validate.problem import Problem
from seatrial.rollout.validate.steps import check_ignored, check_steps
from seatrial.rollout.validate.times import check_times

__all__ = ["PRESERVED", "Problem", "problems"]

CHECKS: tuple[Callable[[Plan], Iterator[Problem]], ...] = (
    check_steps,
    check_ignored,
    check_metrics,
    check_margins,
    check_times,
)
"""In reading order."""


def problems(plan: Plan) -> list[Problem]:
    """Everything that is wrong with a plan, in reading order; empty when it can be honoured."""
    return [problem for check in CHECKS for problem in check(plan)]
