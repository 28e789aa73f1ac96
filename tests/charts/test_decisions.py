from seatrial.charts.decisions import decisions_chart
from seatrial.charts.save import to_svg


def test_one_bar_for_each_stretch_of_one_verdict(walk, drawn):
    decisions = walk(lambda hour: 0.3 if 60 < hour < 64 else -0.004)
    chart = decisions_chart(decisions)
    ((_, rows),) = drawn(chart, "bar")
    bars = [(row["metric"], row["verdict"]) for row in rows]
    assert [verdict for metric, verdict in bars if metric == "log_loss"] == ["pass", "fail", "pass"]
    assert [verdict for metric, verdict in bars if metric == "errors"] == ["pass"]
    assert "fail" in to_svg(chart)
    assert "inconclusive" not in to_svg(chart)


def test_nothing_judged_yet(walk):
    assert decisions_chart(walk(lambda hour: -0.004)[:1]) is None
