from itertools import pairwise

import pytest

from seatrial.charts.save import to_svg
from seatrial.charts.split import split_chart
from seatrial.charts.timeline import periods


def test_steps_of_canary_and_shadow(walk, drawn):
    (_, served), (_, mirrored) = drawn(split_chart(walk(lambda hour: -0.004)), "rect")
    assert [row["share"] for row in served] == [5, 25, 100]
    assert [row["share"] for row in mirrored] == [100]


def test_periods_follow_the_moves(walk):
    decisions = walk(lambda hour: -0.004)
    spans = periods(decisions)
    assert [p.name for p in spans] == ["shadow", "canary 5%", "canary 25%", "everyone"]
    assert all(a.end == b.start for a, b in pairwise(spans))
    assert spans[-1].end > decisions[-1].at


def test_strikes_are_marked_and_counted(walk):
    clean = to_svg(split_chart(walk(lambda hour: -0.004)))
    harmed = to_svg(split_chart(walk(lambda hour: 0.3 if hour > 60 else -0.004)))
    assert "strike" not in clean
    assert "2 strikes" in harmed


def test_it_draws_a_rollout_that_has_only_begun(walk):
    assert "shadow 100%" in to_svg(split_chart(walk(lambda hour: -0.004)[:1]))


def test_no_decisions():
    with pytest.raises(ValueError, match="without decisions"):
        split_chart([])
