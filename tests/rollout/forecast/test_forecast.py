"""Plans on declared traffic: what binds, how long it takes, which share, and what is refused."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from seatrial.rollout.forecast import Forecast, Traffic, declare, forecast, sights
from seatrial.rollout.forecast.needs import Slot, reached
from seatrial.rollout.forecast.rare import smallest_increase, units_to_pass
from seatrial.rollout.forecast.shares import power_curves
from seatrial.rollout.plan import Plan
from seatrial.rollout.stages import Stage
from seatrial.stats.counts import bernoulli_bounds, harm_grid, rate_ratio_log_e, relief_grid
from seatrial.store.plans import parse_plan
from seatrial.values import Margin

CTR = "{name: ctr, kind: proportion, outcome: click, horizon: 1h, margin: 0.5%}"


def plan(*steps: str, metrics: str = CTR, deadline: str = "30d") -> Plan:
    lines = "".join(f"  - {step}\n" for step in steps)
    return parse_plan(f"name: p\ndeadline: {deadline}\nmetrics:\n  - {metrics}\nsteps:\n{lines}")


CANARY = plan("setWeight: 10%", "pause: {duration: 7d}")


def told(of: Plan, per_day: float = 20e6, rate: float = 0.052, design_effect: float = 1.0, **asked: object) -> Forecast:
    traffic = {m.name: declare(m, per_day, rate, design_effect=design_effect) for m in of.guardrails}
    return forecast(of, traffic, **asked)  # type: ignore[arg-type]


# ── the sample ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_textbook_stands_beside_the_real_split_and_the_boundary() -> None:
    """20M requests a day, 10% canary, 5.2% clicks, 0.5% fewer: 5.71 days with equal arms, 3.17 with the real ones."""
    (row,) = told(CANARY).comparisons
    assert [round(days, 2) for days in (row.equal_days, row.split_days, row.boundary_days)] == [5.71, 3.17, 3.51]
    assert row.boundary / row.split == pytest.approx((2.108 + 0.8416) ** 2 / (1.96 + 0.8416) ** 2, rel=5e-3)


def test_a_design_effect_multiplies_the_time() -> None:
    """An effective sample of 40% is a design effect of 2.5."""
    one, clustered = (told(CANARY, design_effect=d).comparisons[0] for d in (1.0, 2.5))
    for field in ("equal_days", "split_days", "boundary_days"):
        assert getattr(clustered, field) == pytest.approx(2.5 * getattr(one, field))


def test_evidence_of_earlier_stages_counts() -> None:
    alone = told(CANARY).stages[-1].needs[0].days
    after = told(plan("setWeight: 5%", "pause: {duration: 2d}", "setWeight: 10%", "pause: {duration: 7d}"))
    assert after.stages[-1].needs[0].days < alone - 0.9
    assert after.stages[0].needs[0].bound == pytest.approx(0.015), "three margins before the last stage"


def test_a_loss_in_shadow_is_forecast_once_pairs_were_seen() -> None:
    loss = "{name: loss, kind: loss, loss: log_loss, outcome: y, horizon: 1h, margin: 5%}"
    shadow = plan("shadow: {share: 50%}", "pause: {duration: 2d}", metrics=loss)
    seen = declare(shadow.guardrails[0], 1e4, 0.4, deviation=0.6)
    assert forecast(shadow, {"loss": seen}).stages[0].needs == ()
    (stage,) = forecast(shadow, {"loss": replace(seen, pair_variance=0.5)}).stages
    (needed,) = stage.needs
    assert needed.days == pytest.approx((2.9496 / math.log(1.05)) ** 2 * 0.5 / 5e3 + 1 / 24, rel=1e-3)
    assert needed.candidate == pytest.approx((needed.days - 1 / 24) * 5e3)


def test_days_until_a_sample_is_there_and_has_matured() -> None:
    slots = [Slot(Stage(0, "canary", 100, 0), 0.0, 2.0), Slot(Stage(1, "canary", 1000, 0), 2.0, math.inf)]
    assert reached(50.0, [10.0, 100.0], slots) == pytest.approx(0.3)
    assert reached(50.0, [10.0, 100.0], slots, 1.0) == pytest.approx(1.3)
    assert reached(15.0, [10.0, 100.0], slots, 1.0) == pytest.approx(0.5), "from the first stage, but not mature"
    assert reached(5.0, [10.0, 100.0], slots) == 0.0
    assert math.isinf(reached(50.0, [10.0, 0.0], slots))


def test_the_smallest_effect_in_the_plans_own_time() -> None:
    """A stage finds its own smallest effect with the wanted power, and a smaller one with less."""
    (seen,) = told(plan("setWeight: 10%", "pause: {duration: 1d}")).sights
    assert seen.detectable is not None
    assert 0.005 < seen.detectable < 0.02
    traffic = {"ctr": declare(CANARY.guardrails[0], 20e6, 0.052)}
    for size, chance in ((seen.detectable, 0.8), (seen.detectable / 2, 0.12)):
        (asked,) = sights(plan("setWeight: 10%", "pause: {duration: 1d}"), traffic, size)
        assert asked.chance == pytest.approx(chance, abs=0.05)
    inferior = replace(CANARY.guardrails[0], fail_on="inferior", justification="cheaper")
    (less,) = sights(replace(CANARY, metrics=(inferior,)), traffic)
    assert less.detectable == pytest.approx(1 - 0.995 * (1 - sights(CANARY, traffic)[0].detectable), rel=1e-6)  # type: ignore[operator]


# ── what binds ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_shadow_of_a_search_engine_is_bound_by_the_calendar() -> None:
    """50M queries a day: 100,000 pairs are there within three minutes; weekdays and weekends need a week."""
    errors = "{name: errors, kind: error_rate, margin: 0.5pp}"
    shadow = plan("shadow: {share: 100%}", "pause: {duration: 1d}", "analysis: {minPairs: 100000}", metrics=errors)
    (stage,) = told(shadow, 50e6, 0.0).stages
    assert stage.needed * 24 * 60 == pytest.approx(2.88)
    assert (stage.binding.kind, stage.binding.by, stage.recommended) == ("calendar", "week", 7.0)
    (rare,) = told(shadow, 50e3, 0.0).stages
    assert (rare.needed, rare.recommended) == (2.0, 7.0)
    (small,) = told(shadow, 5e3, 0.0).stages
    assert (small.binding.kind, small.binding.by, small.recommended) == ("sample", "pairs", 21.0)


def test_a_canary_of_three_days_is_recommended_for_a_week() -> None:
    short = told(plan("setWeight: 10%", "pause: {duration: 1d}"))
    (stage,) = short.stages
    assert (stage.binding.by, stage.recommended) == ("week", 7.0)
    assert stage.lasts == pytest.approx(3.55, abs=0.01)
    assert "assumed" in short.rhythm
    (without,) = told(plan("setWeight: 10%", "pause: {duration: 1d}"), rhythm="none").stages
    assert (without.binding.kind, without.recommended) == ("sample", without.lasts)


def test_a_sample_of_more_than_a_week_binds() -> None:
    (stage,) = told(CANARY, 6e6).stages
    assert (stage.binding.by, stage.binding.metric, stage.recommended) == ("sample", "ctr", 14.0)
    assert stage.lasts == pytest.approx(11.73, abs=0.01)


def test_the_plans_own_pause_and_late_outcomes_bind() -> None:
    (paused,) = told(plan("setWeight: 50%", "pause: {duration: 10d}")).stages
    assert (paused.binding.kind, paused.binding.by, paused.recommended) == ("calendar", "pause", 10.0)
    late = plan("setWeight: 50%", "pause: {duration: 9d}", metrics=CTR.replace("1h", "9d"))
    (stage,) = told(late).stages
    assert (stage.binding.kind, stage.binding.by) == ("calendar", "maturity")


def test_whole_weeks_are_those_of_all_canary_stages_together() -> None:
    steps = [f"setWeight: {share}%" for share in (5, 10, 25)]
    mixed = told(plan(*[part for step in steps for part in (step, "pause: {duration: 3d}")]))
    assert sum(stage.recommended for stage in mixed.stages) == pytest.approx(9.0)
    assert [stage.binding.by for stage in mixed.stages] == ["pause", "pause", "pause"]


def test_a_log_with_equal_weekdays_needs_no_weeks() -> None:
    seen = declare(CANARY.guardrails[0], 20e6, 0.052)
    for weekly, weeks in ((1.02, False), (1.6, True)):
        found = forecast(CANARY, {"ctr": replace(seen, weekly=weekly)})
        assert found.weekly is weeks
        assert f"{weekly:.2f}" in found.rhythm


# ── shares ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_table_of_shares() -> None:
    """Half the share takes nearly twice as long: the exposed stay about the same, until whole weeks decide."""
    table = told(CANARY).shares
    days = {row.share: row.days for row in table.rows}
    assert list(days) == [0.01, 0.05, 0.10, 0.25, 0.50]
    assert days[0.05] / days[0.10] == pytest.approx(0.09 / 0.0475, rel=0.02)
    assert [row.whole_days for row in table.rows] == [35, 7, 7, 7, 7]
    assert [row.in_time for row in table.rows] == [False, True, True, True, True]
    assert table.recommended is table.rows[1]
    assert "whole weeks" in table.reason
    assert table.rows[2].units == pytest.approx(14e6)
    assert table.rows[2].harm == pytest.approx(14e6 * 0.052 * 0.005)
    assert told(CANARY, effect=0.02).shares.rows[2].harm == pytest.approx(14e6 * 0.052 * 0.02)
    assert told(CANARY, effect=5.0).sights[0].chance == pytest.approx(1.0), "more than everything is everything"


def test_a_smaller_share_is_recommended_if_the_plan_takes_that_long_anyway() -> None:
    slow = told(plan("setWeight: 10%", "pause: {duration: 35d}", deadline="60d")).shares
    assert slow.recommended is not None
    assert (slow.recommended.share, slow.recommended.whole_days) == (0.01, 35)
    assert told(plan("setWeight: 10%", "pause: {duration: 1d}", deadline="6d")).shares.recommended is None


def test_power_rises_with_days_and_share() -> None:
    found = told(CANARY)
    traffic = {"ctr": declare(CANARY.guardrails[0], 20e6, 0.052)}
    curves = power_curves(CANARY, traffic, found.shares)
    for curve in curves.values():
        powers = [power for day, power in curve if power > 0.1]
        assert powers == sorted(powers)
    at_three = [min(curve, key=lambda point: abs(point[0] - 3))[1] for curve in curves.values()]
    assert at_three == sorted(at_three)
    assert power_curves(CANARY, {}, found.shares) == {}


# ── rare events ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_units_until_a_rare_event_passes() -> None:
    absolute = Margin(0.01, "absolute")
    clean, some = (units_to_pass(absolute, rate, 0.1, alpha=0.05, power=0.8) for rate in (0.0, 0.005))
    assert 300 < clean < 700
    assert some > 2 * clean
    assert units_to_pass(Margin(0.5, "relative"), 0.001, 0.1, alpha=0.05, power=0.8) > 50_000
    assert math.isinf(units_to_pass(Margin(0.5, "relative"), 0.0, 0.1, alpha=0.05, power=0.8))


def test_the_smallest_increase_of_a_rare_event() -> None:
    few, many = (smallest_increase(units, 0.001, 0.1, alpha=0.05, power=0.8) for units in (20_000, 200_000))
    assert few is not None
    assert many is not None
    assert 0 < many < few < 0.01
    assert smallest_increase(1_000, 0.0, 0.1, alpha=0.05, power=0.8) is None


def test_exact_tests_have_the_power_that_is_forecast() -> None:
    """Counts drawn at the forecast's size, judged as rollout.exact does."""
    rng, draws, absolute, relative = np.random.default_rng(1), 300, Margin(0.01, "absolute"), Margin(0.5, "relative")
    n = int(units_to_pass(absolute, 0.005, 0.1, alpha=0.05, power=0.8))
    drawn = zip(rng.binomial(n, 0.005, draws), rng.binomial(9 * n, 0.005, draws), strict=True)
    ends = [
        bernoulli_bounds(x, n, alpha=0.025, planned_n=400)[1]
        - bernoulli_bounds(y, 9 * n, alpha=0.025, planned_n=400)[0]
        for x, y in drawn
    ]
    assert np.mean(np.array(ends) < 0.01) == pytest.approx(0.8, abs=0.08)
    n = int(units_to_pass(relative, 0.01, 0.1, alpha=0.05, power=0.8))
    assert _found(rng, draws, n, 0.01, 1.5, relief_grid(1.5)) == pytest.approx(0.8, abs=0.08)
    more = smallest_increase(200_000, 0.01, 0.1, alpha=0.05, power=0.8)
    assert more is not None
    assert _found(rng, draws, 200_000, 0.01 + more, 1.0, harm_grid(), base=0.01) == pytest.approx(0.8, abs=0.08)


