"""What a reference is kept as: counts that merge by the laws, and still know where the data were."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from seatrial.stats.drift.adaptive import Bucket
from seatrial.stats.drift.calibrate import total
from seatrial.stats.drift.categories import NAMED, Categories, binned, named
from seatrial.stats.drift.cells import CELLS, Cells, Frame, frame_of
from seatrial.stats.drift.measures import numeric

FRAME = Frame(10.0, 3.0)
values = st.lists(st.one_of(st.floats(allow_nan=True, allow_infinity=True), st.floats(-50, 50)), max_size=20)
cells = values.map(lambda found: Cells.of(FRAME, found))
categories = st.builds(Categories, st.dictionaries(st.sampled_from("abc"), st.integers(1, 9)), st.integers(0, 5))
buckets = st.builds(Bucket, st.integers(0, 9), st.integers(0, 9).map(float))


@settings(max_examples=50)
@given(st.one_of(st.tuples(cells, cells, cells), st.tuples(categories, categories, categories),
                 st.tuples(buckets, buckets, buckets)))  # fmt: skip
def test_sums_merge_by_the_laws(three: tuple) -> None:  # type: ignore[type-arg]
    a, b, c = three
    none = Cells.empty(FRAME) if isinstance(a, Cells) else type(a)()
    assert a + none == a == none + a
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)
    assert (a + b) - b == a


@settings(max_examples=50)
@given(values, st.integers(0, 20))
def test_it_does_not_matter_how_data_are_split(found: list[float], at: int) -> None:
    assert Cells.of(FRAME, found[:at]) + Cells.of(FRAME, found[at:]) == Cells.of(FRAME, found)


@settings(max_examples=50)
@given(values)
def test_every_value_is_counted_once_and_near_where_it_is(found: list[float]) -> None:
    cells = Cells.of(FRAME, found)
    assert (cells.n, cells.missing) == (sum(not math.isnan(v) for v in found), sum(map(math.isnan, found)))
    inside = sorted(v for v in found if abs(v) <= 50)
    kept = Cells.of(FRAME, inside)
    told = np.repeat(kept.points(), kept.counts)
    off = np.abs(told - np.array(inside)) / np.maximum(np.abs(np.array(inside) - 10), 1e-5)
    assert (off <= 0.004).all()


def test_order_is_kept_from_end_to_end() -> None:
    spread = np.sort(np.concatenate([-np.logspace(-6, 9, 300), np.logspace(-6, 9, 300), [-np.inf, np.inf, 0]]))
    places = [int(np.flatnonzero(Cells.of(Frame(0, 1), [v]).counts)[0]) for v in spread]
    assert places == sorted(places)
    assert (places[0], places[-1]) == (0, CELLS - 1)
    assert (np.diff(Cells.empty(FRAME).points()) >= 0).all()


def test_distances_are_those_of_the_data() -> None:
    rng = np.random.default_rng(7)
    for x, y in ((rng.normal(300, 1, 20_000), rng.normal(300.1, 1.1, 5_000)),
                 (rng.lognormal(0, 2, 20_000), rng.lognormal(0.1, 2, 5_000))):  # fmt: skip
        frame = frame_of(x)
        found = {m.name: m.value for m in numeric(Cells.of(frame, x), Cells.of(frame, y))}
        assert found["ks"] == pytest.approx(stats.ks_2samp(x, y).statistic, abs=0.002)
        assert found["wasserstein"] == pytest.approx(stats.wasserstein_distance(x, y) / x.std(), rel=0.01)


def test_frames_of_odd_columns() -> None:
    assert frame_of([math.nan, math.inf]) == Frame(0.0, 1.0)
    assert frame_of([5.0] * 99 + [6.0]).scale == pytest.approx(0.0995, abs=1e-4)
    with pytest.raises(ValueError):
        Frame(0.0, 0.0)
    with pytest.raises(ValueError, match="different frames"):
        Cells.empty(FRAME) + Cells.empty(Frame(0, 1))
    with pytest.raises(ValueError, match="only a part"):
        Cells.of(FRAME, [1]) - Cells.of(FRAME, [2])
    with pytest.raises(ValueError, match="only a part"):
        Categories({"a": 1}) - Categories({"b": 1})


def test_new_and_rare_categories_share_a_bin() -> None:
    many = Categories({f"c{n:03}": 200 - n for n in range(120)})
    assert len(named(many)) == NAMED
    assert named(many)[0] == "c000"
    assert binned(Categories({"c000": 3, "new": 2}), named(many))[[0, -1]].tolist() == [3.0, 2.0]
    parts = [Categories({"a": 1}), Categories({"b": 2}, missing=1)]
    assert total(parts) - parts[0] == parts[1]  # type: ignore[operator]
    with pytest.raises(ValueError):
        total([])
