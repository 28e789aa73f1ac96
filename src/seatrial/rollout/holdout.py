"""How long a plan's holdout lasts, and how its share leaves room for everybody else's."""

from __future__ import annotations

from datetime import datetime

from seatrial.rollout.plan import Plan
from seatrial.rollout.reconciliation.schedule import schedule
from seatrial.rollout.state import RolloutState

POINTS = 10_000


def lasts_until(plan: Plan, state: RolloutState, promoted: datetime) -> datetime:
    """``holdoutUntil`` after the promotion, or else the last reconciliation, after which nobody asks any more."""
    if plan.holdout_until is not None:
        return promoted + plan.holdout_until.delta
    dues = schedule(plan, state)
    return dues[-1].at if dues else promoted


def beside(points: int, held: int) -> int:
    """So many of 10,000 points where a holdout has the last ``held``: the same share of the rest, never nobody.

    It rises with ``points``, so a canary that grows still loses nobody.

    >>> beside(1_000, 500), beside(10_000, 500), beside(1, 500), beside(0, 500)
    (950, 9500, 1, 0)
    """
    return max(points * (POINTS - held) // POINTS, min(points, 1))
