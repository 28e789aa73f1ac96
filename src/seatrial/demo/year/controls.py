"""What the gates can tell, shown on the same flights: a storm is nobody's regression, and a fault beside it is found.

Only the live steps of the plan are taken: in shadow a model and itself answer alike, and the storm would be over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import dropwhile

from seatrial.demo.flights import instant
from seatrial.demo.year.config import Controls
from seatrial.demo.year.log import Answers
from seatrial.demo.year.loop import HOUR, History
from seatrial.demo.year.release import Released, Stage
from seatrial.events.schema import to_micros
from seatrial.rollout.plan import Plan

TOLD = timedelta(days=3)
"""By then what happened on a day has matured and was looked at."""


@dataclass(frozen=True)
class Control:
    """One release over a storm; ``fault``: the release of the feature service from that day on, none if empty."""

    storm: date
    split: int
    fault: str
    version: int
    released: Released

    @property
    def sent_back(self) -> datetime | None:
        found = self.released.first("step_back", "abort")
        return found.at if found is not None and found.rule == "guardrail_harm" else None

    @property
    def by_storm(self) -> bool:
        """Sent back while the storm's day was what was new to be looked at."""
        return self.sent_back is not None and timedelta() <= self.sent_back - instant(self.storm) <= HOUR * 4 + TOLD

    @property
    def days(self) -> float | None:
        """From the storm until it was sent back."""
        return None if self.sent_back is None else (self.sent_back - instant(self.storm)) / timedelta(days=1)


def controls(stage: Stage, history: History, asked: Controls, end: datetime) -> Iterator[Control]:
    """Every storm, split by split: the champion of the time against itself, and against itself with the fault."""
    stage = replace(stage, plan=live_steps(stage.plan))
    for storm in asked.storms:
        for split in range(1, asked.splits + 1):
            for fault in ("", asked.fault):
                yield _control(stage, history, asked, storm, split, fault, end)


def _control(
    stage: Stage, history: History, asked: Controls, storm: date, split: int, fault: str, end: datetime
) -> Control:
    begin = instant(storm) + HOUR - asked.before.delta
    version = history.serving(begin)
    scores = version.scores
    if fault:
        last = min(begin + stage.plan.deadline.delta, end)
        part = stage.world.between(to_micros(instant(storm)) - 1, to_micros(last))
        scores = stage.world.faulty(version.pipeline, scores, fault, part)
    # Both have the same aircraft on the canary: what the fault alone does is seen.
    name = f"storm-{storm:%m%d}-{split}"
    answers = Answers(version.number, version.number + 1, version.scores, scores)
    released = stage.release(f"{name}-{fault or 'same'}", answers, begin, end, salt=name)
    return Control(storm, split, fault, version.number, released)


def live_steps(plan: Plan) -> Plan:
    """The plan from its first step with users on."""
    return replace(plan, steps=tuple(dropwhile(lambda step: step.set_weight is None, plan.steps)))
