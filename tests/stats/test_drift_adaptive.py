"""The window over a stream of errors: quiet for as long as nothing changes, and quick when something does."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.stats.drift.adaptive import CLOCK, WIDTH, Bucket, Window, parted, watched


def stream(rate: float, n: int, seed: int) -> list[float]:
    return (np.random.default_rng(seed).random(n) < rate).astype(float).tolist()


@pytest.mark.parametrize(
    "rate", [pytest.param(0.01, marks=pytest.mark.slow), 0.1, pytest.param(0.5, marks=pytest.mark.slow)]
)
def test_a_stationary_stream_is_left_alone(rate: float) -> None:
    """Of 40 streams at alpha 5% two may be cut at any of their looks."""
    cut = sum(watched(Window(alpha=0.05), stream(rate, 1_600, seed)).cut_at is not None for seed in range(40))
    assert cut <= 2
    found = watched(Window(alpha=0.05), stream(rate, 1_600, 1) + stream(min(rate + 0.2, 1), 1_600, 2))
    assert found.cut_at is not None
    assert 1_600 < found.cut_at < 2_400


@pytest.mark.slow
def test_a_million_values_raise_no_alarm() -> None:
    calm = watched(Window(), stream(0.1, 1_000_000, 3))
    assert calm.cut_at is None
    assert len(calm.buckets) < 100
    assert watched(calm, stream(0.2, 5_000, 4)).cut_at is not None, "and it still hears a change after them"


def test_a_bound_at_a_border_holds() -> None:
    rng = np.random.default_rng(9)
    for n, m, rate in ((64, 32, 0.5), (3200, 64, 0.02)):
        sums = rng.binomial([n, m], rate, size=(20_000, 2))
        found = np.array([parted(Bucket(n, a), Bucket(m, b)) for a, b in sums])
        for level in (0.2, 0.05, 0.01):
            assert np.mean(found <= level) <= level
    assert parted(Bucket(64, 0), Bucket(64, 64)) < 1e-30
    with pytest.raises(ValueError):
        parted(Bucket(), Bucket(1, 1))


def test_the_stream_that_others_publish_their_detectors_on() -> None:
    """10% errors, then 20% from 2,000 on: ADWIN alarms at 2303, with a bound that may err again at every look."""
    x, errors = 12345, []
    for i in range(4_000):
        x = (1103515245 * x + 12345) % 2**31
        errors.append(float(x / 2**31 < (0.1 if i < 2_000 else 0.2)))
    window, alarms = Window(), []
    for start in range(0, 4_000, CLOCK):
        after = watched(window, errors[start : start + CLOCK])
        if after.cut_at != window.cut_at:
            alarms.append(after.cut_at)
        window = after
    assert len(alarms) == 1
    assert 2_000 < alarms[0] < 3_500
    assert window.whole.mean == pytest.approx(0.2, abs=0.03)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 90), max_size=12))
def test_it_does_not_matter_how_the_stream_is_cut_up(sizes: list[int]) -> None:
    values = stream(0.3, 400, 1) + stream(0.9, 400, 2)
    window, rest = Window(), values
    for size in sizes:
        window, rest = watched(window, rest[:size]), rest[size:]
    window = watched(window, rest)
    assert window == watched(Window(), values)
    kept = window.whole.n
    assert window.whole.total == sum(values[-kept:])
    sizes_kept = [bucket.n for bucket in window.buckets]
    assert sizes_kept == sorted(sizes_kept, reverse=True)
    assert max(sizes_kept.count(size) for size in sizes_kept) <= WIDTH


def test_values_outside_are_refused() -> None:
    for wrong in ([1.5], [-0.1], [float("nan")]):
        with pytest.raises(ValueError):
            watched(Window(), wrong)
    with pytest.raises(ValueError):
        watched(Window(alpha=0), [])
