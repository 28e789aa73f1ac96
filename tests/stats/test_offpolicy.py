"""Off-policy estimates on a made-up log whose truth is known, and what they refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest

from seatrial.stats.offpolicy import counterfactual, effective_size, ips, snips

LOGGED = np.array([0.6, 0.3, 0.1])
CLICKS = np.array([0.05, 0.10, 0.20])
BETTER, WORSE = np.array([0.2, 0.3, 0.5]), np.array([0.9, 0.08, 0.02])


def log(
    rng: np.random.Generator, wanted: np.ndarray, units: int = 800, each: int = 5
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights, clicks and units: some units click more than others on everything."""
    unit = np.repeat(np.arange(units), each)
    action = rng.choice(3, unit.size, p=LOGGED)
    taste = rng.choice([0.2, 1.8], units)[unit]
    return wanted[action] / LOGGED[action], (rng.random(unit.size) < taste * CLICKS[action]).astype(float), unit


@pytest.mark.parametrize(("wanted", "sign"), [(BETTER, 1), (WORSE, -1), (LOGGED, 0)])
def test_the_truth_is_covered_and_a_difference_found(wanted: np.ndarray, sign: int) -> None:
    rng = np.random.default_rng(7)
    truth, held = float(wanted @ CLICKS), float(LOGGED @ CLICKS)
    found = [counterfactual(*log(rng, wanted)) for _ in range(300)]
    assert {f.status for f in found} == {"ok"}
    for name, value in (("snips", truth), ("ips", truth), ("logged", held), ("difference", truth - held)):
        intervals = [getattr(f, name).interval for f in found]
        covered = sum(low <= value + 1e-12 and high >= value - 1e-12 for low, high in intervals)
        assert 272 <= covered <= 300, name
    clear = [
        np.sign(low) if low * high > 0 else 0 for low, high in (f.difference.interval for f in found if f.difference)
    ]
    assert {*clear} <= {0, sign}
    assert clear.count(sign) > 250


def test_rows_of_one_unit_are_no_independent_ones() -> None:
    """The same decisions ten times over are worth no more, and would seem to be if units were ignored."""
    w, r, unit = log(np.random.default_rng(3), BETTER)
    often = [np.tile(values, 10) for values in (w, r, unit)]
    assert snips(*often).error == pytest.approx(snips(w, r, unit).error)
    assert snips(*often[:2]).error < 0.4 * snips(w, r, unit).error
    assert counterfactual(*often).effective == pytest.approx(counterfactual(w, r, unit).effective)


def test_constant_rewards_are_known_exactly() -> None:
    """A bootstrap with the weights' mean held fixed gives an interval here; there is nothing to be unsure of."""
    w, _, unit = log(np.random.default_rng(3), BETTER)
    estimate = snips(w, np.ones_like(w), unit)
    assert (estimate.value, estimate.error) == (1.0, 0.0)
    assert ips(w, np.ones_like(w), unit).error > 0


def test_too_little_to_go_by_is_refused_with_the_reason() -> None:
    w, r, unit = log(np.random.default_rng(1), BETTER, units=60)
    few = counterfactual(w, r, unit)
    assert (few.status, few.snips, few.ips, few.difference) == ("not_enough", None, None, None)
    assert few.effective < 100
    assert "below 100" in few.reason
    heavy = counterfactual(
        np.concatenate([np.ones(900), np.full(150, 1.2)]), np.zeros(1_050), [*range(900), *[900] * 150]
    )
    assert heavy.status == "not_enough"
    assert heavy.largest > 0.15
    assert counterfactual([], []).status == "no_data"


def test_probabilities_that_were_not_those_of_the_log_are_found() -> None:
    w, r, unit = log(np.random.default_rng(1), BETTER)
    assert counterfactual(w, r, unit).status == "ok"
    wrong = counterfactual(w * 1.5, r, unit)
    assert (wrong.status, wrong.snips) == ("invalid", None)
    never_tried = counterfactual(np.where(w > 2, 0, w), r, unit)
    assert never_tried.status == "invalid"
    assert "would be 1" in never_tried.reason


def test_a_candidate_that_does_nothing_logged_has_no_weight() -> None:
    found = counterfactual(np.zeros(500), np.ones(500))
    assert (found.status, found.effective) == ("invalid", 0.0)


@pytest.mark.parametrize("weights", [[-1.0, 1.0], [math.nan, 1.0], [math.inf, 1.0]])
def test_weights_that_cannot_be_are_refused(weights: list[float]) -> None:
    for call in (effective_size, lambda w: snips(w, [0, 1]), lambda w: counterfactual(w, [0, 1])):
        with pytest.raises(ValueError, match="finite and not negative"):
            call(weights)


def test_rows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="one weight and one reward"):
        ips([1.0, 1.0], [1.0])
    with pytest.raises(ValueError, match="one unit"):
        ips([1.0, 1.0], [1.0, 0.0], [1])
    with pytest.raises(ValueError, match="alpha"):
        ips([1.0, 1.0], [1.0, 0.0], alpha=0)
