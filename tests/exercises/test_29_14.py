"""Exercise 29.14: a controller that goes faster on good evidence and slower on bad, over whole simulated releases."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

from seatrial.rollout.plan import Plan
from seatrial.rollout.simulate import Outcome, grid_of, release
from seatrial.rollout.simulate.effects import Effect, Scenario
from seatrial.rollout.simulate.traffic import Declared, DeclaredFeed, Rate
from seatrial.rollout.validate import problems
from seatrial.store.plans import parse_plan

BEGIN = datetime(2026, 3, 2, tzinfo=UTC)
PACED = parse_plan("""
name: paced
timeBucket: 1d
lookEvery: 6h
deadline: 40d
onDeadline: abort
metrics:
  - {name: ctr, kind: proportion, outcome: click, horizon: 6h, margin: 5%, failOn: inferior, justification: agreed}
pacing: {metric: ctr, strong: 2%, fastest: 0.5x, slowest: 2x}
steps:
  - setWeight: 10%
  - pause: {duration: 4d}
  - setWeight: 25%
  - pause: {duration: 4d}
  - setWeight: 50%
  - pause: {duration: 4d}
""")
SITE = Declared(400_000, 50_000, {"ctr": Rate("share", 0.1, icc=0.02)})


def run(lift: str, plan: Plan = PACED) -> Outcome:
    """A whole release over the real gates."""
    scenario = Scenario(lift, "equal", {"ctr": Effect.parse(lift)})
    feed = DeclaredFeed(SITE, scenario, grid_of(plan, BEGIN), np.random.default_rng(3))
    return release(plan, feed, BEGIN, BEGIN + plan.deadline.delta)


def trace(outcome: Outcome) -> list[tuple[str, float, int]]:
    """Of every stage that was left: the pace, the days it lasted, and the share after it."""
    told, since = [], BEGIN
    for decision in outcome.decisions:
        if decision.action in ("advance", "promote"):
            assert decision.pace is not None
            told.append((decision.pace.word, (decision.at - since).total_seconds() / 86_400, decision.weight))
            since = decision.at
    return told


def test_strong_evidence_is_faster_and_skips_no_stage() -> None:
    assert problems(PACED) == []
    outcome = run("+10%")
    steps = trace(outcome)
    assert len(steps) == 3, "every stage is visited"
    assert [weight for _, _, weight in steps] == [3250, 5750, 10_000], "a larger step, up to the bound"
    assert [word for word, _, _ in steps] == ["fast"] * 3
    assert all(2.0 <= days < 4.0 for _, days, _ in steps)


def test_no_difference_goes_as_planned() -> None:
    steps = trace(run("+0.01%"))
    assert [weight for _, _, weight in steps] == [2500, 5000, 10_000]
    assert all(word == "standard" and days >= 4.0 for word, days, _ in steps)


def test_a_small_loss_within_tolerance_is_slower_and_smaller() -> None:
    """Proven worse, and proven to lose less than is tolerated: a step takes twice as long, and is half as large."""
    slower, planned = run("-3%"), run("-3%", replace(PACED, pacing=None))
    assert (slower.state.status, planned.state.status) == ("promoted", "promoted")
    assert trace(slower)[-1] == ("slow", 8.0, 10_000)
    assert slower.decisions[-1].at - planned.decisions[-1].at >= timedelta(days=4)
    assert trace(run("-4%"))[1] == ("slow", 8.0, 3750), "from 25%, half way to 50%"


def test_a_loss_beyond_tolerance_goes_back() -> None:
    outcome = run("-15%")
    first = outcome.first("step_back", "abort")
    assert first is not None
    assert (first.rule, outcome.state.status) == ("guardrail_harm", "aborted")
