"""The boundary: its numbers, its edges, and that it holds what it promises over hundreds of looks."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.stats.sequential import (
    bounds,
    confidence_sequence_width,
    final_z,
    joined_width,
    obrien_fleming_width,
    planned_information,
    remaining_information,
    spend,
)

PLANNED = planned_information(math.log(0.97))
ANY = st.floats(allow_nan=True, allow_infinity=True)


def crossings(drift: float, looks: np.ndarray, planned_until: int, alpha: float = 0.05, paths: int = 8_000) -> float:
    """Share of Brownian paths with ``drift`` whose lower bound exceeds zero at any look; planned information is 1.

    Looks with an index above ``planned_until`` have only the confidence sequence.
    """
    rng = np.random.default_rng(5)
    steps = np.diff(looks, prepend=0.0)
    score = (rng.normal(size=(paths, looks.size)) * np.sqrt(steps) + drift * steps).cumsum(axis=1)
    width = [joined_width(i, 1.0, alpha=alpha, planned_looks_over=k > planned_until) for k, i in enumerate(looks)]
    return float(np.mean((score / np.sqrt(looks) > np.array(width)).any(axis=1)))


def test_the_numbers_of_the_plan() -> None:
    assert spend(0.05) == pytest.approx((0.035, 0.015))
    assert sum(spend(0.01)) == 0.01
    assert final_z() == pytest.approx(2.108, abs=5e-4)
    z_sum = 2.1084 + 0.8416
    assert pytest.approx((z_sum / math.log(0.97)) ** 2, rel=1e-4) == PLANNED
    assert planned_information(0.03) == planned_information(-0.03)


def test_the_confidence_sequence_agrees_with_its_formula() -> None:
    a, information, planned = 0.015, 700.0, 4000.0
    x = (-2 * math.log(2 * a) + math.log(-2 * math.log(2 * a) + 1)) * information / (0.25 * planned)
    expected = math.sqrt(2 * (1 + 1 / x) * math.log(1 + math.sqrt(1 + x) / (2 * a)))
    assert confidence_sequence_width(information, planned, a) == pytest.approx(expected, rel=1e-12)


def test_the_final_planned_look_is_the_first_at_or_beyond_the_plan() -> None:
    at_plan = joined_width(PLANNED, PLANNED, alpha=0.05, planned_looks_over=False)
    beyond = joined_width(PLANNED * 1.3, PLANNED, alpha=0.05, planned_looks_over=False)
    after = joined_width(PLANNED * 1.3, PLANNED, alpha=0.05, planned_looks_over=True)
    assert at_plan == beyond == final_z()
    assert after == confidence_sequence_width(PLANNED * 1.3, PLANNED, spend(0.05).cs) > beyond
    assert joined_width(PLANNED * 0.999, PLANNED, alpha=0.05, planned_looks_over=False) > final_z()


def test_the_tighter_boundary_counts() -> None:
    for information in PLANNED * np.geomspace(1e-4, 10, 30):
        part = spend(0.05)
        both = (
            confidence_sequence_width(information, PLANNED, part.cs),
            obrien_fleming_width(information, PLANNED, part.obf),
        )
        assert joined_width(information, PLANNED, alpha=0.05, planned_looks_over=False) == min(both)


def test_without_information_nothing_is_excluded() -> None:
    assert joined_width(0.0, PLANNED, alpha=0.05, planned_looks_over=False) == math.inf
    for estimate, variance in [(0.1, 0.0), (0.1, math.nan), (0.1, math.inf), (math.nan, 1.0), (-math.inf, 1.0)]:
        empty = bounds(estimate, variance, PLANNED, alpha=0.05, planned_looks_over=False)
        assert (empty.lower, empty.upper) == (-math.inf, math.inf)


@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_two_hundred_looks_and_an_overrun_spend_no_more_than_alpha(alpha: float) -> None:
    looks = np.concatenate([np.arange(1, 201) / 200, np.geomspace(1.01, 10, 100)])
    rate = crossings(0.0, looks, planned_until=199, alpha=alpha)
    assert 0.3 * alpha < rate <= alpha + 2 * math.sqrt(alpha / 8_000)


@pytest.mark.parametrize("overshoot", [1.05, 1.5, 3.0])
def test_a_final_look_far_beyond_the_plan_still_spends_no_more_than_alpha(overshoot: float) -> None:
    looks = np.append(np.arange(1, 200) / 200, overshoot)
    assert crossings(0.0, looks, planned_until=199) <= 0.05 + 2 * math.sqrt(0.05 / 8_000)


def test_peeking_with_the_final_width_spends_far_more_than_alpha() -> None:
    looks = np.arange(1, 201) / 200
    score = (np.random.default_rng(5).normal(size=(8_000, 200)) * math.sqrt(1 / 200)).cumsum(axis=1)
    assert np.mean((score / np.sqrt(looks) > final_z()).any(axis=1)) > 0.15


def test_the_plan_has_the_power_it_promises() -> None:
    effect = math.sqrt(planned_information(1.0))  # the drift for which the planned information is 1
    assert crossings(effect, np.arange(1, 201) / 200, planned_until=199) >= 0.8


def test_what_remains_is_where_the_lower_bound_arrives() -> None:
    target = math.log(0.97)
    for estimate in [-0.02, -0.01, 0.0, 0.03]:
        for over in (False, True):
            at = remaining_information(estimate, target, PLANNED, alpha=0.05, planned_looks_over=over)
            only_sequence = over or at > PLANNED
            past = bounds(estimate, 1 / (at * 1.000001), PLANNED, alpha=0.05, planned_looks_over=only_sequence)
            short = bounds(estimate, 1 / (at * 0.99), PLANNED, alpha=0.05, planned_looks_over=only_sequence)
            assert short.lower < target <= past.lower


def test_what_remains_grows_as_the_estimate_falls_and_is_infinite_at_the_target() -> None:
    target = math.log(0.97)
    needed = [remaining_information(e, target, PLANNED, alpha=0.05) for e in np.linspace(0.05, target + 1e-6, 40)]
    assert needed == sorted(needed)
    assert remaining_information(target, target, PLANNED, alpha=0.05) == math.inf
    assert remaining_information(math.nan, target, PLANNED, alpha=0.05) == math.inf
    # Just missed at the final planned look: only the wider sequence is left.
    assert remaining_information(0.99 * (final_z() / math.sqrt(PLANNED)), 0.0, PLANNED, alpha=0.05) > 2 * PLANNED


@given(estimate=ANY, variance=ANY, planned=st.floats(1e-300, 1e300), over=st.booleans())
def test_bounds_enclose_the_estimate_whatever_it_is(
    estimate: float, variance: float, planned: float, over: bool
) -> None:
    found = bounds(estimate, variance, planned, alpha=0.05, planned_looks_over=over)
    assert found.lower <= found.upper
    assert not math.isfinite(estimate) or found.lower <= estimate <= found.upper
    assert remaining_information(estimate, 0.0, planned, alpha=0.05, planned_looks_over=over) >= 0


@pytest.mark.parametrize("effect", [0.0, math.nan, math.inf])
def test_an_effect_that_cannot_be_planned_for_is_refused(effect: float) -> None:
    with pytest.raises(ValueError, match="finite and not zero"):
        planned_information(effect)


def test_nonsense_settings_are_refused() -> None:
    for alpha in (0.0, 1.0, math.nan):
        with pytest.raises(ValueError, match="alpha"):
            spend(alpha)
    for planned in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="planned information"):
            joined_width(1.0, planned, alpha=0.05, planned_looks_over=False)
    with pytest.raises(ValueError, match="power"):
        planned_information(0.1, power=1.0)
    with pytest.raises(ValueError, match="alpha"):
        confidence_sequence_width(1.0, 1.0, 0.5)
