"""Exercise 29.18: the interval between runs that costs least."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from commandline import run_command

ASKED = ("cadence", "optimise", "--cost", "200", "--loss", "1000/pct-day")
STRAIGHT = (*ASKED, "--degradation", "0.5%/day")


def test_the_optimum_and_its_neighbours(capsys: Any) -> None:
    told = run_command(capsys, *STRAIGHT, "--json")
    assert told["interval_days"] == pytest.approx(0.894427, abs=1e-6)
    assert told["interval_hours"] == pytest.approx(21.466, abs=0.001)
    assert told["cost_per_day"] == pytest.approx(447.2136, abs=1e-4)
    table = {row["interval_days"]: row for row in told["table"]}
    assert table[1.0]["cost_per_day"] == pytest.approx(450.00)
    assert table[1.0]["extra_per_day"] == pytest.approx(2.79, abs=0.005)
    assert table[7.0]["cost_per_day"] == pytest.approx(1_778.57, abs=0.005)
    said = run_command(capsys, *STRAIGHT)
    for part in ("0.894 d (21.47 h)", "$447.21/day", "$450.00", "$1,778.57", "$2.79"):
        assert part in said


def test_whole_days_are_one_day(capsys: Any) -> None:
    told = run_command(capsys, *STRAIGHT, "--every", "1d", "--json")
    assert (told["interval_days"], told["cost_per_day"], told["binding"]) == (1.0, 450.0, ["grid"])
    assert told["unlimited"]["interval_days"] == pytest.approx(0.8944, abs=1e-4)
    assert "$450.00/day; binding: whole steps of --every." in run_command(capsys, *STRAIGHT, "--every", "1d")


@pytest.mark.parametrize(
    ("limit", "interval", "binding"),
    [
        (("--min-interval", "2d"), 2.0, ["min_interval"]),
        (("--max-interval", "12h"), 0.5, ["max_interval"]),
        (("--label-delay", "3d"), 3.0, ["label_delay"]),
        (("--every", "7d"), 7.0, ["grid"]),
        (("--label-delay", "36h", "--every", "1d"), 2.0, ["label_delay", "grid"]),
    ],
)
def test_what_binds_is_named(limit: tuple[str, ...], interval: float, binding: list[str], capsys: Any) -> None:
    told = run_command(capsys, *STRAIGHT, *limit, "--json")
    assert (told["interval_days"], told["binding"]) == (interval, binding)


def test_any_curve_and_the_straight_one_agrees(tmp_path: Path, capsys: Any) -> None:
    formula = run_command(capsys, *ASKED, "--curve", "0.5*t", "--horizon", "30d", "--json")
    assert formula["interval_days"] == pytest.approx(0.8944271909999159, abs=1e-6)
    (tmp_path / "curve.csv").write_text("age_days,decline,lower,upper\n1,0.1,0.05,0.2\n7,2.0,1.0,3.0\n30,4.0,2,8\n")
    measured = run_command(capsys, *ASKED, "--curve", tmp_path / "curve.csv", "--json")
    low, high = measured["interval_range_days"]
    assert low < measured["interval_days"] < high
    saturating = run_command(capsys, *ASKED, "--curve", "3*(1-exp(-t/10))", "--horizon", "60d", "--json")
    assert saturating["interval_days"] == pytest.approx(1.2016, abs=1e-3)


def test_unsure_inputs_give_an_interval(capsys: Any) -> None:
    told = run_command(capsys, *STRAIGHT, "--degradation-range", "0.3,0.8", "--cost-range", "150,250", "--json")
    low, high = told["interval_range_days"]
    assert low == pytest.approx((2 * 150 / 800) ** 0.5)
    assert high == pytest.approx((2 * 250 / 300) ** 0.5)
    assert told["regret_per_day"] > 0
