"""A paced release as a whole, over the real gates: its errors stay what they are, and good news arrives sooner."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from seatrial.rollout.plan import Plan
from seatrial.rollout.simulate.effects import Effect, Scenario
from seatrial.rollout.simulate.study import Result, Study, result
from seatrial.rollout.simulate.traffic import Declared, Rate
from seatrial.store.plans import parse_plan

PACED = parse_plan("""
name: paced
lookEvery: 1h
deadline: 30d
onDeadline: abort
metrics: [{name: ctr, kind: proportion, outcome: c, horizon: 1h, margin: 5%}]
pacing: {metric: ctr, strong: 2%}
steps:
  - setWeight: 10%
  - pause: {duration: 2d}
  - setWeight: 25%
  - pause: {duration: 2d}
  - setWeight: 50%
  - pause: {duration: 2d}
""")
SITE = Declared(60_000, 8_000, {"ctr": Rate("share", 0.1, icc=0.05)})


def tried(plan: Plan, lift: float, releases: int) -> Result:
    scenario = Scenario(f"{lift:+.0%}", "equal", {"ctr": Effect(lift, "relative")} if lift else {})
    study = Study(plan, SITE, (scenario,), datetime(2024, 1, 1, tzinfo=UTC))
    return result(scenario, [study.run(scenario, np.random.default_rng([7, n])) for n in range(releases)])


@pytest.mark.slow
def test_a_pace_costs_no_errors_and_saves_days() -> None:
    null, worse = tried(PACED, 0.0, 20), tried(PACED, -0.05, 14)
    assert null.struck.count <= 5, "99.9% bound of Binomial(20, 5%)"
    assert worse.ends["promoted"].count <= 4, "99.9% bound of Binomial(14, 5%)"
    assert worse.struck.count >= 7, "the loss that must not pass is found"
    better, planned = tried(PACED, 0.08, 10), tried(replace(PACED, pacing=None), 0.08, 10)
    assert better.ends["promoted"].count == planned.ends["promoted"].count == 10
    fast, standard = better.days["promoted"].median, planned.days["promoted"].median
    assert fast is not None
    assert standard is not None
    assert fast < standard
