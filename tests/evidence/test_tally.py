"""Laws of tallies: whatever the split and the order, the sums are the same."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.evidence.tally import MICRO, TOTAL, UNIT_BUCKETS, Cell, Tally

ROW = st.tuples(
    st.integers(1, 3),
    st.sampled_from([0, 3600]),
    st.sampled_from([TOTAL, "origin=JFK"]),
    st.sampled_from(["champion", "canary"]),
    st.integers(0, UNIT_BUCKETS - 1),
    st.integers(0, 5),
    st.integers(-10 * MICRO, 10 * MICRO),
    st.integers(0, 10 * MICRO),
)
ROWS = st.lists(ROW, max_size=8)
TALLIES = ROWS.map(Tally.from_rows)


@given(TALLIES)
def test_the_empty_tally_is_the_identity(a):
    assert a + Tally() == a == Tally() + a


@given(TALLIES, TALLIES, TALLIES)
def test_merging_is_associative_and_commutative(a, b, c):
    assert (a + b) + c == a + (b + c)
    assert a + b == b + a


@given(ROWS, st.integers(0, 8))
def test_a_log_equals_the_sum_of_its_parts(rows, cut):
    assert Tally.from_rows(rows) == Tally.from_rows(rows[:cut]) + Tally.from_rows(rows[cut:])


@given(TALLIES)
def test_rows_are_the_tally(a):
    assert Tally.from_rows(a.rows()) == a
    assert list(a.rows()) == sorted(a.rows())


@given(TALLIES, TALLIES)
def test_merging_leaves_its_parts_alone(a, b):
    before = list(a.rows()), list(b.rows())
    _ = a + b
    assert (list(a.rows()), list(b.rows())) == before


@settings(max_examples=30)
@given(TALLIES, TALLIES)
def test_selecting_commutes_with_merging(a, b):
    assert (a + b).since(2) == a.since(2) + b.since(2)
    assert (a + b).segment(TOTAL) == a.segment(TOTAL) + b.segment(TOTAL)
    assert (a + b).exposures("canary") == a.exposures("canary") + b.exposures("canary")


def test_a_different_number_makes_a_different_tally():
    one = Tally.from_rows([(1, 0, TOTAL, "canary", 7, 1, MICRO, MICRO)])
    assert one != Tally.from_rows([(1, 0, TOTAL, "canary", 7, 1, MICRO + 1, MICRO)])
    assert one != Tally()
    zeros = Tally({Cell(1, 0, TOTAL, "canary"): np.zeros((UNIT_BUCKETS, 3), dtype=np.int64)})
    assert zeros == Tally()


def test_strata_have_both_arms_side_by_side():
    tally = Tally.from_rows(
        [
            (1, 0, TOTAL, "canary", 3, 2, MICRO, 2 * MICRO),
            (1, 0, TOTAL, "champion", 5, 4, 3 * MICRO, 4 * MICRO),
            (1, 3600, TOTAL, "champion", 5, 9, 0, 0),
        ]
    )
    strata = tally.strata("canary", "champion")
    assert strata.count_t.shape == (1, UNIT_BUCKETS)
    assert (strata.count_t[0, 3], strata.num_t[0, 3], strata.den_t[0, 3]) == (2, 1.0, 2.0)
    assert (strata.count_c[0, 5], strata.num_c[0, 5], strata.den_c[0, 5]) == (4, 3.0, 4.0)
    assert Tally().strata("canary", "champion").count_t.shape == (0, UNIT_BUCKETS)
