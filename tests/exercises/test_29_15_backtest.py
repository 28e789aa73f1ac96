"""Exercise 29.15, b and c: training windows, staleness, and cadences, measured on history that is run again."""

from __future__ import annotations

import csv
import shlex
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from commandline import run_command
from seatrial.cli import main
from seatrial.retrain.backtest import periods, trained
from seatrial.retrain.policy import Training
from seatrial.retrain.staleness import measured
from seatrial.retrain.window import choose, seen, span, uncovered, weights
from seatrial.values import Duration

FLIGHTS = Path(__file__).parents[2] / "examples" / "flights" / "backtest.py"
WEEK = Duration.parse("7d")
CUTOFF = datetime(2024, 3, 10, tzinfo=UTC)  # ten days after a leap day, and the night New York's clocks go forward

MODEL = """
import json, os
from datetime import datetime, timedelta
until = datetime.fromisoformat(os.environ["SEATRIAL_TRAIN_UNTIL"])
since = os.environ["SEATRIAL_TRAIN_FROM"]
days = (until - datetime.fromisoformat(since)).days if since else 400
losses = []
for start, end in json.loads(os.environ["SEATRIAL_PERIODS"]):
    at = datetime.fromisoformat(start)
    week = at.toordinal() % 7
    losses.append(0.5 + 0.05 * week + {age} * (at - until).days + {short} / days + 0.001 * (at.toordinal() * 37 % 5))
last = until - timedelta(hours=1)
answer = dict(losses=losses, rows=24 * days, first=(until - timedelta(days=days)).isoformat(),
              last=last.isoformat(), known=(last + timedelta(minutes={late})).isoformat())
open(os.environ["SEATRIAL_RESULT"], "w").write(json.dumps(answer))
"""


def model(tmp_path: Path, *, age: float = 0.0, short: float = 0.0, late: int = 30) -> str:
    """A command whose models lose ``age`` more each day, and ``short`` over the days that they were trained on."""
    path = tmp_path / "model.py"
    path.write_text(MODEL.replace("{age}", str(age)).replace("{short}", str(short)).replace("{late}", str(late)))
    return shlex.join([sys.executable, "-S", "-I", str(path)])


