from dataclasses import replace

import pytest

from seatrial.charts.interval import MOST_POINTS, interval_chart
from seatrial.charts.save import to_svg
from seatrial.values import Margin


def test_estimate_and_interval_are_in_percent(walk, plan, drawn):
    chart = interval_chart(walk(lambda hour: -0.004), plan, "log_loss")
    ((line, estimates),) = drawn(chart, "line")
    ((_, intervals),) = drawn(chart, "area")
    assert {round(row["value"], 6) for row in estimates} == {-0.4}
    assert {(round(row["value"], 6), round(row["upper"], 6)) for row in intervals} == {(-1.4, 0.6)}
    assert line["encoding"]["y"]["title"] == "difference to the champion, %"


def test_shadow_and_canary_are_two_lines(walk, plan, drawn):
    ((_, rows),) = drawn(interval_chart(walk(lambda hour: -0.004), plan, "log_loss"), "line")
    assert {(row["run"], row["arms"]) for row in rows} == {(0, "shadow, same requests"), (1, "canary")}


def test_shadow_after_a_step_back_does_not_join_the_shadow_before_it(walk, plan, drawn):
    decisions = walk(lambda hour: 0.3 if hour > 60 else -0.004)
    assert [d.action for d in decisions if d.action == "step_back"]
    ((_, rows),) = drawn(interval_chart(decisions, plan, "log_loss"), "line")
    assert {row["run"] for row in rows if row["arms"].startswith("shadow")} == {0, 2}


def test_bound_falls_to_the_margin_at_the_last_stage(walk, plan, drawn):
    ruled = drawn(interval_chart(walk(lambda hour: -0.004), plan, "log_loss"), "rule")
    (bounds,) = [rows for _, rows in ruled if rows[0].get("text", "").startswith("bound")]
    assert [round(row["value"], 6) for row in bounds] == [4.5, 4.5, 1.5]
    dashed = [rows for layer, rows in ruled if "strokeDash" in layer["mark"]]
    assert [rows[0]["text"] for rows in dashed] == ["margin +1.5%"]


def test_moves_are_marked_in_order(walk, plan, drawn):
    _, promoted = drawn(interval_chart(walk(lambda hour: -0.004), plan, "log_loss"), "point")[-1]
    assert [row["move"] for row in promoted] == ["advance", "advance", "promote"]
    _, stopped = drawn(interval_chart(walk(lambda hour: 0.3), plan, "log_loss"), "point")[-1]
    assert [row["move"] for row in stopped] == ["abort"]


def test_shares_of_units_are_in_points_and_everything_judged_is_in_view(walk, plan, drawn):
    ((line, _),) = drawn(interval_chart(walk(lambda hour: -0.004), plan, "errors"), "line")
    assert "pp" in line["encoding"]["y"]["title"]
    low, high = line["encoding"]["y"]["scale"]["domain"]
    assert low < -0.2
    assert high > 3.0


def test_it_draws(walk, plan):
    svg = to_svg(interval_chart(walk(lambda hour: 0.3 if hour > 60 else -0.004), plan, "log_loss"))
    for text in ("log_loss", "margin +1.5%", "bound +4.5%", "shadow", "canary 5%", "step back", "abort", "2 Mar"):
        assert text in svg


def test_nothing_to_draw_before_the_first_estimate(walk, plan):
    decisions = walk(lambda hour: -0.004)
    assert interval_chart(decisions[:1], plan, "log_loss") is None
    assert interval_chart(decisions[:2], plan, "log_loss") is not None


def test_a_margin_of_a_rate_ratio_is_not_drawn_among_differences(walk, plan):
    ratio = replace(plan.metrics[1], margin=Margin.parse("20%"))
    decisions = walk(lambda hour: -0.004)
    assert "margin" in to_svg(interval_chart(decisions, plan, "errors"))
    relative = replace(plan, metrics=(plan.metrics[0], ratio))
    assert "margin" not in to_svg(interval_chart(decisions, relative, "errors"))


def test_unknown_metric(walk, plan):
    with pytest.raises(KeyError):
        interval_chart(walk(lambda hour: -0.004), plan, "nope")


def test_many_looks_are_thinned_and_the_last_one_stays(walk, plan, drawn):
    decisions = walk(lambda hour: -0.004)
    many = [decisions[0], *[decisions[1]] * 3000, decisions[-1]]
    ((_, rows),) = drawn(interval_chart(many, plan, "log_loss"), "line")
    assert len(rows) <= MOST_POINTS
    assert rows[-1]["at"] == decisions[-1].at.isoformat()
