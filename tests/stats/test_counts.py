"""Exact count tests: their reference values, their edges, and that any number of looks is free."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.stats.counts import bernoulli_bounds, event_bounds, harm_grid, rate_ratio_log_e, relief_grid
from seatrial.stats.srm import alarms


def test_the_mixture_agrees_with_the_reference(oracle: Any) -> None:
    truth = oracle("count_eprocess_ramp")
    share, x, rest = np.array(truth.inputs["stages"]).T
    grid = np.array(truth.inputs["grid_RR"])
    plain = rate_ratio_log_e(x, x + rest, share, theta0=1.0, thetas=grid)
    assert truth.matches(e_value=math.exp(plain))
    within = rate_ratio_log_e(x, x + rest, share, theta0=1.2, thetas=1.2 * grid)
    assert truth.matches(e_value_RR0_1_2=math.exp(within))


def test_the_grids_cover_what_they_say() -> None:
    for grid, low, high in [(harm_grid(), 1.1, 20.0), (harm_grid(2.0), 2.2, 40.0), (relief_grid(), 0.3, 1.425)]:
        assert (grid[0], grid[-1], grid.size) == (pytest.approx(low), pytest.approx(high), 24)
        assert np.diff(np.log(grid)) == pytest.approx(np.diff(np.log(grid))[0])


def test_failures_new_in_the_canary_are_found_though_the_champion_has_none() -> None:
    # 8 of 100 canary units fail and 0 of 5,000 champion units: peers report "p = 1" here.
    assert alarms(rate_ratio_log_e(8, 8, 100 / 5_100, theta0=1.0, thetas=harm_grid()), alpha=1e-6)


def test_no_events_are_no_evidence() -> None:
    assert rate_ratio_log_e(0, 0, 0.1, theta0=1.0, thetas=harm_grid()) == 0
    assert rate_ratio_log_e([], [], [], theta0=1.0, thetas=harm_grid()) == 0
    assert rate_ratio_log_e([0, 5], [7, 5], [0.0, 1.0], theta0=1.0, thetas=harm_grid()) == 0


def test_strata_add_up_and_equal_strata_may_be_pooled() -> None:
    split = rate_ratio_log_e([1, 4, 2], [9, 20, 11], [0.1, 0.1, 0.1], theta0=1.0, thetas=harm_grid())
    pooled = rate_ratio_log_e(7, 40, 0.1, theta0=1.0, thetas=harm_grid())
    assert split == pytest.approx(pooled)
    assert rate_ratio_log_e([2, 4, 1], [11, 20, 9], 0.1, theta0=1.0, thetas=harm_grid()) == pytest.approx(pooled)


@pytest.mark.parametrize(("x", "m", "share"), [(2, 1, 0.5), (-1, 1, 0.5), (math.nan, 1, 0.5), (1, 1, 1.5)])
def test_impossible_counts_are_refused(x: float, m: float, share: float) -> None:
    with pytest.raises(ValueError, match="between 0 and"):
        rate_ratio_log_e(x, m, share, theta0=1.0, thetas=harm_grid())


@given(
    strata=st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9), st.floats(0, 1)), max_size=4),
    theta0=st.floats(0.01, 100),
)
def test_an_e_value_is_always_a_number(strata: list[tuple[int, int, float]], theta0: float) -> None:
    x = [a for a, _, _ in strata]
    m = [a + b for a, b, _ in strata]
    share = [s for _, _, s in strata]
    for grid in (harm_grid(theta0), relief_grid(theta0)):
        assert math.isfinite(rate_ratio_log_e(x, m, share, theta0=theta0, thetas=grid))


def runs(ratio: float, theta0: float, grid: np.ndarray, champion_events: float, looks: int = 40) -> float:
    """Share of 400 releases that reject at alpha .05 at any of the looks; 10% canary, base rate falling by half."""
    rng = np.random.default_rng(11)
    pace = np.linspace(1.33, 0.67, looks) * champion_events / looks
    hits = 0
    for _ in range(400):
        x = rng.poisson(pace / 9 * ratio).cumsum()
        m = x + rng.poisson(pace).cumsum()
        hits += any(
            alarms(rate_ratio_log_e(a, b, 0.1, theta0=theta0, thetas=grid), alpha=0.05)
            for a, b in zip(x, m, strict=True)
        )
    return hits / 400


def test_forty_looks_at_rare_errors_alarm_on_harm_and_not_on_chance() -> None:
    assert runs(1.0, 1.0, harm_grid(), champion_events=90) <= 0.05
    assert runs(5.0, 1.0, harm_grid(), champion_events=90) >= 0.95


def test_relief_is_shown_only_when_the_ratio_is_truly_below() -> None:
    assert runs(1.5, 1.5, relief_grid(), champion_events=900) <= 0.05
    assert runs(0.8, 1.5, relief_grid(), champion_events=900) >= 0.8


@pytest.mark.parametrize(
    "name",
    [
        "bernoulli_cs_3_200_topt200",
        "bernoulli_cs_40_500_topt500",
        "bernoulli_cs_0_1000_topt500",
        "bernoulli_cs_1_10_topt1000",
    ],
)
def test_bounds_of_a_probability_agree_with_the_reference(oracle: Any, name: str) -> None:
    truth = oracle(name)
    x, n, alpha, planned = (truth.inputs[k] for k in ("x", "n", "alpha", "t_opt"))
    low, high = bernoulli_bounds(x, n, alpha=alpha, planned_n=planned)
    assert truth.matches(lo=low, hi=high)


def test_bounds_of_a_probability_at_its_ends() -> None:
    assert bernoulli_bounds(0, 0, alpha=0.05, planned_n=100) == (0.0, 1.0)
    low, high = bernoulli_bounds(0, 50, alpha=0.05, planned_n=100)
    assert low == 0
    assert 0.05 < high < 0.15
    assert bernoulli_bounds(50, 50, alpha=0.05, planned_n=100) == pytest.approx((1 - high, 1.0))


@given(
    n=st.integers(0, 10**9),
    part=st.floats(0, 1),
    alpha=st.floats(1e-9, 0.5),
    planned=st.floats(1, 1e9),
)
def test_the_share_seen_is_always_within_the_bounds(n: int, part: float, alpha: float, planned: float) -> None:
    x = math.floor(n * part)
    low, high = bernoulli_bounds(x, n, alpha=alpha, planned_n=planned)
    assert 0 <= low <= high <= 1
    assert n == 0 or low <= x / n + 1e-15
    assert n == 0 or x / n <= high


def test_the_bounds_hold_at_all_looks_together() -> None:
    rng = np.random.default_rng(6)
    looks = np.unique(np.geomspace(5, 2_000, 15).astype(int))
    missed = 0
    for _ in range(100):
        x = np.cumsum(rng.random(2_000) < 0.03)
        limits = [bernoulli_bounds(int(x[n - 1]), int(n), alpha=0.05, planned_n=500) for n in looks]
        missed += any(not low <= 0.03 <= high for low, high in limits)
    assert missed <= 5
    low, high = limits[-1]
    assert low > 0.01  # and they say something: a rate of 1% or 6% is excluded in the end
    assert high < 0.06


def test_impossible_trials_are_refused() -> None:
    for x, n in [(2, 1), (-1, 5), (math.nan, 5), (1, math.inf)]:
        with pytest.raises(ValueError, match="between 0 and the trials"):
            bernoulli_bounds(x, n, alpha=0.05, planned_n=100)
    with pytest.raises(ValueError, match="planned number"):
        bernoulli_bounds(1, 5, alpha=0.05, planned_n=0)
    with pytest.raises(ValueError, match="positive"):
        harm_grid(0.0)
    with pytest.raises(ValueError, match="ratios"):
        rate_ratio_log_e(1, 2, 0.5, theta0=1.0, thetas=[0.0])


@given(events=st.integers(0, 10**9), alpha=st.floats(1e-9, 0.5), planned=st.floats(1e-3, 1e9))
def test_the_events_seen_are_always_within_the_bounds(events: int, alpha: float, planned: float) -> None:
    low, high = event_bounds(events, alpha=alpha, planned_events=planned)
    assert 0 <= low <= events < high < math.inf


def test_rare_events_have_the_bounds_of_their_share() -> None:
    for x, n in [(20, 10_000), (100, 10_000), (1_000, 200_000)]:
        low, high = event_bounds(x, alpha=0.05, planned_events=x)
        assert bernoulli_bounds(x, n, alpha=0.05, planned_n=n) == pytest.approx((low / n, high / n), rel=0.02)


def meeting(rng: np.random.Generator, hours: int) -> tuple[np.ndarray, np.ndarray]:
    """After each hour: units that met a first event, and how many were to be expected, given all before.

    Units come all the time, heavy ones first; every unit has a hazard of its own, and those that met one are out.
    """
    hazard = np.sort(rng.gamma(0.5, 0.01, 2_000))[::-1]
    comes = np.sort(rng.integers(0, hours, 2_000))
    met, events, expected = np.zeros(2_000, dtype=bool), np.zeros(hours), np.zeros(hours)
    for hour in range(hours):
        at_risk = (comes <= hour) & ~met
        expected[hour] = hazard[at_risk].sum()
        found = at_risk & (rng.random(2_000) < hazard)
        met |= found
        events[hour] = found.sum()
    return events.cumsum(), expected.cumsum()


def test_bounds_of_events_hold_while_units_come_and_go_on_meeting_them() -> None:
    rng = np.random.default_rng(8)
    missed = 0
    for _ in range(100):
        for x, expected in zip(*meeting(rng, 20), strict=True):
            low, high = event_bounds(x, alpha=0.05, planned_events=20)
            if not low <= expected <= high:
                missed += 1
                break
    assert missed <= 12, "99.9% bound of Binomial(100, 5%)"
    assert low > 0.6 * expected  # and they say something
    assert high < 1.6 * expected


def test_impossible_numbers_of_events_are_refused() -> None:
    for events, planned in [(-1, 4), (math.nan, 4), (math.inf, 4), (3, 0)]:
        with pytest.raises(ValueError, match="events must not be negative"):
            event_bounds(events, alpha=0.05, planned_events=planned)
    with pytest.raises(ValueError, match="alpha must be between"):
        event_bounds(1, alpha=1.5, planned_events=4)
