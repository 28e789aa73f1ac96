"""Many simulated releases of a plan: how often each end is reached, how soon, and who was exposed until then."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

import numpy as np

from seatrial.rollout.plan import Plan
from seatrial.rollout.simulate.effects import Scenario
from seatrial.rollout.simulate.feed import Feed, Grid
from seatrial.rollout.simulate.run import Outcome, grid_of, release
from seatrial.rollout.verdicts import Decision

DAY = 86_400.0

End = Literal["promoted", "home", "held"]
ENDS: tuple[End, ...] = ("promoted", "home", "held")
"""Everybody has it; evidence or an alarm took it back from everybody; the deadline came first, whatever follows it."""

Z95 = 1.959964


class Source(Protocol):
    """Where the exposures of a release come from."""

    def feed(self, scenario: Scenario, grid: Grid, seconds: float, rng: np.random.Generator) -> Feed:
        """Exposures of one release that lasts so many seconds at most."""
        ...


@dataclass(frozen=True, slots=True)
class Run:
    """One release. Times are in days since it began; ``struck``: until the first step back or abort by evidence."""

    end: End
    rule: str
    metrics: tuple[str, ...]
    days: float
    struck: float | None
    exposed: int
    looks: int


@dataclass(frozen=True)
class Study:
    """A plan tried on scenarios. Looks are the plan's own; whoever wants fewer changes the plan."""

    plan: Plan
    source: Source
    scenarios: tuple[Scenario, ...]
    begin: datetime

    def run(self, scenario: Scenario, rng: np.random.Generator) -> Run:
        """One release, to its end or to the first look after the deadline."""
        end = self.begin + self.plan.deadline.delta + self.plan.look_every.delta
        grid = grid_of(self.plan, self.begin)
        feed = self.source.feed(scenario, grid, (end - self.begin).total_seconds(), rng)
        return _told(release(self.plan, feed, self.begin, end), self.begin, grid)


@dataclass(frozen=True, slots=True)
class Chance:
    """A share of releases with its Monte-Carlo error: standard error, and a 95% interval (Wilson)."""

    count: int
    of: int

    @property
    def share(self) -> float:
        return self.count / self.of if self.of else math.nan

    @property
    def error(self) -> float:
        return math.sqrt(self.share * (1 - self.share) / self.of) if self.of else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Source: Wilson (1927). It has a width where all or none of the releases did it.

        >>> [round(edge, 4) for edge in Chance(0, 2000).interval]
        [0.0, 0.0019]
        """
        n, z2 = self.of, Z95**2
        if not n:
            return 0.0, 1.0
        middle = (self.count + z2 / 2) / (n + z2)
        reach = Z95 / (n + z2) * math.sqrt(self.count * (n - self.count) / n + z2 / 4)
        return max(middle - reach, 0.0), min(middle + reach, 1.0)


@dataclass(frozen=True, slots=True)
class Spread:
    """Median and 90% point of something; None where it never happened."""

    median: float | None
    most: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        if not values:
            return cls(None, None)
        median, most = np.quantile(np.array(values), [0.5, 0.9])
        return cls(float(median), float(most))


@dataclass(frozen=True, slots=True)
class Result:
    """What became of the releases of one scenario.

    ``struck``: those that evidence sent back at least one step; ``detection``: days until it first did. ``days``: to
    each end. ``exposed``: distinct units that the canary had before the way home. ``rules``: which rule decided, and
    ``metrics``: which guardrails did where that was harm.
    """

    scenario: Scenario
    releases: int
    ends: dict[End, Chance]
    struck: Chance
    days: dict[End, Spread]
    detection: Spread
    exposed: Spread
    rules: dict[str, int]
    metrics: dict[str, int]
    looks: float


def result(scenario: Scenario, runs: Sequence[Run]) -> Result:
    """The releases of one scenario, summed up."""
    n = len(runs)
    by_end: dict[End, list[Run]] = {end: [run for run in runs if run.end == end] for end in ENDS}
    struck = [run.struck for run in runs if run.struck is not None]
    return Result(
        scenario=scenario,
        releases=n,
        ends={end: Chance(len(found), n) for end, found in by_end.items()},
        struck=Chance(len(struck), n),
        days={end: Spread.of([run.days for run in found]) for end, found in by_end.items()},
        detection=Spread.of(struck),
        exposed=Spread.of([run.exposed for run in by_end["home"]]),
        rules=dict(Counter(run.rule for run in runs).most_common()),
        metrics=dict(Counter(name for run in by_end["home"] for name in run.metrics).most_common()),
        looks=sum(run.looks for run in runs) / n if n else math.nan,
    )


_EVIDENCE = frozenset({"hard_signal", "sample_ratio", "guardrail_harm"})


def _told(outcome: Outcome, begin: datetime, grid: Grid) -> Run:
    last = outcome.decisions[-1]
    strike = next((d for d in outcome.decisions if d.rule in _EVIDENCE and d.action in ("step_back", "abort")), None)
    end: End = "held"
    if outcome.state.status == "promoted":
        end = "promoted"
    elif outcome.state.status == "aborted" and last.rule in _EVIDENCE:
        end = "home"
    return Run(
        end=end,
        rule="deadline" if end == "held" else last.rule,
        metrics=tuple(v.metric for v in last.verdicts if v.verdict == "fail") if end == "home" else (),
        days=outcome.looks * grid.step / DAY,
        struck=None if strike is None else _days(strike, begin),
        exposed=outcome.exposed,
        looks=outcome.looks,
    )


def _days(decision: Decision, begin: datetime) -> float:
    return (decision.at - begin).total_seconds() / DAY
