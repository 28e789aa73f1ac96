"""The real gates on real flights, without traffic: 10%, 25% and 50% of the aircraft, a week each, three guardrails.

Each null (A/A) is paired with a planted fault on the same flights that must be found.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from sklearn.pipeline import Pipeline

from seatrial.demo import offline, train
from seatrial.gateway.assignment import assign, bucket
from seatrial.rollout.simulate import Outcome, Population, simulate
from seatrial.store.plans import check_plan, parse_plan

PLAN = check_plan(
    parse_plan("""
name: weeks
timeBucket: 1d
lookEvery: 1d
deadline: 31d
metrics:
  - {name: log_loss, kind: loss, loss: log_loss, outcome: delayed, margin: 5%, horizon: 24h}
  - {name: errors, kind: error_rate, margin: 2pp}
  - {name: slow, kind: latency, threshold: 1s, margin: 2pp}
steps:
  - setWeight: 10%
  - pause: {duration: 7d}
  - setWeight: 25%
  - pause: {duration: 7d}
  - setWeight: 50%
  - pause: {duration: 7d}
""")
)
JULY, AUGUST = datetime(2013, 7, 1, tzinfo=UTC), datetime(2013, 8, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def winter() -> Pipeline:
    return train.train(date(2013, 1, 1), date(2013, 3, 1)).pipeline


@pytest.fixture(scope="module")
def spring() -> Pipeline:
    return train.train(date(2013, 5, 1), date(2013, 7, 1)).pipeline


@dataclass(frozen=True)
class Run:
    outcomes: list[Outcome]

    @property
    def stepped_back(self) -> int:
        return sum(o.first("step_back", "abort") is not None for o in self.outcomes)

    @property
    def promoted(self) -> int:
        return sum(o.state.status == "promoted" for o in self.outcomes)

    @property
    def reached_half(self) -> int:
        return sum(any(p.weight >= 5_000 for p in o.state.phases) for o in self.outcomes)


def release(champion: Pipeline, challenger: Pipeline, begin: datetime, salts: int, features: str = "minutes") -> Run:
    end = begin + timedelta(days=31)
    rows = offline.events(champion, challenger, begin, end, release=features)
    population, units = offline.population(rows, horizon=timedelta(hours=24), rare=("errors", "slow"))
    return Run([one(population, units, f"salt-{n}", begin, end) for n in range(salts)])


def one(population: Population, units: list[str], salt: str, begin: datetime, end: datetime) -> Outcome:
    points = np.array([assign(salt, unit) for unit in units], dtype=np.int64)
    buckets = np.array([bucket("variance", unit) for unit in units], dtype=np.int64)
    return simulate(PLAN, population, points, buckets, begin, end)


def test_a_better_model_is_promoted(winter: Pipeline, spring: Pipeline) -> None:
    run = release(winter, spring, JULY, 20)
    assert (run.promoted, run.stepped_back) == (20, 0)


@pytest.mark.slow
def test_the_same_model_is_not_sent_back_and_the_hours_fault_is(spring: Pipeline) -> None:
    null = release(spring, spring, AUGUST, 40)
    assert null.stepped_back <= 7, "99.9% bound of Binomial(40, 5%)"
    assert null.promoted >= 20
    fault = release(spring, spring, AUGUST, 40, features="hours")
    assert fault.stepped_back == 40
    assert fault.reached_half == 0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_false_rollbacks_and_found_faults_over_400_salts(spring: Pipeline) -> None:
    null = release(spring, spring, AUGUST, 400)
    fault = release(spring, spring, AUGUST, 400, features="hours")
    print(f"A/A: {null.stepped_back} of 400 stepped back, {null.promoted} promoted; hours: {fault.stepped_back} found")
    assert null.stepped_back <= 35, "99.9% bound of Binomial(400, 5%)"
    assert fault.stepped_back >= 380
    assert fault.reached_half <= 20
