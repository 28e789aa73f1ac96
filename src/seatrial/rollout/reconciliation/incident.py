"""What can be done about harm that is found after everybody has the candidate, and what each way is estimated to cost.

Nothing of this is decided here: the release has been out for days, the champion of before has grown old, and other
metrics may be better. So people choose, with the numbers before them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from seatrial.rollout.plan import Plan
from seatrial.rollout.reconciliation.judge import Reconciled, Reconciliation
from seatrial.rollout.stages import compile_stages

Choice = Literal["roll_back", "hold", "fix_forward"]
CHOICES: tuple[Choice, ...] = get_args(Choice)

HOLD_DAYS = 30.0
"""How far ahead the cost of doing nothing is counted."""


@dataclass(frozen=True, slots=True)
class Cost:
    """In the metric's own unit, e.g. units that do not return: the estimate, and the ends of its interval."""

    estimate: float
    lower: float
    upper: float

    def times(self, factor: float) -> Cost:
        return Cost(self.estimate * factor, self.lower * factor, self.upper * factor)


@dataclass(frozen=True, slots=True)
class Option:
    """One way on. ``days`` until the harm ends (None: it does not), ``cost`` until then or within 30 days.

    ``changes``: units that change version once more. ``possible`` is False where there is no way back.
    """

    choice: Choice
    possible: bool
    text: str
    days: float | None
    cost: Cost
    changes: int = 0


def loss_per_day(metric: Reconciled, daily: float) -> Cost:
    """Units a day that meet the candidate, times what it loses on each: positive is a loss.

    Lower bounds of the cost where arms were diluted, because the effect is one.
    """
    if metric.difference is None:
        return Cost(0.0, 0.0, 0.0)
    sign = -1.0 if metric.better == "increase" else 1.0
    ends = sorted(sign * value for value in metric.difference[1:])
    return Cost(sign * metric.difference[0], ends[0], ends[1]).times(daily)


def options(plan: Plan, found: Reconciliation, metric: Reconciled, way_home: str) -> tuple[Option, ...]:
    """The three ways on. ``way_home``: why one cannot go back, empty if one can."""
    a_day = loss_per_day(metric, found.daily)
    release_days = sum(stage.min_duration for stage in compile_stages(plan)) / 86_400
    none = Cost(0.0, 0.0, 0.0)
    home = way_home or f"ends the harm at once; {found.exposed:,} units change version once more"
    return (
        Option("roll_back", not way_home, home, 0.0, none, found.exposed),
        Option("hold", True, f"nothing changes; counted over {HOLD_DAYS:g} days", None, a_day.times(HOLD_DAYS)),
        Option(
            "fix_forward",
            True,
            f"the next version takes at least {release_days:.3g} days by this plan, and has to be built first",
            release_days,
            a_day.times(release_days),
        ),
    )
