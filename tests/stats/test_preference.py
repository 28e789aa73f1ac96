"""The preference of users: its level and power on made-up users, and bounds where there is no variance."""

from __future__ import annotations

import math

import numpy as np
import pytest

from seatrial.stats.preference import Preference, preference, preference_delta

NOTHING, WANTED = 0.5, 0.6
"""The share of users who lean to the candidate: none preferred, and the candidate."""


def users(rng: np.random.Generator, share: float, n: int = 400) -> np.ndarray:
    """A third lean to neither; the others all or half the way, one way or the other."""
    size = rng.choice([0.0, 0.5, 1.0], n)
    return size * np.where(rng.random(n) < share, 1, -1)


def test_of_users_without_a_preference_few_are_called_wrong_and_a_preference_is_found() -> None:
    rng = np.random.default_rng(29)
    nulls, wanted = ([preference(users(rng, share)) for _ in range(1_000)] for share in (NOTHING, WANTED))
    wrong = [sum(not end[0] <= 0 <= end[1] for end in ends) for ends in zip(*map(_intervals, nulls), strict=True)]
    assert 30 <= wrong[0] <= 75  # 5% of 1,000
    assert wrong[1] <= 20  # one look of those that the sequence allows
    found = [sum(end[0] > 0 for end in ends) for ends in zip(*map(_intervals, wanted), strict=True)]
    assert found[0] > 850
    assert found[1] > 450


def test_looking_all_the_time_finds_a_preference_where_there_is_none_only_with_one_look_bounds() -> None:
    rng = np.random.default_rng(5)
    looks = range(100, 2_001, 100)
    once = always = 0
    for _ in range(200):
        values = users(rng, NOTHING, 2_000)
        seen = [_intervals(preference(values[:n])) for n in looks]
        once += any(not low <= 0 <= high for (low, high), _ in seen)
        always += any(not low <= 0 <= high for _, (low, high) in seen)
    assert once > 30
    assert always <= 10


def _intervals(found: Preference) -> tuple[tuple[float, float], tuple[float, float]]:
    assert found.interval is not None
    assert found.every_look is not None
    return found.interval, found.every_look


def test_nobody_who_leans_is_a_number_of_users_not_a_certainty() -> None:
    few, many = preference([0.0] * 20), preference([0.0] * 20_000)
    assert (few.status, few.mean, few.p_value, few.sign_p_value) == ("degenerate", 0.0, None, 1.0)
    assert _intervals(few)[0][1] > 0.1 > 0.001 > _intervals(many)[0][1] > 0
    for found in (few, many):
        (low, high), (lowest, highest) = _intervals(found)
        assert lowest < low == -high < 0 < high < highest


def test_few_who_lean_are_not_enough_however_clearly_they_do() -> None:
    few, enough = preference([1.0] * 49 + [0.0] * 10), preference([1.0] * 50 + [0.0] * 10)
    assert (few.status, enough.status) == ("not_enough", "ok")
    assert _intervals(few)[0][0] < 0 < _intervals(enough)[1][0]
    assert few.sign_p_value < 1e-9


@pytest.mark.parametrize("way", [1.0, -1.0, 0.5])
def test_everybody_alike_is_a_preference_with_an_interval(way: float) -> None:
    found = preference([way] * 200)
    low, high = _intervals(found)[0]
    assert (found.status, found.mean) == ("ok", way)
    assert low <= way <= high
    assert high - low > 0.02
    assert low * way > 0 < high * way
    assert found.p_value == found.sign_p_value < 1e-9


def test_delta_counts_ties_as_halves() -> None:
    assert preference_delta(3, 1, 0) == preference_delta(6, 2, 0) == 0.25
    assert preference_delta(3, 1, 4) == 0.125
    assert preference_delta(0, 0, 0) is None
    assert preference([]).delta is None


@pytest.mark.parametrize("values", [[1.5], [math.nan], [[1.0]]])
def test_values_that_are_no_preference_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="between -1 and 1"):
        preference(values)
    with pytest.raises(ValueError, match="counts"):
        preference_delta(-1, 0, 0)
