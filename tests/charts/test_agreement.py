"""The picture of agreement by segment."""

from __future__ import annotations

import json

from seatrial.charts.agreement import MOST_ROWS, Point, agreement_chart
from seatrial.charts.save import to_svg


def test_every_segment_has_a_row_with_its_interval_and_the_total_comes_first() -> None:
    points = [
        Point("total", 0.9, (0.88, 0.92), 4_000),
        Point("age=power", 0.97, (0.96, 0.98), 2_000),
        Point("age=new", 0.65, (0.6, 0.7), 1_000),
        Point("age=unknown", 0.3, None, 12, enough=False),
    ]
    chart = agreement_chart(points, statistic="Spearman's rank correlation", floor=0.9, segment_floor=0.8)
    assert chart is not None
    text = json.dumps(chart.to_dict())
    assert text.index("total") < text.index("age=unknown") < text.index("age=new") < text.index("age=power")
    svg = to_svg(chart)
    assert all(word in svg for word in ("n 4,000", "age=new", "agreement, not quality"))


def test_nothing_is_no_picture_and_many_segments_are_the_lowest() -> None:
    assert agreement_chart([], statistic="x") is None
    many = [Point("total", 0.9, (0.8, 0.95), 100)] + [Point(f"k={n}", n / 200, (0, 1), 10) for n in range(199)]
    chart = agreement_chart(many, statistic="x")
    text = json.dumps(chart.to_dict() if chart is not None else {})
    assert f"k={MOST_ROWS - 2}" in text
    assert f"k={MOST_ROWS}" not in text