def _found(
    rng: np.random.Generator, draws: int, n: int, rate: float, null: float, grid: object, base: float | None = None
) -> float:
    """Share of draws in which the e-process on first events against ``null`` rejects, a tenth on the canary."""
    x, y = rng.poisson(n * rate, draws), rng.poisson(9 * n * (rate if base is None else base), draws)
    e = [rate_ratio_log_e(a, a + b, 0.1, theta0=null, thetas=grid) for a, b in zip(x, y, strict=True)]  # type: ignore[arg-type]
    return float(np.mean(np.array(e) >= -math.log(0.05)))


# ── refused ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_margin_beyond_the_deadline_is_refused_with_one_that_is_not() -> None:
    tight = plan("setWeight: 10%", "pause: {duration: 7d}", metrics=CTR.replace("0.5%", "0.1%"), deadline="10d")
    (problem,) = told(tight).problems
    assert problem.code == "ST0250"
    assert "88.1 days" in problem.text
    assert "a margin of 0.3%" in problem.remedy
    wider = plan("setWeight: 10%", "pause: {duration: 7d}", metrics=CTR.replace("0.5%", "0.3%"), deadline="10d")
    assert told(wider).problems == ()


def test_samples_beyond_the_deadline_are_refused() -> None:
    many = plan("setWeight: 10%", "pause: {duration: 7d}", "analysis: {minUnits: 50000000}", deadline="20d")
    (problem,) = told(many).problems
    assert (problem.code, problem.where) == ("ST0250", "canary 10%")


