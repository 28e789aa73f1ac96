"""Normal-mixture sequences and group-sequential bounds: on Brownian paths, and their laws."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtri

from seatrial.stats.sequences import mixture_scale, mixture_width
from seatrial.stats.spending import obrien_fleming_spending, power_spending, spending_bounds

PATHS = 8_000


def brownian(looks: np.ndarray, drift: float = 0.0) -> np.ndarray:
    """z-values of Brownian paths with a drift, shape (paths, looks); looks are information."""
    steps = np.diff(looks, prepend=0.0)
    noise = np.random.default_rng(11).normal(size=(PATHS, looks.size)) * np.sqrt(steps)
    return (noise + drift * steps).cumsum(axis=1) / np.sqrt(looks)


def noise_of(level: float) -> float:
    return 3 * math.sqrt(level * (1 - level) / PATHS)


@pytest.mark.parametrize("sides", [1, 2])
def test_a_sequence_holds_at_all_looks_and_finds_an_effect(sides: Any) -> None:
    looks = np.geomspace(0.01, 10, 250)
    width = np.array([mixture_width(i, 0.25, 0.05, sides=sides) for i in looks])

    def crossed(z: np.ndarray) -> float:
        return float(((np.abs(z) if sides == 2 else z) > width).any(axis=1).mean())

    assert 0.01 < crossed(brownian(looks)) <= 0.05 + noise_of(0.05)
    assert crossed(brownian(looks, drift=3.0)) > 0.99
    assert (brownian(looks) > ndtri(0.95)).any(axis=1).mean() > 0.3  # what a fixed width would do


@given(st.floats(1e-6, 1e6), st.floats(1e-6, 1e6), st.floats(1e-6, 0.4))
def test_only_the_ratio_to_the_tuning_counts(information: float, tuned_at: float, alpha: float) -> None:
    for sides in (1, 2):
        one = mixture_width(information, tuned_at, alpha, sides=sides)  # type: ignore[arg-type]
        other = mixture_width(information / tuned_at, 1.0, alpha, sides=sides)  # type: ignore[arg-type]
        assert one == pytest.approx(other, rel=1e-6)
        fixed = float(-ndtri(alpha / sides))
        assert one > fixed
    assert mixture_width(tuned_at, tuned_at, alpha, sides=1) < mixture_width(tuned_at, tuned_at, alpha)


def test_tuning_costs_what_the_docstring_says() -> None:
    best = mixture_width(1.0, 1.0, 0.05)
    assert mixture_width(1.0, 4.0, 0.05) / best == pytest.approx(1.07, abs=0.01)
    assert mixture_width(1.0, 0.25, 0.05) / best == pytest.approx(1.03, abs=0.01)
    assert all(mixture_width(1.0, t, 0.05) > 0.999 * best for t in np.geomspace(0.2, 5, 30))


def test_a_sequence_without_information_excludes_nothing() -> None:
    assert mixture_width(0.0, 1.0, 0.05) == mixture_width(math.nan, 1.0, 0.05) == math.inf
    for tuned_at in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="tuned for"):
            mixture_scale(tuned_at, 0.05)
    with pytest.raises(ValueError, match="alpha"):
        mixture_scale(1.0, 0.5, sides=1)


# ── spending ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("sides", [1, 2])
@pytest.mark.parametrize("spending", [power_spending, obrien_fleming_spending])
def test_the_bounds_spend_what_they_were_given(spending: Any, sides: Any) -> None:
    looks = np.array([0.1, 0.3, 0.35, 0.8, 1.0])
    spent = [spending(t, 0.1) for t in looks]
    bounds = np.array(spending_bounds(looks.tolist(), spent, sides=sides))
    z = brownian(looks)
    crossed = (np.abs(z) if sides == 2 else z) > bounds
    for k, total in enumerate(spent, start=1):
        assert crossed[:, :k].any(axis=1).mean() == pytest.approx(total, abs=noise_of(0.1))


def test_the_bounds_of_the_literature() -> None:
    looks = [0.2, 0.4, 0.6, 0.8, 1.0]
    each_half = [2 * obrien_fleming_spending(t, 0.025) for t in looks]
    assert spending_bounds(looks, each_half) == pytest.approx([4.8769, 3.3569, 2.6803, 2.2898, 2.0310], abs=1e-3)


def test_one_look_is_the_fixed_sample_test_and_many_are_the_continuous_limit() -> None:
    assert spending_bounds([1.0], [0.05]) == pytest.approx([-ndtri(0.025)], abs=1e-6)
    assert spending_bounds([0.4], [0.05], sides=1) == pytest.approx([-ndtri(0.05)], abs=1e-6)
    looks = (np.arange(1, 51) / 50).tolist()
    bounds = spending_bounds(looks, [obrien_fleming_spending(t, 0.05) for t in looks], sides=1)
    # With ever more looks the last bound goes to that of a path watched all the time, Phi^-1(1 - alpha/2).
    assert 1.85 < bounds[-1] < -ndtri(0.025)


def test_a_look_that_spends_nothing_stops_nothing_and_a_tiny_amount_is_not_rounded_away() -> None:
    first, second = spending_bounds([0.01, 1.0], [0.0, 0.05])
    assert first == math.inf
    assert second == pytest.approx(-ndtri(0.025), abs=1e-6)
    tiny = obrien_fleming_spending(0.05, 0.05)
    assert 0 < tiny < 1e-17
    assert 8 < spending_bounds([0.05, 1.0], [tiny, 0.05])[0] <= 9
    assert spending_bounds([0.5, 0.75, 1.0], [0.05, 0.05, 0.05])[1:] == [math.inf, math.inf]


@given(st.floats(0, 2), st.floats(0, 2), st.floats(0.001, 0.5), st.floats(0.5, 4))
def test_spending_never_takes_back(first: float, second: float, alpha: float, rho: float) -> None:
    early, late = sorted((first, second))
    for spent in (lambda t: power_spending(t, alpha, rho), lambda t: obrien_fleming_spending(t, alpha)):
        assert 0 <= spent(early) <= spent(late) <= alpha * (1 + 1e-12)


def test_looks_that_mean_nothing_are_refused() -> None:
    for looks, spent, why in [
        ([0.5, 1.0], [0.05], "one for each look"),
        ([0.5, 0.5], [0.01, 0.05], "rise"),
        ([0.0, 1.0], [0.01, 0.05], "rise"),
        ([0.5, 1.0], [0.05, 0.01], "must not fall"),
        ([0.5, 1.0], [0.05, 1.0], "below 1"),
    ]:
        with pytest.raises(ValueError, match=why):
            spending_bounds(looks, spent)
    for call in (
        lambda: power_spending(-0.1, 0.05),
        lambda: power_spending(0.5, 0.05, 0.0),
        lambda: obrien_fleming_spending(0.5, 1.0),
    ):
        with pytest.raises(ValueError):
            call()
