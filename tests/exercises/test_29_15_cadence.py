"""Exercise 29.15: three models, what each is trained by, and whether every four hours would do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from commandline import run_command


@pytest.mark.parametrize(
    ("name", "runs"),
    [pytest.param("surge-pricing", 720, marks=pytest.mark.slow), ("demand-forecast", 30), ("driver-churn", 4)],
)
def test_a_thirty_days_of_each_policy(name: str, runs: int, tmp_path: Path, capsys: Any) -> None:
    text = run_command(capsys, "trigger", "templates", name)
    (tmp_path / "policy.yaml").write_text(text)
    (tmp_path / "nothing.yaml").write_text("[]")
    assert run_command(capsys, "trigger", "lint", tmp_path / "policy.yaml", "--json")["findings"] == []
    asked = ("trigger", "explain", tmp_path / "policy.yaml", tmp_path / "nothing.yaml", "--run-time", "20m", "--json")
    told = run_command(capsys, *asked, "--from", "2026-02-27T00:00:01", "--until", "2026-03-29")
    assert len(told["runs"]) == runs
    starts = [run["started"] for run in told["runs"]]
    assert len({*starts}) == len(starts), "none twice"
    assert {event["what"] for event in told["events"]} == {"started", "finished"}


@pytest.mark.slow
def test_a_without_its_primary_trigger_lint_warns(tmp_path: Path, capsys: Any) -> None:
    for name in ("surge-pricing", "demand-forecast", "driver-churn"):
        policy = yaml.safe_load(run_command(capsys, "trigger", "templates", name))
        policy["triggers"] = [t for t in policy["triggers"] if t["name"] != policy["primary"]]
        (tmp_path / "less.yaml").write_text(yaml.safe_dump(policy))
        found = run_command(capsys, "trigger", "lint", tmp_path / "less.yaml", "--json")["findings"]
        assert any("primary trigger" in finding["text"] for finding in found)


def test_b_a_window_shorter_than_a_season_is_warned_of(tmp_path: Path, capsys: Any) -> None:
    policy = yaml.safe_load(run_command(capsys, "trigger", "templates", "demand-forecast"))
    policy["training"]["window"] = "90d"
    (tmp_path / "short.yaml").write_text(yaml.safe_dump(policy))
    found = run_command(capsys, "trigger", "lint", tmp_path / "short.yaml", "--json")["findings"]
    assert ["shorter than one season" in f["text"] for f in found] == [True]


def test_c_every_hour_or_every_four(capsys: Any) -> None:
    told = run_command(capsys, "cadence", "compare", "1h", "4h", "--cost", "15", "--json")
    assert told["cost_per_month"] == [10_800, 2_700]
    assert told["break_even_per_hour_of_age"] == pytest.approx(7.5)
    for staleness, cheaper in (("9", "1h"), ("6", "4h")):
        asked = ("cadence", "compare", "1h", "4h", "--cost", "15", "--staleness", staleness, "--json")
        assert run_command(capsys, *asked)["cheaper"] == cheaper


def test_c_measured_on_models_of_every_age(tmp_path: Path, capsys: Any) -> None:
    lines = ["period,age_hours,loss"]
    lines += [
        f"d{p},{age},{0.4 + 0.05 * (p % 7) + 0.01 * age + 0.001 * (p * age % 5)}" for p in range(20) for age in range(5)
    ]
    (tmp_path / "backtest.csv").write_text("\n".join(lines))
    asked = ("cadence", "compare", "1h", "4h", "--cost", "15", "--backtest", tmp_path / "backtest.csv", "--json")
    told = run_command(capsys, *asked)["backtest"]
    assert told["periods"] == 20
    assert told["difference"] == pytest.approx(0.015, abs=0.003)
    assert told["interval"][0] > 0
