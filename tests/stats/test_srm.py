"""The split of units against the plan, over a ramp."""

import math

import numpy as np
import pytest

from seatrial.stats.srm import (
    ALARM,
    ODDS_GRID,
    alarms,
    chi_square_split,
    multinomial_log_e,
    sample_ratio_log_e,
)

PHASES = ((0.01, 20_000), (0.05, 20_000), (0.25, 20_000), (0.5, 20_000))
LOOKS = 10


def alarm_rate(kept: float, *, against_last_split: bool = False) -> float:
    """Share of 200 ramps with an alarm at any look, when a canary unit is recorded with probability ``kept``."""
    rng = np.random.default_rng(2)
    hits = 0
    for _ in range(200):
        hits += _one_ramp(rng, kept, against_last_split)
    return hits / 200


def _one_ramp(rng: np.random.Generator, kept: float, against_last_split: bool) -> bool:
    x, m, share = (np.zeros(len(PHASES)) for _ in range(3))
    for phase, (planned, units) in enumerate(PHASES):
        share[phase] = planned
        for _ in range(LOOKS):
            canary = rng.binomial(units // LOOKS, planned)
            seen = rng.binomial(canary, kept)
            x[phase] += seen
            m[phase] += units // LOOKS - canary + seen
            log_e = (
                sample_ratio_log_e(x.sum(), m.sum(), planned) if against_last_split else sample_ratio_log_e(x, m, share)
            )
            if alarms(log_e):
                return True
    return False


def test_a_ramp_as_planned_does_not_alarm_and_a_leak_does() -> None:
    assert alarm_rate(1.0) <= 0.005
    assert alarm_rate(0.9) >= 0.9


def test_counting_a_ramp_against_its_last_split_would_always_alarm() -> None:
    assert alarm_rate(1.0, against_last_split=True) == 1.0


def test_both_directions_are_seen() -> None:
    assert alarms(sample_ratio_log_e(5_400, 50_000, 0.1))
    assert alarms(sample_ratio_log_e(4_600, 50_000, 0.1))
    assert not alarms(sample_ratio_log_e(5_000, 50_000, 0.1))


def test_the_grid_is_symmetric_in_the_odds() -> None:
    assert ODDS_GRID.size == 24
    assert ODDS_GRID * ODDS_GRID[::-1] == pytest.approx(np.ones(24))
    assert (ODDS_GRID[12], ODDS_GRID[-1]) == pytest.approx((1.005, 2.0))


def test_reaching_the_threshold_is_an_alarm() -> None:
    assert alarms(math.log(ALARM))
    assert not alarms(math.nextafter(math.log(ALARM), 0))
    assert alarms(math.log(20), alpha=0.05)
    assert not alarms(math.log(19.99), alpha=0.05)
    assert not alarms(0.0)
    with pytest.raises(ValueError, match="alpha"):
        alarms(1.0, alpha=0.0)


def test_peeking_at_the_chi_square_alarms_and_the_e_value_of_many_arms_does_not() -> None:
    rng, shares = np.random.default_rng(14), [0.8, 0.1, 0.1]
    peeked = sequential = 0
    for _ in range(300):
        seen = rng.multinomial(200, shares, size=40).cumsum(axis=0)
        peeked += any(chi_square_split(counts, shares).p_value < 0.05 for counts in seen)
        sequential += any(alarms(multinomial_log_e(counts, shares), 0.05) for counts in seen)
    assert peeked / 300 > 0.2
    assert sequential / 300 <= 0.05


def test_a_third_arm_that_leaks_is_found() -> None:
    assert alarms(multinomial_log_e([8_000, 1_000, 800], [0.8, 0.1, 0.1]))
    assert chi_square_split([8_000, 1_000, 800], [0.8, 0.1, 0.1]).p_value < 1e-4
    assert not alarms(multinomial_log_e([8_000, 1_000, 1_000], [0.8, 0.1, 0.1]))
    assert chi_square_split([0, 0], [0.5, 0.5]).p_value == 1


def test_what_is_no_split_is_refused() -> None:
    for counts, shares in [
        ([1], [1.0]), ([1, 2], [0.5, 0.6]), ([1, 2], [1.0, 0.0]), ([1, 2, 3], [0.5, 0.5]), ([-1, 2], [0.5, 0.5]),
        ([1, 2], [math.nan, 0.5]), ([math.inf, 2], [0.5, 0.5]),
    ]:  # fmt: skip
        for call in (chi_square_split, multinomial_log_e):
            with pytest.raises(ValueError):
                call(counts, shares)
    with pytest.raises(ValueError, match="concentration"):
        multinomial_log_e([1, 2], [0.5, 0.5], concentration=0.0)
