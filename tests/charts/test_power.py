import pytest

from seatrial.charts.power import power_chart
from seatrial.charts.save import to_svg

CURVES = {0.1: [(7 * i, min(0.3 * i, 1.0)) for i in range(5)], 0.01: [(7 * i, 0.02 * i) for i in range(5)]}


def test_a_line_and_a_name_for_every_share(drawn):
    chart = power_chart(CURVES, wanted=0.8, weekly=True, title="Plan p")
    ((layer, rows),) = drawn(chart, "line")
    assert {row["share"] for row in rows} == {"10%", "1%"}
    assert layer["encoding"]["x"]["axis"]["values"] == [0, 7, 14, 21, 28]
    named = {row["share"]: row["rises"] for _, labels in drawn(chart, "text") for row in labels}
    assert named == {"10%": True, "1%": False}
    ((_, rule),) = drawn(chart, "rule")
    assert rule == [{"power": 0.8}]


def test_long_plans_have_few_ticks_and_short_ones_no_weeks(drawn):
    def ticks(end, weekly):
        ((layer, _),) = drawn(power_chart({0.1: [(1, 0.1), (end, 0.9)]}, wanted=0.8, weekly=weekly, title="p"), "line")
        return layer["encoding"]["x"]["axis"].get("values")

    assert len(ticks(700, True)) < 11
    assert all(day % 7 == 0 for day in ticks(700, True))
    assert ticks(5, True) is None
    assert ticks(70, False) is None


def test_it_is_drawn():
    svg = to_svg(power_chart(CURVES, wanted=0.8, weekly=True, title="Plan p"))
    assert "passes by then" in svg
    assert "Plan p" in svg


def test_nothing_to_draw():
    with pytest.raises(ValueError, match="no share"):
        power_chart({}, wanted=0.8, weekly=True, title="p")
