"""The hash that everything agrees on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.gateway.assignment import BUCKETS, POINTS, Slot, arm_of, assign, bucket


def test_known_points():
    """Frozen: another hash would move every unit of every running rollout."""
    assert assign("r-0001", "alice") == 9124
    assert bucket("buckets", "alice") == 158
    assert assign("s", "") == assign("s", "")


@given(st.text(), st.text(max_size=20))
def test_points_and_buckets_are_in_range(unit, salt):
    assert 0 <= assign(salt, unit) < POINTS
    assert 0 <= bucket(salt, unit) < BUCKETS


def test_points_fill_the_range_evenly_and_buckets_do_not_follow_arms():
    n = 40_000
    inside = [f"u{i}" for i in range(n) if assign("s", f"u{i}") < 500]
    assert abs(len(inside) - n * 0.05) < 5 * (n * 0.05 * 0.95) ** 0.5
    counts = [0] * BUCKETS
    for unit in inside:
        counts[bucket("b", unit)] += 1
    mean = len(inside) / BUCKETS
    chi2 = sum((count - mean) ** 2 / mean for count in counts)
    assert abs(chi2 - (BUCKETS - 1)) < 5 * (2 * (BUCKETS - 1)) ** 0.5


def test_with_one_salt_for_both_the_bucket_would_follow_the_point():
    """The planted opposite of the test above: 10,000 and 256 share the factor 16."""
    units = [f"u{i}" for i in range(1000)]
    assert all(assign("s", unit) % 16 == bucket("s", unit) % 16 for unit in units)
    assert any(assign("s", unit) % 16 != bucket("b", unit) % 16 for unit in units)


@pytest.mark.parametrize(
    ("point", "slot"),
    [
        (0, Slot("canary", False)),
        (499, Slot("canary", False)),
        (500, Slot("champion", True)),
        (2499, Slot("champion", True)),
        (2500, Slot("champion", False)),
        (9999, Slot("champion", False)),
    ],
)
def test_boundaries(point, slot):
    assert arm_of(point, canary=500, mirrored=2000) == slot


@given(st.integers(0, POINTS - 1), st.integers(0, POINTS), st.integers(0, POINTS))
def test_a_growing_canary_keeps_its_points(point, one, two):
    small, large = sorted((one, two))
    if arm_of(point, canary=small, mirrored=0).arm == "canary":
        assert arm_of(point, canary=large, mirrored=0).arm == "canary"
