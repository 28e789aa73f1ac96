"""The drawing of one verdict: everything that the verdict rests on is inside, and on its right side."""

from __future__ import annotations

from typing import Any

import pytest

from seatrial.api.whisker import EDGE, WIDTH, whisker

VERDICT: dict[str, Any] = {
    "scale": "relative", "boundScale": "relative", "better": "decrease", "bound": 0.05,
    "estimate": 0.01, "lower": -0.02, "upper": 0.04,
}  # fmt: skip


def test_places_are_in_the_order_of_the_numbers() -> None:
    w = whisker(VERDICT)
    assert w is not None
    assert w.bound is not None
    assert EDGE <= w.low < w.zero < w.estimate < w.high < w.bound <= WIDTH - EDGE
    assert w.worse == (w.bound, WIDTH - w.bound)
    assert (w.cut_low, w.cut_high) == (False, False)


def test_what_is_better_the_higher_it_is_has_its_worse_side_on_the_left() -> None:
    w = whisker({**VERDICT, "better": "increase", "bound": -0.05})
    assert w is not None
    assert w.worse == (0.0, w.bound)


def test_a_wide_interval_is_cut_and_leaves_room_for_the_bound() -> None:
    w = whisker({**VERDICT, "lower": -3.0, "upper": 40.0})
    assert w is not None
    assert w.bound is not None
    assert (w.cut_low, w.cut_high) == (True, True)
    assert w.bound - w.zero > WIDTH / 10


def test_a_bound_on_the_ratio_of_rates_is_not_drawn_among_differences() -> None:
    w = whisker({**VERDICT, "scale": "absolute"})
    assert w is not None
    assert (w.bound, w.worse) == (None, None)


@pytest.mark.parametrize("gone", ["estimate", "lower", "upper"])
def test_without_an_interval_nothing_is_drawn(gone: str) -> None:
    assert whisker({**VERDICT, gone: None}) is None


def test_nothing_but_zeros_is_drawn_all_the_same() -> None:
    assert whisker({**VERDICT, "estimate": 0.0, "lower": 0.0, "upper": 0.0, "bound": 0.0}) is not None
