"""Exercises 29.19 and 29.20 from the commands: what a slow way home costs, and what a fast one does."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """Of any project: these commands need none."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")


def test_requests_that_a_rollback_reaches_too_late(run: Any) -> None:
    given = ("calc", "rollback-impact", "--rate", "5M/h", "--share", "25%")
    fast = run(*given, "--seconds", "5", "--json").json
    slow = run(*given, "--seconds", "5m", "--json").json
    assert (round(fast["affected"]), round(slow["affected"])) == (1_736, 104_167)
    assert fast["schema"] == "seatrial.calc-rollback-impact.v1"
    assert round(fast["per_second"], 1) == 347.2


def test_a_minute_of_detection_dwarfs_a_switch_of_five_seconds(run: Any) -> None:
    given = ("calc", "rollback-impact", "--rate", "5M/h", "--share", "25%", "--seconds", "5", "--detection", "60s")
    found = run(*given, "--json").json
    assert (round(found["affected"]), round(found["affected_before_detection"])) == (1_736, 20_833)
    assert "20,833 before anybody notices" in run(*given).out


def test_an_investment_breaks_even(run: Any) -> None:
    given = (
        "calc", "rollback-impact", "--rate", "5M/h", "--share", "25%", "--seconds", "5", "--versus", "5m",
        "--investment", "20000", "--incidents", "2/month", "--cost-per-request", "0.01",
    )  # fmt: skip
    found = run(*given, "--json").json
    assert round(found["versus"]["spared"]) == 102_431
    assert found["investment"]["saved_a_month"] == pytest.approx(2_048.61, abs=0.01)
    assert found["investment"]["months"] == pytest.approx(9.763, abs=0.001)
    assert "paid back in 9.8 months" in run(*given).out
    worse = run(*given[:6], "--seconds", "5m", "--versus", "5s", *given[10:], "--json").json
    assert worse["investment"]["months"] is None, "a slower way home is never paid back"


STANDBY = ("calc", "standby-cost", "--pods", "8", "--pod-cost", "3000", "--rate", "5M/h", "--revenue", "2M")


def test_a_hot_standby_costs_half_of_serving_and_a_fraction_of_the_revenue(run: Any) -> None:
    found = {one["policy"]: one for one in run(*STANDBY, "--json").json["policies"]}
    assert found["hot"]["cost"] == 12_000
    assert found["hot"]["share_of_revenue"] == pytest.approx(0.006)
    assert "12,000 a month, 0.6% of the revenue" in run(*STANDBY).out
    assert found["warm"]["cost"] == 3_000, "one replica, with the image and the model at hand"
    assert found["warm"]["seconds"] == 60
    assert (found["cold"]["cost"], found["cold"]["pays_from"]) == (0, None)


def test_a_cold_rollback_takes_a_minute_and_a_half(run: Any) -> None:
    found = run(*STANDBY, "--pull", "30", "--load", "45", "--warm-up", "15", "--json").json["policies"]
    (cold,) = [one for one in found if one["policy"] == "cold"]
    assert (cold["seconds"], round(cold["affected"])) == (90, 125_000)


def test_what_a_request_is_worth_decides_whether_a_standby_pays(run: Any) -> None:
    cheap, dear = run(*STANDBY, "--json").json, run(*STANDBY, "--cost-per-request", "1", "--json").json
    assert cheap["policies"][0]["pays_from"] == pytest.approx(185.5, abs=0.1)
    assert dear["policies"][0]["pays_from"] == pytest.approx(12_000 / (125_000 - 6_944.4), rel=1e-4)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (("rollback-impact", "--rate", "5M", "--seconds", "5"), "ST0253"),
        (("rollback-impact", "--rate", "0/h", "--seconds", "5"), "ST0143"),
        (("rollback-impact", "--rate", "5M/h", "--seconds", "soon"), "ST0253"),
        (("rollback-impact", "--rate", "5M/h", "--seconds", "5", "--share", "120%"), "ST0253"),
        (("rollback-impact", "--rate", "5M/h", "--seconds", "5", "--investment", "9"), "ST0142"),
        (("standby-cost", "--pods", "8", "--pod-cost", "3000", "--rate", "5M/h", "--revenue", "much"), "ST0253"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_remedy(run: Any, given: tuple[str, ...], code: str) -> None:
    said = run("calc", *given)
    assert (said.code, said.out) == (2, "")
    assert code in said.err
    assert "e.g." in said.err or "--versus" in said.err
