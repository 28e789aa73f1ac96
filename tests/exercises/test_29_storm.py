"""Days on which everything is late are nobody's regression: 8 and 9 February and 8 March 2013 in New York.

An A/A canary over both snowstorms is judged by the real gates on the real flights, offline; a feature service that
speaks hours from the first storm on, in the same weeks, has to be found.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from sklearn.pipeline import Pipeline

from seatrial.demo import flights, offline, train
from seatrial.gateway.assignment import assign, bucket
from seatrial.rollout.simulate import Outcome, simulate
from seatrial.store.plans import check_plan, parse_plan

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PLAN = check_plan(
    parse_plan("""
name: winter
timeBucket: 1d
lookEvery: 1d
deadline: 45d
metrics:
  - {name: log_loss, kind: loss, loss: log_loss, outcome: delayed, margin: 5%, horizon: 24h}
  - {name: errors, kind: error_rate, margin: 2pp}
  - {name: slow, kind: latency, threshold: 1s, margin: 2pp}
steps:
  - setWeight: 10%
  - pause: {duration: 12d}
  - setWeight: 25%
  - pause: {duration: 12d}
  - setWeight: 50%
  - pause: {duration: 14d}
""")
)
BEGIN = datetime(2013, 2, 2, tzinfo=UTC)
END = BEGIN + timedelta(days=40)
STORMS = (date(2013, 2, 8), date(2013, 2, 9), date(2013, 3, 8))
TOLD = timedelta(days=3)
"""By then what happened on a day has matured and was looked at."""

SALTS = 40


@pytest.fixture(scope="module")
def summer() -> Pipeline:
    """The demo's model of May and June. It leans on scheduled times, which a model of January alone hardly does, so
    that hours for minutes do harm: a loss of 25% in these weeks."""
    return train.train(date(2013, 5, 1), date(2013, 7, 1)).pipeline


def releases(model: Pipeline, features: str, fault_from: date | None = None) -> list[Outcome]:
    rows = offline.events(model, model, BEGIN, END, release=features, fault_from=fault_from)
    population, units = offline.population(rows, horizon=timedelta(hours=24), rare=("errors", "slow"))
    buckets = np.array([bucket("variance", unit) for unit in units], dtype=np.int64)
    return [
        simulate(PLAN, population, np.array([assign(f"salt-{n}", unit) for unit in units]), buckets, BEGIN, END)
        for n in range(SALTS)
    ]


def near_a_storm(at: datetime) -> bool:
    days = [datetime(day.year, day.month, day.day, tzinfo=UTC) for day in STORMS]
    return any(day <= at <= day + timedelta(days=1) + TOLD for day in days)


def test_the_storms_are_in_the_data() -> None:
    rows = flights.load(BEGIN, END)
    late = rows.assign(day=rows.event_time.dt.date).groupby("day").delayed.mean()
    cancelled = rows.assign(day=rows.event_time.dt.date, gone=rows.delayed.isna()).groupby("day").gone.mean()
    worst = {*late.nlargest(4).index, *cancelled.nlargest(4).index}
    assert {*STORMS} <= worst, worst


def test_storm_days_abort_nothing_and_a_fault_in_the_same_weeks_is_found(summer: Pipeline) -> None:
    same = releases(summer, "minutes")
    sent_back = [back.at for outcome in same if (back := outcome.first("step_back", "abort")) is not None]
    over = sum(any(near_a_storm(d.at) and d.weight for d in outcome.decisions) for outcome in same)
    fault = releases(summer, "hours", fault_from=STORMS[0])
    found = [back.at for outcome in fault if (back := outcome.first("step_back", "abort")) is not None]
    print(f"A/A: {len(sent_back)} of {SALTS} sent back; hours from {STORMS[0]} on: {len(found)} found")
    assert [at for at in sent_back if near_a_storm(at)] == [], "the weather hits both arms"
    assert len(sent_back) <= 7, "99.9% bound of Binomial(40, 5%)"
    assert over > 0, "users were on the canary in the storms"
    assert len(found) >= 38, "what is not found in time waits at its deadline"
    assert not any(outcome.state.status == "promoted" for outcome in fault)