def lines(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def days(first: int, last: int) -> Any:
    return np.datetime64("2024-03-10", "us") + np.arange(first, last) * np.timedelta64(1, "D")


def test_b_lineage_has_the_exact_range_and_rows() -> None:
    """Rows of 30 days before the cut-off and 5 after it; outcomes come two days later, and of each fifth never."""
    times = days(-30, 5)
    known = times + np.timedelta64(2, "D")
    known[::5] = np.datetime64("NaT")
    for mode, window, first, rows in (("sliding", WEEK, -7, 4), ("expanding", None, -29, 22), ("decay", WEEK, -29, 22)):
        training = Training(mode=mode, window=window)
        chosen, lineage = seen(training, CUTOFF, times, known)
        told = lineage.document()
        assert told["rows"] == chosen.sum() == rows
        assert told["until"] == "2024-03-10T00:00:00+00:00"
        assert told["from"] == ("2024-03-03T00:00:00+00:00" if mode == "sliding" else None)
        assert told["first"] == (CUTOFF + timedelta(days=first)).isoformat()
        assert told["last"] == (CUTOFF - timedelta(days=3)).isoformat(), "two days later is not before the cut-off"
        age = (np.datetime64("2024-03-10", "us") - times[chosen]) / np.timedelta64(7, "D")
        weight = 0.5 ** (age if mode == "decay" else 0 * age)
        assert told["effectiveRows"] == pytest.approx(weight.sum() ** 2 / (weight**2).sum())
    assert seen(Training(mode="expanding"), CUTOFF, [], [])[1].document()["rows"] == 0


def test_b_no_row_and_no_outcome_is_later_than_the_cut_off() -> None:
    everything = Training(mode="expanding")
    times, at = days(-3, 3), np.datetime64("2024-03-10", "us")
    assert times[seen(everything, CUTOFF, times, times)[0]].max() < at
    one = np.timedelta64(1, "us")
    for event, outcome, kept in ((at - one, at - one, True), (at - one, at, False), (at, at, False)):
        assert bool(seen(everything, CUTOFF, [event], [outcome])[0][0]) is kept


def test_b_a_window_is_as_long_whatever_the_clocks_say() -> None:

    for cutoff in (CUTOFF, datetime(2024, 3, 1, tzinfo=UTC), datetime(2024, 11, 3, 12, tzinfo=UTC)):
        over = span(Training(window=WEEK), cutoff)
        assert over.start is not None
        assert over.cutoff - over.start == timedelta(days=7)
        assert over == span(Training(window=WEEK), cutoff.astimezone(ZoneInfo("America/New_York")))

    for wrong in (Training(), Training(mode="decay")):
        with pytest.raises(ValueError, match="has a length"):
            span(wrong, CUTOFF)
    with pytest.raises(ValueError, match="time zone"):
        span(Training(window=WEEK), CUTOFF.replace(tzinfo=None))


def test_b_older_rows_count_less_where_they_decay() -> None:
    training = Training(mode="decay", window=WEEK)
    assert weights(training, CUTOFF, days(-14, -6)[[0, 7]]).tolist() == [0.25, 0.5]
    assert weights(Training(window=WEEK), CUTOFF, days(-14, -6)).tolist() == [1.0] * 8


def test_b_less_than_a_season_is_warned_of() -> None:
    year, old = Duration.parse("365d"), datetime(2020, 1, 1, tzinfo=UTC)
    assert uncovered(Training(window=WEEK, season=year), old, CUTOFF) is not None
    assert uncovered(Training(window=year, season=year), old, CUTOFF) is None
    assert uncovered(Training(window=WEEK), old, CUTOFF) is None
    new = uncovered(Training(mode="expanding", season=year), CUTOFF - timedelta(days=90), CUTOFF)
    assert new == "training data of 90 days are shorter than one season, 365d"


def test_b_the_shortest_window_that_is_not_worse(tmp_path: Path, capsys: Any) -> None:
    """A model of few days loses more; 60 days are as good as all there is, 7 are not."""
    asked = ("cadence", "window", "--from", "2024-02-01", "--until", "2024-02-29", "--every", "7d", "--json")
    candidates = ("--window", "7d", "--window", "60d", "--window", "all")
    told = run_command(capsys, *asked, *candidates, "--run", model(tmp_path, short=0.7), "--margin", "0.02", "--season",
                       "90d", "--keep", tmp_path / "kept.csv")  # fmt: skip
    assert (told["window_days"], told["best_days"], told["periods"]) == (60, "all", 4)
    assert [one["enough"] for one in told["windows"]] == [False, True, True]
    worst = told["windows"][0]
    assert worst["difference"] == pytest.approx(0.7 / 7 - 0.7 / 400, abs=1e-9)
    assert worst["interval"][0] > 0
    assert told["warning"] == "60 d are shorter than one season, 90 d"
    again = run_command(capsys, "cadence", "window", "--backtest", tmp_path / "kept.csv", "--margin", "0.02", "--json")
    assert again["windows"] == told["windows"]
    same = run_command(capsys, *asked, *candidates, "--run", model(tmp_path))
    assert same["window_days"] == 7, "where length makes no difference the shortest will do"


def test_b_few_noisy_periods_excuse_a_window_unless_there_is_a_margin() -> None:
    losses = {7.0: {"a": 1.5, "b": 0.8, "c": 1.4}, 30.0: {"a": 1.0, "b": 1.1, "c": 0.9}}
    assert choose(losses).chosen == 7
    assert choose(losses, margin=0.01).chosen == 30
    for few in (
        {7.0: losses[7.0]},
        {7.0: {"a": 1.0, "b": 1.0}, 30.0: losses[30.0]},
        {7.0: {"z": 1.0}, 30.0: losses[30.0]},
    ):
        with pytest.raises(ValueError):
            choose(few)


def test_c_models_that_grow_old_are_told_from_models_that_do_not(tmp_path: Path, capsys: Any) -> None:
    """Over the leap day and the change of clocks: 28 days of UTC are 28 periods."""
    asked = ("cadence", "compare", "1d", "7d", "--cost", "15", "--from", "2024-02-18", "--until", "2024-03-17",
             "--window", "14d", "--keep", tmp_path / "kept.csv", "--json")  # fmt: skip
    old = run_command(capsys, *asked, "--run", model(tmp_path, age=0.01))["backtest"]
    assert (old["periods"], old["blocks"]) == (28, 4)
    assert old["difference"] == pytest.approx(0.03, abs=1e-9)
    assert old["interval"][0] > 0
    rows = lines(tmp_path / "kept.csv")
    assert {row["train_rows"] for row in rows} == {str(24 * 14)}
    assert all(row["train_last"] < row["train_known"] < row["cutoff"] <= row["period"] for row in rows)
    young = run_command(capsys, *asked, "--run", model(tmp_path))["backtest"]
    assert young["difference"] == pytest.approx(0, abs=1e-9)


def test_c_a_model_that_saw_the_future_is_refused(tmp_path: Path, capsys: Any) -> None:
    asked = ("cadence", "compare", "1d", "2d", "--cost", "15", "--from", "2024-02-18", "--until", "2024-02-24", "--run")
    run_command(capsys, *asked, model(tmp_path, late=59))
    for late in (60, 600):
        with pytest.raises(SystemExit) as ended:
            main([*asked, model(tmp_path, late=late)])
        assert (ended.value.code, "ST1356" in capsys.readouterr().err) == (1, True)


def test_c_the_curve_of_a_log_is_what_optimise_reads(tmp_path: Path, capsys: Any) -> None:
    """Half a point a day, under weeks that differ by twenty: paired by week it is found."""
    rng = np.random.default_rng(15)
    log = ["period,age_days,loss"]
    for week in range(30):
        base = 1 + rng.normal(0, 0.2)
        log += [f"w{week},{age},{base + 0.005 * age + rng.normal(0, 0.0005)}" for age in (0, 1, 3, 7, 14)]
    (tmp_path / "log.csv").write_text("\n".join(log))
    told = run_command(
        capsys, "cadence", "curve", "--log", tmp_path / "log.csv", "--out", tmp_path / "curve.csv", "--json"
    )
    for point in told["points"]:
        low, high = point["interval"]
        assert low - 0.02 < 0.5 * point["age_days"] < high + 0.02
        assert high - low < 0.1, "what weeks have in common cancels"
    best = run_command(capsys, "cadence", "optimise", "--curve", tmp_path / "curve.csv", "--cost", "200", "--loss",
                       "1000/pct-day", "--json")  # fmt: skip
    assert best["interval_days"] == pytest.approx(0.894, abs=0.02)
    low, high = best["interval_range_days"]
    assert low < best["interval_days"] < high
    flat = measured([(str(w), float(age), float(rng.normal())) for w in range(30) for age in (0, 7)])
    assert flat.points[0].decline.interval[0] < 0 < flat.points[0].decline.interval[1]


def test_c_periods_and_models_are_counted_in_utc() -> None:
    over = periods(datetime(2024, 3, 9, tzinfo=UTC), datetime(2024, 3, 13, 5, tzinfo=UTC), timedelta(days=1))
    assert [(p.end - p.start, p.start.day) for p in over] == [(timedelta(days=1), day) for day in (9, 10, 11, 12)]
    assert [cutoff.day for cutoff, _ in trained(over, timedelta(days=3))] == [9, 9, 9, 12]
    for every in (timedelta(hours=12), timedelta(days=1.5)):
        with pytest.raises(ValueError, match="no whole number"):
            list(trained(over, every))
    with pytest.raises(ValueError, match="0 periods"):
        periods(CUTOFF, CUTOFF, timedelta(days=1))


@pytest.mark.slow
def test_c_on_a_year_of_flights(tmp_path: Path, capsys: Any) -> None:
    """Real models of real flights, every fourth of them: spring's model is not good enough for the summer."""
    command = shlex.join([sys.executable, str(FLIGHTS), "--sample", "4"])
    kept = tmp_path / "kept.csv"
    asked = ("cadence", "compare", "28d", "56d", "--cost", "20", "--from", "2013-03-06", "--until", "2013-08-21",
             "--window", "60d", "--run", command, "--keep", kept, "--json")  # fmt: skip
    told = run_command(capsys, *asked)["backtest"]
    assert (told["periods"], told["blocks"]) == (6, 3)
    low, high = told["interval"]
    assert low < told["difference"] < high
    assert min(told["losses"]) > 0.4
    assert max(told["losses"]) < 0.7
    rows = lines(kept)
    assert len({row["cutoff"] for row in rows}) == 6
    assert all(row["train_from"] <= row["train_last"] < row["cutoff"] for row in rows)
    assert all(row["train_known"] < row["cutoff"] for row in rows)


@pytest.mark.slow
def test_b_windows_of_real_flights(tmp_path: Path, capsys: Any) -> None:
    command = shlex.join([sys.executable, str(FLIGHTS), "--sample", "4"])
    asked = ("cadence", "window", "--window", "14d", "--window", "60d", "--from", "2013-05-01", "--until", "2013-06-26",
             "--every", "14d", "--margin", "0.2", "--run", command, "--json")  # fmt: skip
    told = run_command(capsys, *asked)
    assert told["periods"] == 4
    losses = {one["window_days"]: one["loss"] for one in told["windows"]}
    assert set(losses) == {14, 60}
    assert told["window_days"] in losses
    best = min(losses, key=losses.__getitem__)
    assert told["best_days"] == best