@pytest.mark.parametrize(
    ("kind", "rate", "deviation", "per_day"),
    [("proportion", None, None, 1e6), ("proportion", 1.2, None, 1e6), ("mean", 48.0, None, 1e6), ("ratio", 0.2, 0, 1e6),
     ("mean", 0.0, 3.0, 1e6), ("proportion", 0.1, None, 0)],
)  # fmt: skip
def test_traffic_that_says_too_little(kind: str, rate: float | None, deviation: float | None, per_day: float) -> None:
    metric = replace(CANARY.guardrails[0], kind=kind)  # type: ignore[arg-type]
    with pytest.raises(ValueError):
        declare(metric, per_day, rate, deviation=deviation)


def test_a_mean_is_planned_from_its_deviation() -> None:
    basket = replace(CANARY.guardrails[0], kind="mean", margin=Margin(0.02, "relative"))
    seen = declare(basket, 1e5, 48.0, deviation=96.0)
    found = forecast(replace(CANARY, metrics=(basket,)), {"ctr": seen})
    assert found.comparisons[0].equal_days == pytest.approx(2 * 2.8016**2 * 4 / 0.02**2 / 1e4, rel=1e-3)


def test_a_rate_of_zero_has_no_relative_margin() -> None:
    assert Traffic(0.0, 1e6, 1e6, 0.0).unit_variance("relative") == math.inf
