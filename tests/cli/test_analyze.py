"""``seatrial analyze canary`` on made-up shops: verdicts, exit codes, and what it says of tables it cannot read."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest

PLAN = """
name: shop
timeBucket: 1d
lookEvery: 1h
segments:
  - {name: country, field: country}
metrics:
  - {name: sales, kind: proportion, outcome: bought, horizon: 1h, margin: 10%}
  - {name: errors, kind: error_rate, margin: 2pp}
  - {name: slow, kind: latency, threshold: 250ms, margin: 2pp}
steps:
  - setWeight: 50%
"""
MICROS = 86_400 * 10**6


def visits(sales: float = 1.0, *, units: int = 6_000, rows: int = 12_000, share: float = 0.5, **more: Any) -> pa.Table:
    """Two days of a shop; with v8 ``sales`` times as many buy. ``more``: columns that replace others; None: without."""
    rng = np.random.default_rng(5)
    unit = rng.integers(units, size=rows)
    canary = rng.permutation(units)[unit] < share * units
    columns: dict[str, Any] = {
        "user": [f"u{n}" for n in unit],
        "version": np.where(canary, "v8", "v7"),
        "time": pa.array(1_772_323_200_000_000 + rng.integers(2 * MICROS, size=rows)).cast(pa.timestamp("us")),
        "country": np.array(["DE", "FR"])[unit % 2],
        "bought": (rng.random(rows) < 0.4 * np.where(canary, sales, 1.0)).astype(float),
        "failed": rng.random(rows) < 0.001,
        "latency_ms": rng.normal(80.0, 20.0, rows),
    }
    return pa.table({name: column for name, column in (columns | more).items() if column is not None})


@pytest.fixture(autouse=True)
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory without a project, with a plan."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    (tmp_path / "plan.yaml").write_text(PLAN)
    return tmp_path


@pytest.fixture
def analyze(run: Any) -> Any:
    """Write a table as CSV and judge it."""

    def command(table: pa.Table, *flags: object) -> Any:
        pc.write_csv(table, "visits.csv")
        return run("analyze", "canary", "--log", "visits.csv", "--plan", "plan.yaml", *ARMS, *flags)

    return command


ARMS = ("--champion", "v7", "--canary", "v8")


def test_an_equal_version_passes(analyze: Any) -> None:
    said = analyze(visits())
    assert said.code == 0
    assert "plan 'shop' on 'visits.csv', judged as at canary 50%" in said.out
    lines = said.out.splitlines()
    assert any(line.startswith("✔ sales ") and line.endswith("exposures · ok · pass") for line in lines)
    assert lines[-1] == "✔ pass: every guardrail excludes a loss beyond its margin"
    document = analyze(visits(), "--json").json
    assert document["schema"] == "seatrial.analysis.v1"
    assert (document["result"], document["rule"]) == ("pass", "advance")
    assert [v["verdict"] for v in document["verdicts"]] == ["pass"] * 3
    assert document["verdicts"][0]["immature"]["canary"] > 0, "the last hour is younger than its horizon"
    assert document["data"]["columns"]["outcomes"] == {"bought": "bought"}


def test_a_worse_version_fails(analyze: Any) -> None:
    said = analyze(visits(sales=0.8))
    assert said.code == 3
    assert "✖ sales −2" in said.out
    assert "proven below +0.0%" in said.out
    assert "\n✖ fail: sales is worse" in said.out


def test_too_little_is_undecided_and_says_what_is_missing(analyze: Any) -> None:
    said = analyze(visits(rows=120))
    assert said.code == 4
    assert "◌ sales" in said.out
    assert "more canary units with an outcome (" in said.out
    assert "\n? undecided: canary 50%: sample not reached\n  needs 42 more units (58 of 100)\n" in said.out


def test_a_log_that_is_not_split_as_declared_fails(analyze: Any) -> None:
    """Paired with the same log under its true split."""
    said = analyze(visits(share=0.4), "--split", "50%")
    assert said.code == 3
    assert "⚠ sample_ratio: " in said.out
    assert analyze(visits(share=0.4), "--split", "40%").code == 0


def test_a_ramp_is_judged_within_its_phases(analyze: Any) -> None:
    """On the second day everybody buys more, and half of the users are on the canary instead of a tenth."""
    rng = np.random.default_rng(7)
    rows, units = 30_000, 10_000
    unit, day = rng.integers(units, size=rows), rng.integers(2, size=rows)
    canary = rng.permutation(units)[unit] < np.where(day == 0, 0.1, 0.5) * units
    table = visits(
        rows=rows,
        user=[f"u{n}" for n in unit],
        version=np.where(canary, "v8", "v7"),
        time=pa.array(1_772_323_200_000_000 + day * MICROS + rng.integers(MICROS, size=rows)).cast(pa.timestamp("us")),
        bought=(rng.random(rows) < np.where(day == 0, 0.2, 0.5)).astype(int),
        phase=np.where(day == 0, "10%", "50%"),
    )
    by_column = analyze(table, "--json").json
    by_time = analyze(table, "--split", "2026-03-01=10%", "--split", "2026-03-02=50%", "--json").json
    declared = analyze(table, "--phase", "phase", "--split", "10%=10%", "--split", "50%=50%", "--json").json
    for document in (by_column, by_time, declared):
        assert [(p["weight"], round(p["share"])) for p in document["phases"]] == [(10, 10), (50, 51)]
        sales = document["verdicts"][0]
        assert abs(sales["estimate"]) < 0.04, "pooled over the days the canary would seem better by half"
        assert sales["rateCandidate"] / sales["rateChampion"] < 1.04
        assert document["result"] == "pass"
        assert document["units"]["crossed"] > 0
        assert document["units"]["mixed"] == 0
    assert by_time["verdicts"] == by_column["verdicts"]


def test_files_and_tables_of_every_kind_say_the_same(run: Any, shop: Path) -> None:
    table = visits(sales=0.8)
    pc.write_csv(table, shop / "visits.csv")
    (shop / "parts").mkdir()
    for n in range(3):
        pq.write_table(table.slice(n * 4_000, 4_000), shop / "parts" / f"{n}.parquet")
    with duckdb.connect(str(shop / "shop.duckdb")) as connection:
        connection.from_arrow(table).create("visits")
    plain = table.set_column(2, "time", table["time"].cast(pa.string()))
    with sqlite3.connect(shop / "shop.sqlite") as other:
        names = ", ".join(plain.column_names)
        other.execute(f"CREATE TABLE visits ({names.replace('bought', 'bought REAL').replace('_ms', '_ms REAL')})")
        other.executemany(
            "INSERT INTO visits VALUES (?, ?, ?, ?, ?, ?, ?)", zip(*plain.to_pydict().values(), strict=True)
        )
    documents = []
    for source in (
        ("--log", "visits.csv"),
        ("--log", "parts"),
        ("--log", "parts/*.parquet"),
        ("--log", "duckdb:///" + str(shop / "shop.duckdb#visits").lstrip("/")),
        ("--log", "shop.duckdb", "--table", "main.visits"),
        ("--connect", f"sqlite:///{shop}/shop.sqlite", "--table", "visits"),
    ):
        said = run("analyze", "canary", *source, "--plan", "plan.yaml", *ARMS, "--json")
        assert said.code == 3, said.err
        documents.append({name: value for name, value in said.json.items() if name != "log"})
    assert all(document == documents[0] for document in documents)


def test_the_event_log_of_a_project_is_a_log(run: Any, shop: Path) -> None:
    """Arms, buckets and rows of a batch are what they are there."""
    n = 400
    log = pa.table(
        {
            "request_id": [f"r{k}" for k in range(n)], "row": [k % 2 for k in range(n)], "outcome_key": ["k"] * n,
            "bucket": [k % 256 for k in range(n)], "unit": [f"u{k}" for k in range(n)],
            "arm": [("champion", "canary", "none")[k % 3] for k in range(n)], "error": [False] * n,
            "time": pa.array([1_772_323_200_000_000 + k for k in range(n)]).cast(pa.timestamp("us", "UTC")),
        }
    )  # fmt: skip
    pq.write_table(log, shop / "part.parquet")
    said = run(
        "analyze",
        "canary",
        "--log",
        ".",
        "--plan",
        "plan.yaml",
        "--metric",
        "errors",
        "--segment",
        "country=-",
        "--json",
    )
    assert said.json["data"]["leftOut"]["otherArms"] == 133
    assert said.json["data"]["exposures"] == 133, "a request is counted at its first row"
    assert said.json["verdicts"][0]["countCandidate"] == 133


def test_units_in_both_arms_are_refused_unless_told(analyze: Any) -> None:
    table = visits(version=np.where(np.arange(12_000) % 2, "v7", "v8"))
    said = analyze(table)
    assert said.code == 2
    assert "ST0276" in said.err
    assert "units are in both arms within one phase" in said.err
    kept = analyze(table, "--mixed", "keep", "--json").json
    dropped = analyze(table, "--mixed", "drop", "--json").json
    assert kept["units"]["mixed"] == kept["units"]["all"] - dropped["units"]["all"] > 0
    assert dropped["units"]["mixed"] == 0


@pytest.mark.parametrize(
    ("change", "flags", "words"),
    [
        ({"user": None}, (), ["ST0273", "lacks the unit: say --unit COLUMN", "It has the columns version, time"]),
        ({"bought": None, "bougth": [1] * 12_000}, (), ["'bought': nearest is 'bougth', say --outcome bought="]),
        ({"failed": None}, (), ["the error (metric 'errors'): say --error COLUMN"]),
        ({"country": None}, (), ["the segment 'country': ", "(or --segment country=- to do without)"]),
        ({}, ("--unit", "usr"), ["'usr': nearest is 'user', say --unit COLUMN"]),
        ({}, ("--outcome", "clicked=x"), ["plan 'shop' has no such name (bought)"]),
        ({}, ("--outcome", "bought"), ["ST0272 --outcome bought: not NAME=COLUMN"]),
        ({}, ("--canary", "v9"), ["ST0274 column 'version' does not tell 'v9': it has the values v7, v8"]),
        ({}, ("--canary", "v7"), ["ST0274 'v7' cannot be both arms"]),
        ({}, ("--split", "0.5"), ["ST0275 --split 0.5: not a canary's share"]),
        ({}, ("--split", "monday=10%", "--split", "friday=20%"), ["ST0275", "is not a time"]),
        ({}, ("--phase", "country"), ["plan 'shop' has 1 splits, column 'country' 2 phases", "--split DE=10%"]),
        ({}, ("--phase", "country", "--split", "DE=10%"), ["has the phase 'FR', whose split is not told"]),
        ({"time": range(12_000)}, (), ["ST0277 'time' holds plain numbers, not times", "--time-unit s, ms or us"]),
        ({"bought": ["maybe"] * 12_000}, (), ["ST0277 'bought' is of type string, not a number"]),
        ({"latency_ms": None, "latency": [1.0] * 12_000}, (), ["the name 'latency' does not tell its unit"]),
        ({}, ("--stage", "2"), ["has no canary stage 2", "There are 1 (canary 50%)"]),
        ({}, ("--metric", "revenue"), ["has no metric 'revenue'", "errors, sales, slow"]),
        ({}, ("--at", "yesterday"), ["ST0272 --at yesterday: not a time"]),
    ],
)  # fmt: skip
def test_what_is_missing_is_named_with_the_flag(analyze: Any, change: Any, flags: Any, words: list[str]) -> None:
    said = analyze(visits(**change), *flags)
    assert said.code == 2
    assert said.out == ""
    for word in words:
        assert word in said.err.replace("\n  ", " ")


def test_numbers_are_times_once_their_unit_is_told(analyze: Any) -> None:
    seconds = 1_772_323_200 + np.random.default_rng(1).integers(2 * 86_400, size=12_000)
    assert analyze(visits(time=seconds), "--time-unit", "s").code == 0
    assert analyze(visits(time=seconds + 0.5), "--time-unit", "s").code == 0


def test_an_outcome_after_its_horizon_does_not_count(analyze: Any) -> None:
    table = visits()
    late = table["time"].cast(pa.int64()).to_numpy() + np.where(np.arange(12_000) % 3 == 0, 2, 0) * 3_600 * 10**6
    table = table.append_column("bought_at", pa.array(late).cast(pa.timestamp("us")))
    missing = analyze(table, "--outcome-time", "bought=bought_at", "--json").json["verdicts"][0]["missing"]
    assert 3_800 < sum(missing.values()) <= 4_000
    assert analyze(table, "--json").json["verdicts"][0]["missing"] == {"champion": 0, "canary": 0}


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (("--log", "nowhere.csv"), 1, "ST0270 there is no file 'nowhere.csv'"),
        (("--log", "plan.yaml"), 2, "ST0271 'plan.yaml' is not one kind of file"),
        (("--log", "duckdb:///nowhere.duckdb#t"), 1, "ST0270 there is no DuckDB database"),
        (("--log", "shop.duckdb"), 2, "ST0271 'shop.duckdb' is a database"),
        (("--log", "shop.duckdb#visit"), 1, "Did you mean 'visits'?"),
        (("--log", "broken.parquet"), 1, "ST0279 'broken.parquet' cannot be read"),
        (("--log", "x.csv", "--table", "t"), 2, "ST0271"),
        ((), 2, "Give --log FILE, or --connect URL --table NAME"),
        (("--connect", "sqlite:///nowhere.sqlite", "--table", "t"), 1, "ST0270 there is no SQLite database"),
        (("--connect", "broken.parquet", "--table", "t"), 2, "Give it as --log FILE"),
        (("--connect", "mysql://ann:secret@127.0.0.1/x", "--table", "t"), 2, "ST0278 the backend 'mysql' is not"),
        (("--connect", "nosuch://ann:secret@127.0.0.1/x", "--table", "t"), 1, "ST0279 'nosuch://127.0.0.1/x' cannot"),
    ],
)
def test_what_cannot_be_opened_is_an_error_of_one_line(
    run: Any, shop: Path, flags: tuple[str, ...], code: int, words: str
) -> None:
    (shop / "broken.parquet").write_text("not Parquet")
    with duckdb.connect(str(shop / "shop.duckdb")) as connection:
        connection.execute("CREATE TABLE visits (unit VARCHAR)")
    said = run("analyze", "canary", *flags, "--plan", "plan.yaml")
    assert said.code == code, said.err
    assert words in said.err
    assert "secret" not in said.err
    assert not (shop / "nowhere.sqlite").exists()


def told_apart(table: pa.Table) -> tuple[pa.Table, pa.Table]:
    """The table with a key instead of its outcome, and the outcomes: some were corrected, one is of another name."""
    keys, times = [f"k{n}" for n in range(len(table))], table["time"]
    columns = {"key": keys, "name": ["bought"] * len(keys), "time": times, "revision": [1] * len(keys)}
    right = pa.table({**columns, "value": table["bought"]})
    wrong = pa.table({**columns, "value": pa.array([1.0] * len(keys)), "revision": [0] * len(keys)}).slice(0, 900)
    other = pa.table({**columns, "value": table["bought"], "name": ["returned"] * len(keys)}).slice(0, 1)
    names = list(columns)
    told = pa.concat_tables([part.select([*names, "value"]) for part in (wrong, right, right.slice(5, 9), other)])
    return table.drop_columns("bought").append_column("visit", pa.array(keys)), told


def test_outcomes_kept_apart_say_the_same(analyze: Any, run: Any, shop: Path) -> None:
    table = visits(sales=0.8)
    wanted = analyze(table, "--json").json
    log, told = told_apart(table)
    pc.write_csv(told, shop / "outcomes.csv")
    pq.write_table(log, shop / "visits.parquet")
    with duckdb.connect(str(shop / "shop.duckdb")) as connection:
        connection.from_arrow(log).create("visits")
    for source in ("visits.parquet", "shop.duckdb#visits"):
        flags = (
            "--log",
            source,
            "--plan",
            "plan.yaml",
            *ARMS,
            "--outcomes",
            "outcomes.csv",
            "--key",
            "visit",
            "--json",
        )
        said = run("analyze", "canary", *flags)
        assert said.code == 3, said.err
        assert said.json["verdicts"] == wanted["verdicts"]
        assert said.json["data"]["columns"]["outcomes"] == {"bought": "bought (outcomes.csv)"}


@pytest.mark.parametrize(
    ("change", "flags", "words"),
    [
        ({}, (), "ST0281 'visits.csv' has no column that names its outcomes"),
        ({}, ("--key", "visti"), "ST0281 'visits.csv' has no column 'visti'"),
        ({}, ("--key", "user"), "ST0282 no outcome of 'outcomes.csv' is about a row of 'visits.csv' by its column"),
        ({"revision": None}, ("--key", "visit"), "ST0282 'outcomes.csv' contradicts itself: 'k"),
        ({"value": None}, ("--key", "visit"), "ST0280 'outcomes.csv' has no column 'value'"),
    ],
)
def test_outcomes_that_cannot_be_joined_are_refused(
    analyze: Any, shop: Path, change: dict[str, None], flags: tuple[str, ...], words: str
) -> None:
    log, told = told_apart(visits())
    pc.write_csv(told.drop_columns([*change]), shop / "outcomes.csv")
    said = analyze(log, "--outcomes", "outcomes.csv", *flags)
    assert said.code == 2
    assert words in said.err.replace("\n  ", " ")


def test_a_key_without_outcomes_is_refused(analyze: Any) -> None:
    assert "ST0281 --key user: there is nothing to join" in analyze(visits(), "--key", "user").err


@pytest.mark.parametrize(("day", "code"), [(0, 3), (1, 3), (None, 0)])
def test_a_limit_exceeded_on_any_day_is_found(analyze: Any, shop: Path, day: int | None, code: int) -> None:
    """Half of the canary's requests of one day fail; the second day's bucket is the open one."""
    (shop / "plan.yaml").write_text(PLAN.replace("margin: 2pp}", "margin: 40pp, limit: 20%}", 1))
    table = visits()
    canary = np.array(table["version"].to_pylist()) == "v8"
    days = (table["time"].cast(pa.int64()).to_numpy() - 1_772_323_200_000_000) // MICROS
    failed = canary & (days == (-1 if day is None else day)) & (np.random.default_rng(1).random(len(canary)) < 0.5)
    said = analyze(table.set_column(table.column_names.index("failed"), "failed", pa.array(failed)))
    assert said.code == code
    where = {0: "the time bucket of 2026-03-01 00:00", 1: "this time bucket"}.get(day, "")
    assert said.out.splitlines()[-1].startswith("✖ fail: errors: " if code else "✔ pass: ")
    assert f"canary requests in {where}, limit 20.0%" in said.out or not where
