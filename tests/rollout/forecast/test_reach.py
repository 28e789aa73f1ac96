"""Power, the smallest effect and the sample are one curve read three ways; and the real boundary has that power."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.rollout.forecast.reach import Clock
from seatrial.stats.clustered import stratified_effect
from seatrial.stats.power import proportion_variance, units_needed
from seatrial.stats.sequential import bounds, planned_information

EFFECTS = st.floats(0.001, 2.0)
POWERS = st.floats(0.05, 0.99)
ALPHAS = st.sampled_from([0.05, 0.025, 0.01, 0.05 / 6])


@given(EFFECTS, EFFECTS, POWERS, ALPHAS)
def test_power_and_sample_are_inverse(effect: float, planned_for: float, power: float, alpha: float) -> None:
    clock = Clock(planned_information(planned_for), alpha)
    assert clock.power(effect, clock.needed(effect, power)) == pytest.approx(power, abs=1e-6)
    assert clock.power(effect, clock.needed(effect, power) * 0.99) < power


@given(st.floats(0.02, 50.0), EFFECTS, POWERS, ALPHAS)
def test_power_and_smallest_effect_are_inverse(share: float, planned_for: float, power: float, alpha: float) -> None:
    clock = Clock(planned := planned_information(planned_for), alpha)
    assert clock.power(clock.detectable(share * planned, power), share * planned) == pytest.approx(power, abs=1e-9)


def test_at_the_margin_it_is_the_textbook_formula_of_the_boundary() -> None:
    """Units by stats.power, information by the clock: the same release."""
    effect, variance = math.log(0.97), proportion_variance(0.052)
    total = units_needed(effect, variance, variance, 0.1, design_effect=1.68)
    information = total * 0.1 * 0.9 / (variance * 1.68)
    assert Clock(planned_information(effect), 0.05).needed(effect) == pytest.approx(information, rel=1e-6)


def test_nothing_is_found_without_information() -> None:
    clock = Clock(100.0, 0.05)
    assert clock.power(1.0, 0.0) == 0.0
    assert math.isinf(clock.detectable(0.0))
    assert math.isinf(clock.needed(0.0))


RELEASES, LOOKS, BUCKETS = 400, 12, 256


def _passes(true_loss: float, scale: float, *, seed: int) -> float:
    """Share of releases in which a margin of 10% is excluded at some look, with ``scale`` times the forecast's sample.

    Yes or no with 20% yes, every unit counted twice (design effect 2), a tenth of the units on the canary, estimated
    from sums per bucket and judged look by look with the boundary that gates use.
    """
    rng, effect, base, design = np.random.default_rng(seed), math.log(0.9), 0.2, 2.0
    total = units_needed(effect, *[proportion_variance(base)] * 2, 0.1, design_effect=design) * scale
    planned = planned_information(effect)
    per_cell = [total * share / design / LOOKS / BUCKETS for share in (0.1, 0.9)]
    passed = 0
    for _ in range(RELEASES):
        units = [rng.poisson(mean, (LOOKS, BUCKETS)) for mean in per_cell]
        yes = [rng.binomial(n, p) for n, p in zip(units, (base * (1 - true_loss), base), strict=True)]
        (den_t, den_c), (num_t, num_c) = ([2.0 * part for part in parts] for parts in (units, yes))
        over = False
        for look in range(1, LOOKS + 1):
            arms = [part[:look] for part in (den_t, num_t, den_t, den_c, num_c, den_c)]
            found = stratified_effect(*arms, scale="log")
            bound = bounds(found.estimate, found.variance, planned, alpha=0.05, planned_looks_over=over)
            over = over or found.information >= planned
            if bound.lower > effect:
                passed += 1
                break
    return passed / RELEASES


def test_the_boundary_has_the_power_that_is_forecast() -> None:
    assert _passes(0.0, 1.0, seed=7) == pytest.approx(0.8, abs=3 * math.sqrt(0.8 * 0.2 / RELEASES))


def test_half_the_sample_has_less_and_a_real_loss_does_not_pass() -> None:
    assert _passes(0.0, 0.5, seed=2) < 0.4
    assert _passes(0.1, 1.0, seed=3) < 0.05 + 3 * math.sqrt(0.05 * 0.95 / RELEASES)
