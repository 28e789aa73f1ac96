"""A holdout that nobody asks for, or that leaves nobody."""

from __future__ import annotations

from collections.abc import Iterator

from seatrial.rollout.plan import Plan
from seatrial.rollout.reconciliation.schedule import followed
from seatrial.rollout.validate.problem import Problem

LARGEST = 5_000
"""Beyond half of the units the new version is not what everybody has."""


def check_holdout(plan: Plan) -> Iterator[Problem]:
    """Its share, and until when it lasts."""
    if plan.holdout is None:
        if plan.holdout_until is not None:
            yield Problem("ST1590", "holdoutUntil", "there is no holdout that it could end.", "Add holdout: 5%.")
        return
    if not 0 < plan.holdout.per_10k <= LARGEST:
        yield Problem("ST1590", "holdout", f"{plan.holdout} is not between 0.01% and 50%.", "Take 5%, or none.")
    if plan.holdout_until is None and not followed(plan):
        yield Problem(
            "ST1590", "holdout", "no metric outlasts the rollout, so nobody would ever compare with it.",
            "Add a metric whose horizon is longer than the canary, say holdoutUntil: 31d, or remove it.",
        )  # fmt: skip
    if plan.holdout_until is not None and plan.holdout_until.seconds <= 0:
        yield Problem("ST1590", "holdoutUntil", "it is over when it begins.", "e.g. holdoutUntil: 31d")
