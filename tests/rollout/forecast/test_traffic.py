"""Traffic as a log saw it: rate, volume, noise with its clusters, and the rhythm of the week."""

from __future__ import annotations

import numpy as np
import pytest

from seatrial.evidence.tally import MICRO, TOTAL, UNIT_BUCKETS, Cell, Tally
from seatrial.rollout.forecast import observe
from seatrial.rollout.forecast.traffic import observe_pairs, weekly_rhythm

DAY = 86_400


def tally(days: int, *, copies: int = 1, weekend: float = 1.0, canary: float = 0.0, seed: int = 1) -> Tally:
    """``days`` of 256 buckets with 40 units each, 20% yes; each unit counts ``copies`` times: that design effect."""
    rng = np.random.default_rng(seed)
    cells = {}
    for day in range(days):
        units = np.full(UNIT_BUCKETS, 40 * (weekend if day % 7 >= 5 else 1.0)).astype(int)
        for arm, share in (("champion", 1 - canary), ("canary", canary)):
            n = (units * share).astype(int)
            sums = np.stack([n, rng.binomial(n, 0.2) * MICRO, n * MICRO], axis=1) * copies
            cells[Cell(1, day * DAY, TOTAL, arm)] = sums.astype(np.int64)
    return Tally(cells)  # type: ignore[arg-type]


def test_a_log_tells_rate_volume_and_design_effect() -> None:
    seen = observe(tally(10, copies=3), 10.0, 5_000, share=True)
    assert seen is not None
    assert seen.rate == pytest.approx(0.2, abs=0.005)
    assert seen.exposures_per_day == 40 * 256 * 3
    assert seen.units_per_day == 500
    assert seen.design_effect == pytest.approx(3, rel=0.25)
    assert seen.variance == pytest.approx(3 * 0.16, rel=0.25)
    assert seen.source == "log"


def test_volume_is_that_of_both_arms() -> None:
    seen = observe(tally(10, canary=0.5), 10.0, 5_000)
    assert seen is not None
    assert seen.exposures_per_day == 40 * 256
    assert seen.design_effect is None, "nobody said that it is a share"


def test_a_log_that_says_nothing() -> None:
    assert observe(Tally(), 10.0, 5) is None
    assert observe(tally(10), 0.0, 5) is None


def test_pairs_of_a_shadow_have_less_noise_than_two_groups() -> None:
    """Champion and shadow answer the same requests; their losses differ by little."""
    rng = np.random.default_rng(3)
    shared = rng.gamma(2.0, 20.0, UNIT_BUCKETS)
    cells = {}
    for arm, change in (("champion", 0.0), ("shadow", rng.normal(0, 1.0, UNIT_BUCKETS))):
        n = np.full(UNIT_BUCKETS, 40)
        cells[Cell(1, 0, TOTAL, arm)] = np.stack([n, (shared + change) * MICRO, n * MICRO], axis=1).astype(np.int64)  # type: ignore[arg-type]
    pairs = observe_pairs(Tally(cells), "relative")
    alone = observe(Tally(cells), 1.0, 500)
    assert pairs is not None
    assert alone is not None
    assert pairs == pytest.approx(1.0 / 40 / (shared.mean() / 40) ** 2, rel=0.2)
    assert pairs < alone.unit_variance("relative") / 50
    assert observe_pairs(Tally(), "relative") is None


def test_the_rhythm_of_the_week() -> None:
    assert weekly_rhythm(tally(17, weekend=0.5)) == pytest.approx(2.0)
    assert weekly_rhythm(tally(17)) == pytest.approx(1.0)
    assert weekly_rhythm(tally(15, weekend=0.5)) is None, "the first and the last day are not whole"
    assert weekly_rhythm(Tally()) is None
