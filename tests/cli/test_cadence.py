"""``seatrial cadence`` and ``trigger``: what does not fit is told with its remedy; formulas are parsed, never run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seatrial.cli.expression import formula
from seatrial.cli.trigger import template

LOSS = ("--cost", "200", "--loss", "1000/pct-day")
TRAINED = ("cadence", "optimise", *LOSS)
YEAR = ("--from", "2026-01-01", "--until", "2026-01-20")
COMPARED = ("cadence", "compare", "1h", "4h", "--cost", "15")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("churn.yaml").write_text(template("driver-churn"))
    Path("wrong.yaml").write_text("model: m\nprimary: p\ntriggres: []\n")
    Path("empty.yaml").write_text("model: m\nprimary: p\ntriggers: [{name: p}]\n")
    Path("history.yaml").write_text("- {at: 2026-03-07 12:00}\n")
    Path("asks.yaml").write_text("- {at: 2026-03-07 12:00, ask: weekly}\n")
    Path("ended.yaml").write_text("- {at: 2026-03-07 12:00, run: failed}\n")
    Path("odd.yaml").write_text("- {at: never}\n")
    Path("falls.csv").write_text("age_days,decline\n1,-1\n")
    Path("lone.csv").write_text("period,age_days,loss\na,1,1\nb,2,1\nc,3,1\n")
    Path("ageless.csv").write_text("period,loss\na,1\n")
    Path("ages.csv").write_text("period,age_days,loss\n" + "".join(f"{p},{a},1\n" for p in "abc" for a in (0, 1)))
    Path("windows.csv").write_text("period,window_days,loss\na,7,1\nb,7,2\nc,7,1\n")
    Path("twice.csv").write_text("period,window_days,loss\na,7,1\na,7,2\n")
    Path("endless.csv").write_text("period,window_days,loss\na,-7,1\n")
    Path("other.csv").write_text("age,loss\n1,2\n")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((*TRAINED,), "ST0388"),
        ((*TRAINED, "--degradation", "0.5%/day", "--curve", "t"), "ST0388"),
        ((*TRAINED, "--curve", "t"), "ST0388"),
        ((*TRAINED, "--curve", "10-t", "--horizon", "20d"), "ST0388"),
        ((*TRAINED, "--curve", "1/t", "--horizon", "20d"), "ST0388"),
        ((*TRAINED, "--curve", "none.csv"), "ST0388"),
        ((*TRAINED, "--curve", "falls.csv"), "ST0388"),
        ((*TRAINED, "--curve", "other.csv"), "ST0388"),
        ((*TRAINED, "--degradation", "0.5"), "ST0253"),
        ((*TRAINED, "--degradation", "0%/day"), "ST0253"),
        ((*TRAINED, "--degradation", "0.5%/day", "--min-interval", "3d", "--max-interval", "1d"), "ST0389"),
        ((*TRAINED, "--degradation", "0.5%/day", "--every", "0s"), "ST0389"),
        ((*TRAINED, "--degradation", "0.5%/day", "--cost-range", "300,400"), "ST0389"),
        ((*TRAINED, "--curve", "t", "--horizon", "9d", "--degradation-range", "0.3,0.8"), "ST0389"),
        (("cadence", "compare", "4h", "1h", "--cost", "15"), "ST0389"),
        ((*COMPARED, "--backtest", "none.csv"), "ST0388"),
        ((*COMPARED, "--backtest", "other.csv"), "ST0388"),
        ((*COMPARED, "--backtest", "b.csv", "--run", "true"), "ST1350"),
        ((*COMPARED, "--run", "true"), "ST1352"),
        ((*COMPARED, "--run", "true", *YEAR[:2], "--until", "soon"), "ST1352"),
        ((*COMPARED, "--run", "true", *YEAR[:2], "--until", "2025-12-01"), "ST1352"),
        ((*COMPARED, "--run", "true", *YEAR, "--window", "ever:7d"), "ST1352"),
        (("cadence", "compare", "2h", "5h", "--cost", "15", "--run", "true", *YEAR), "ST1352"),
        ((*COMPARED, "--run", "'", *YEAR), "ST1353"),
        ((*COMPARED, "--run", "", *YEAR), "ST1353"),
        ((*COMPARED, "--run", "no-such-program", *YEAR), "ST1353"),
        ((*COMPARED, "--run", "false", *YEAR), "ST1354"),
        ((*COMPARED, "--run", "sleep 60", *YEAR, "--timeout", "10ms"), "ST1354"),
        ((*COMPARED, "--run", "true", *YEAR), "ST1355"),
        (("cadence", "curve", "--log", "none.csv"), "ST0388"),
        (("cadence", "curve", "--log", "other.csv"), "ST0388"),
        (("cadence", "curve", "--log", "lone.csv"), "ST1350"),
        (("cadence", "curve", "--log", "ageless.csv"), "ST1350"),
        (("cadence", "curve", "--log", "ages.csv", "--out", "none/curve.csv"), "ST1351"),
        (("cadence", "window"), "ST1350"),
        (("cadence", "window", "--backtest", "lone.csv"), "ST0388"),
        (("cadence", "window", "--backtest", "windows.csv"), "ST1350"),
        (("cadence", "window", "--backtest", "twice.csv"), "ST1350"),
        (("cadence", "window", "--backtest", "endless.csv"), "ST1350"),
        (("cadence", "window", "--run", "true", *YEAR, "--window", "decay:7d"), "ST1352"),
        (("cadence", "window", "--run", "true", *YEAR), "ST1350"),
        (("trigger", "templates", "churn"), "ST0390"),
        (("trigger", "lint", "none.yaml"), "ST0390"),
        (("trigger", "lint", "wrong.yaml"), "ST0390"),
        (("trigger", "lint", "history.yaml"), "ST0390"),
        (("trigger", "explain", "empty.yaml", "history.yaml"), "ST0391"),
        (("trigger", "explain", "churn.yaml", "odd.yaml"), "ST0390"),
        (("trigger", "explain", "churn.yaml", "churn.yaml"), "ST0390"),
        (("trigger", "explain", "churn.yaml", "asks.yaml"), "ST0393"),
        (("trigger", "explain", "churn.yaml", "ended.yaml"), "ST0393"),
        (("trigger", "explain", "churn.yaml", "history.yaml", "--until", "2026-01-01"), "ST0393"),
        (("trigger", "explain", "churn.yaml", "history.yaml", "--until", "soon"), "ST0393"),
        (("trigger", "explain", "churn.yaml", "history.yaml", "--every", "daily"), "ST0253"),
    ],
)
def test_what_does_not_fit_is_told(arguments: tuple[str, ...], code: str, place: Path, run: Any) -> None:
    said = run(*arguments)
    assert said.code in (1, 2), said.out
    assert f"✖ {code} " in said.err


def test_an_unknown_field_is_named_with_the_nearest(place: Path, run: Any) -> None:
    assert "triggres is unknown, did you mean 'triggers'?" in run("trigger", "lint", "wrong.yaml").err
    found = run("trigger", "lint", "empty.yaml")
    assert (found.code, "it is exactly one of schedule, drift" in found.out) == (3, True)


def test_downtime_is_told_once_and_a_run_that_ended_early_is_believed(place: Path, run: Any) -> None:
    Path("long.yaml").write_text(
        "- {at: 2026-03-06 12:00, down: 30d}\n- {at: 2026-04-06 12:00, ask: by-hand, by: ann}\n"
        "- {at: 2026-04-06 13:00, run: registered as version 7}\n"
    )
    told = run("trigger", "explain", "churn.yaml", "long.yaml", "--json").json
    missed = [event for event in told["events"] if event["what"] == "missed"]
    assert [event["reason"][:24] for event in missed] == ["nobody was there 4 times"]
    assert told["runs"][0]["started"] == "2026-04-05T12:00:00+00:00", "when somebody was there again"
    assert [e["reason"] for e in told["events"] if e["what"] == "finished"] == ["registered as version 7"]
    assert (told["runs"][1]["trigger"], told["runs"][1]["started"]) == ("by-hand", "2026-04-06T13:00:00+00:00")


def test_a_formula_is_only_that() -> None:
    assert formula("2*t + max(t, 3)**2 - -1")(2) == 14
    assert formula("3*(1 - exp(-t/10))")(0) == 0
    refused = ("__import__('os')", "t.real", "[t]", "x", "t if t else 1", "exp(t, base=2)", "exp()", "exp(1, 2)",
               "min(t)", "'a'", "", "True", "t" * 300, "lambda: t", "t; t", "t < 1")  # fmt: skip
    for text in refused:
        with pytest.raises(ValueError):
            formula(text)
    for text, at in (("1/t", 0), ("log(t)", 0), ("exp(t)", 1e6), ("t**t", 1e5), ("sqrt(-1)", 0)):
        with pytest.raises(ValueError):
            formula(text)(at)
