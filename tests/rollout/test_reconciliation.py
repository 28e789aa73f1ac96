"""The judgement long after a rollout: how often it is wrong, what it says of what is planted, and what it costs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.evidence.follow_up import CohortCount, FollowUp, Reach
from seatrial.evidence.tally import MICRO, TOTAL, UNIT_BUCKETS, Cell, Tally
from seatrial.ids import CANARY, CHAMPION, ModelName, RolloutId, VersionNumber
from seatrial.rollout.maturity import maturity
from seatrial.rollout.metric import Metric, Surrogate
from seatrial.rollout.plan import Pause, Plan, Step
from seatrial.rollout.reconciliation.incident import options
from seatrial.rollout.reconciliation.judge import reconcile
from seatrial.rollout.reconciliation.schedule import followed, schedule
from seatrial.rollout.state import Phase, RolloutState
from seatrial.rollout.validate import problems
from seatrial.values import Duration, Margin, Share

D = Duration.parse
T0 = datetime(2026, 3, 2, tzinfo=UTC)
DAY = timedelta(days=1)
ERRORS = Metric(name="errors", kind="error_rate", margin=Margin.parse("1pp"))
WEEK = Metric(name="week", kind="proportion", outcome="back", horizon=D("7d"), missing="zero", role="signal")
MONTH = Metric(name="month", kind="mean", outcome="paid", horizon=D("30d"), missing="zero", role="signal")
CTR = Metric(name="ctr", kind="proportion", outcome="clicked", horizon=D("1h"), margin=Margin.parse("5%"),
             surrogate_of=Surrogate(metric="week", correlation=0.62))  # fmt: skip


def plan_of(*metrics: Metric, pause: str = "3d", **more: Any) -> Plan:
    steps = (Step(set_weight=Share.parse("50%")), Step(pause=Pause(duration=D(pause))))
    return Plan(name="p", steps=steps, metrics=(ERRORS, *metrics), **more)


def state_of(*, lasted: timedelta = 3 * DAY, status: Any = "promoted") -> RolloutState:
    phases = (Phase(1, 0, 5000, 0, T0), Phase(2, 0, 10_000, 0, T0 + lasted))
    return RolloutState(
        rollout=RolloutId("r-0001"), model=ModelName("shop"), champion=VersionNumber(1), candidate=VersionNumber(2),
        salt="s", started=T0, status=status, phases=phases if status == "promoted" else phases[:1],
    )  # fmt: skip


def follow_up(rng: np.random.Generator, units: int, rate_t: float, rate_c: float, *, whole: bool = True) -> FollowUp:
    """Units of three days, each in a bucket of its own draw; yes or no by the rates."""
    cells, cohorts = {}, []
    for day in range(3):
        for arm, rate in ((CANARY, rate_t), (CHAMPION, rate_c)):
            ripe = whole or day == 0
            n = rng.multinomial(units // 6, np.full(UNIT_BUCKETS, 1 / UNIT_BUCKETS))
            sums = np.zeros((UNIT_BUCKETS, 3), dtype=np.int64)
            sums[:, 0], sums[:, 1], sums[:, 2] = n, rng.binomial(n, rate) * MICRO, n * MICRO
            if ripe:
                cells[Cell(1, day * 86_400, TOTAL, arm)] = sums
            cohorts.append(CohortCount(day + 1, arm, units // 6, units // 6 if ripe else 0))
    return FollowUp(Tally(cells), tuple(cohorts), {}, {CHAMPION: units // 10}, {CHAMPION: units // 20})


def looks(rng: np.random.Generator, plan: Plan, harm: float, units: int = 20_000) -> list[str]:
    """Verdicts of all planned looks at one metric; the second sees the units of the first again."""
    state, found = state_of(), follow_up(rng, units, 0.5 - harm, 0.5)
    first = {cell: sums for cell, sums in found.tally.cells.items() if cell.time == 0}
    early = FollowUp(Tally(first), found.cohorts, {}, {}, {})
    moments = [due.at for due in schedule(plan, state)]
    told = [
        reconcile(plan, state, at, {"week": data}, Reach()) for at, data in zip(moments, (early, found), strict=True)
    ]
    return [result.metrics[0].verdict for result in told]


@pytest.mark.parametrize(
    ("metrics", "days"),
    [((WEEK, MONTH), [8, 10, 31, 33]), ((WEEK,), [8, 10]), ((), []), ((WEEK, CTR), [8, 10])],
)
def test_the_schedule_follows_horizons_and_cohorts(metrics: tuple[Metric, ...], days: list[int]) -> None:
    plan = plan_of(*metrics)
    assert [due.day for due in schedule(plan, state_of())] == days
    assert schedule(plan, state_of(status="running")) == (), "nothing is due of a rollout that goes on"


def test_what_a_gate_waits_for_is_not_followed_unless_a_surrogate_stands_in_for_it() -> None:
    long = plan_of(WEEK, pause="10d")
    assert followed(long) == ()
    assert [m.name for m in followed(plan_of(WEEK, CTR, pause="10d"))] == ["week"]
    assert [m.name for m in followed(plan_of(WEEK))] == ["week"]


def test_false_alarms_stay_within_the_budget_and_planted_harm_is_found() -> None:
    """Both looks together; the budget of planned looks is 70% of 5%."""
    plan, rng = plan_of(WEEK), np.random.default_rng(11)
    null = sum("fail" in looks(rng, plan, 0.0) for _ in range(300))
    assert null <= 18, "0.05 of 300, and one standard error"
    assert null >= 2, "a test that never speaks would be none"
    assert sum("fail" in looks(rng, plan, 0.03) for _ in range(40)) >= 36


def test_a_margin_passes_what_lies_within_it_and_nothing_passes_without_one() -> None:
    rng, state = np.random.default_rng(3), state_of()
    data = {"week": follow_up(rng, 90_000, 0.5, 0.5)}
    at = schedule(plan_of(WEEK), state)[1].at
    with_margin = replace(WEEK, margin=Margin.parse("5%"))
    assert reconcile(plan_of(with_margin), state, at, data, Reach()).metrics[0].verdict == "pass"
    assert reconcile(plan_of(WEEK), state, at, data, Reach()).metrics[0].verdict == "inconclusive"


def test_looks_between_the_planned_ones_are_wider() -> None:
    rng, state, plan = np.random.default_rng(3), state_of(), plan_of(WEEK)
    data, at = {"week": follow_up(rng, 30_000, 0.5, 0.5)}, schedule(plan_of(WEEK), state_of())[1].at
    planned = reconcile(plan, state, at, data, Reach()).metrics[0]
    between = reconcile(plan, state, at + DAY, data, Reach()).metrics[0]
    assert (planned.planned, between.planned) == (True, False)
    assert (between.lower or 0) < (planned.lower or 0) < 0
    assert between.estimate == planned.estimate


@given(st.integers(0, 12 * 24))
def test_maturity_only_grows_and_is_mature_after_the_last_horizon(hours: int) -> None:
    state, now = state_of(), T0 + timedelta(hours=hours)
    before, after = maturity(WEEK, state, now), maturity(WEEK, state, now + DAY)
    assert before is not None
    assert after is not None
    assert all(a.matured <= b.matured for a, b in zip(before.cohorts, after.cohorts, strict=True))
    assert (before.state == "immature") is (hours <= 7 * 24)
    assert (before.state == "mature") is (hours >= 10 * 24)


def test_the_costs_are_units_a_day_times_the_effect_and_going_back_must_be_possible() -> None:
    rng, state, plan = np.random.default_rng(3), state_of(), plan_of(WEEK)
    at = schedule(plan, state)[1].at
    found = reconcile(plan, state, at, {"week": follow_up(rng, 30_000, 0.45, 0.5)}, Reach(exposed=40_000, daily=1_000))
    (metric,) = found.metrics
    assert metric.harm
    assert metric.difference is not None
    back, hold, forward = options(plan, found, metric, "")
    assert hold.cost.estimate == pytest.approx(-metric.difference[0] * 1_000 * 30)
    assert forward.cost.estimate == pytest.approx(hold.cost.estimate * 3 / 30)
    assert (back.possible, back.changes, back.cost.estimate) == (True, 40_000, 0.0)
    gone, *_ = options(plan, found, metric, "v1 is the standby no more")
    assert (gone.possible, gone.text) == (False, "v1 is the standby no more")


@pytest.mark.parametrize(
    ("surrogate", "code"),
    [
        (Surrogate(metric="none", correlation=0.5), "ST0320"),
        (Surrogate(metric="ctr", correlation=0.5), "ST0320"),
        (Surrogate(metric="errors", correlation=0.5), "ST0321"),
        (Surrogate(metric="week", correlation=1.5), "ST0322"),
        (Surrogate(metric="week", correlation=0.0), "ST0322"),
        (Surrogate(metric="week", correlation=0.62), None),
    ],
)
def test_a_surrogate_leads_somewhere(surrogate: Surrogate, code: str | None) -> None:
    ctr = replace(CTR, surrogate_of=surrogate)
    assert [p.code for p in problems(plan_of(WEEK, ctr))] == ([] if code is None else [code])


def test_a_promise_for_later_needs_something_that_is_known_later() -> None:
    assert [p.code for p in problems(plan_of(on_reconciled_harm="rollback"))] == ["ST0323"]
    assert problems(plan_of(WEEK, on_reconciled_harm="rollback")) == []
