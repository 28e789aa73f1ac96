"""``seatrial analyze drift`` on files of every kind: what it finds, what it leaves alone, and what it refuses."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from seatrial.engines.drift import Asked, open_table, references

DAY = 86_400_000_000
START = int(datetime(2026, 1, 5, tzinfo=UTC).timestamp()) * 1_000_000  # a Monday


def table(seed: int, *, days: int = 56, rows: int = 8_000, shift: float = 0.0, since: int = 0) -> pa.Table:
    """Amounts, a city, a flag and a code; from day ``since`` on amounts are ``shift`` standard deviations higher."""
    rng = np.random.default_rng(seed)
    at = np.sort(rng.integers(0, days * DAY, rows))
    amount = rng.normal(100, 20, rows) + np.where(at >= since * DAY, 20 * shift, 0)
    return pa.table(
        {
            "at": pa.array(at + START, pa.timestamp("us")),
            "amount": pa.array(np.where(rng.random(rows) < 0.05, np.nan, amount), from_pandas=True),
            "city": rng.choice(["Oslo", "Bergen", "Moss"], rows, p=[0.5, 0.3, 0.2]),
            "flag": rng.random(rows) < 0.1,
            "code": rng.integers(0, 4, rows),
        }
    )


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    pq.write_table(table(1), "ref.parquet")
    pq.write_table(table(2), "same.parquet")
    pq.write_table(table(3, shift=1.0, since=28), "moved.parquet")
    return tmp_path


def test_what_has_not_changed_is_stable_and_a_planted_shift_is_found(files: Path, run: Any) -> None:
    calm = run("analyze", "drift", "ref.parquet", "same.parquet", "--json")
    assert (calm.code, calm.json["result"], calm.json["drifted"]) == (0, "stable", [])
    assert calm.json["leftOut"] == {"at": "values of type timestamp[us] are not compared"}
    moved = run("analyze", "drift", "ref.parquet", "moved.parquet", "--json")
    assert (moved.code, moved.json["result"], moved.json["drifted"]) == (3, "drift", ["amount"])
    assert moved.json["schema"] == "seatrial.drift-analysis.v1"
    amount = next(c for c in moved.json["columns"] if c["name"] == "amount")
    measures = amount["windows"][0]["measures"]
    assert set(measures) == {"psi", "js", "ks", "wasserstein", "tail", "mmd", "missing"}
    assert measures["psi"]["value"] > 0.1
    assert measures["wasserstein"]["value"] == pytest.approx(0.5, abs=0.07)
    said = run("analyze", "drift", "ref.parquet", "moved.parquet")
    assert "✖   amount   psi" in said.out
    assert said.out.rstrip().endswith("✖ drift: amount: surely different, and by enough to matter")


@pytest.mark.slow
def test_every_kind_of_table_gives_the_same_figures(files: Path, run: Any) -> None:
    for name in ("ref", "moved"):
        pyarrow.csv.write_csv(pq.read_table(f"{name}.parquet"), f"{name}.csv")
        with duckdb.connect("shop.duckdb") as db:
            db.execute(f"CREATE TABLE {name} AS SELECT * FROM '{name}.parquet'")
    plain = run("analyze", "drift", "ref.parquet", "moved.parquet", "--without", "at", "--json").json
    for pair in (("ref.csv", "moved.csv"), ("duckdb:shop.duckdb#ref", "duckdb:shop.duckdb#moved")):
        other = run("analyze", "drift", *pair, "--without", "at", "--json").json
        assert other["columns"] == plain["columns"]


def test_windows_show_since_when_and_drift_must_last(files: Path, run: Any) -> None:
    asked = ("analyze", "drift", "ref.parquet", "moved.parquet", "--time", "at", "--window", "7d")
    found = run(*asked, "--persist", "2", "--json").json
    assert [w["start"][:10] for w in found["windows"]][:2] == ["2026-01-05", "2026-01-12"]
    assert [w["drifted"] for w in found["windows"]] == [[]] * 4 + [["amount"]] * 4
    assert [w["lasting"] for w in found["windows"]] == [[]] * 5 + [["amount"]] * 3
    assert run("analyze", "drift", "ref.parquet", "same.parquet", "--time", "at", "--window", "7d").code == 0
    short = run(*asked, "--persist", "9", "--json")
    assert (short.code, short.json["result"]) == (4, "undecided")


def test_a_reference_that_was_kept_says_the_same_without_the_data(files: Path, run: Any) -> None:
    told = run("analyze", "drift", "ref.parquet", "moved.parquet", "--keep", "ref.reference.json", "--json")
    (files / "ref.parquet").unlink()
    again = run("analyze", "drift", "ref.reference.json", "moved.parquet", "--json")
    assert again.json == told.json
    assert (files / "ref.reference.json").stat().st_size < 40_000
    (files / "ref.reference.json").write_text('{"schema": "other"}')
    assert "ST0385" in run("analyze", "drift", "ref.reference.json", "moved.parquet").err


@pytest.mark.slow
def test_measures_and_sizes_are_chosen_by_column(files: Path, run: Any) -> None:
    asked = ("analyze", "drift", "ref.parquet", "moved.parquet", "--json")
    chosen = run(*asked, "--measure", "amount=ks", "--measure", "amount=wasserstein", "--measure", "chi2").json
    judged = {c["name"]: [f["measure"] for f in c["windows"][0]["judged"]] for c in chosen["columns"]}
    assert judged == {"amount": ["ks", "wasserstein", "missing"], "city": ["chi2", "missing"],
                      "flag": ["chi2", "missing"], "code": ["missing"]}  # fmt: skip
    assert run(*asked, "--least", "psi=0.9", "--least", "tail=9").code == 0
    as_names = run(*asked, "--categorical", "code").json
    assert next(c for c in as_names["columns"] if c["name"] == "code")["kind"] == "categories"


@pytest.mark.slow
def test_a_column_that_is_empty_now_has_drifted(files: Path, run: Any) -> None:
    same = pq.read_table("same.parquet")
    hole = same.set_column(1, "amount", pa.nulls(len(same), pa.float64()))
    pq.write_table(hole, "hole.parquet")
    found = run("analyze", "drift", "ref.parquet", "hole.parquet", "--json")
    assert (found.code, found.json["drifted"]) == (3, ["amount"])
    pq.write_table(same.slice(0, 0), "empty.parquet")
    assert run("analyze", "drift", "ref.parquet", "empty.parquet").code == 4
    pq.write_table(same.append_column("extra", [np.arange(len(same))]), "extra.parquet")
    assert run("analyze", "drift", "ref.parquet", "extra.parquet", "--json").json["newColumns"] == ["extra"]


@pytest.mark.slow
def test_a_chart_is_drawn(files: Path, run: Any) -> None:
    run("analyze", "drift", "ref.parquet", "moved.parquet", "--plot", "now.svg")
    run("analyze", "drift", "ref.parquet", "moved.parquet", "--time", "at", "--window", "7d", "--plot", "weeks.svg")
    assert "times its threshold" in (files / "now.svg").read_text()
    assert "window from" in (files / "weeks.svg").read_text()


MISTAKES: list[tuple[tuple[str, ...], int, str]] = [
    (("none.parquet", "same.parquet"), 1, "ST0270"),
    (("ref.parquet", "text.parquet"), 2, "ST0384 column 'amount' holds numbers in the reference"),
    (("ref.parquet", "less.parquet"), 2, "ST0384 'less.parquet' has no column 'city'"),
    (("ref.parquet", "same.parquet", "--without", "amout"), 2, "Did you mean 'amount'?"),
    (("ref.parquet", "same.parquet", "--column", "at"), 2, "ST0382"),
    (("ref.parquet", "same.parquet", "--time", "city"), 2, "ST0383"),
    (("ref.parquet", "same.parquet", "--window", "7d"), 2, "ST0386"),
    (("ref.parquet", "same.parquet", "--persist", "2"), 2, "ST0386"),
    (("ref.parquet", "same.parquet", "--keep", "ref.json"), 2, "ST0386"),
    (("ref.parquet", "same.parquet", "--measure", "psy"), 2, "ST0387"),
    (("ref.parquet", "same.parquet", "--measure", "city=ks"), 2, "holds categories"),
    (("ref.parquet", "same.parquet", "--measure", "amount=chi2"), 2, "holds numbers"),
    (("ref.parquet", "same.parquet", "--measure", "none=ks"), 2, "ST0382"),
    (("ref.parquet", "same.parquet", "--least", "psi"), 2, "ST0253"),
    (("ref.parquet", "same.parquet", "--alpha", "5"), 2, "ST0387"),
    (("none.reference.json", "same.parquet"), 1, "ST0385"),
    (("broken.parquet", "same.parquet"), 1, "ST0279"),
]


@pytest.mark.slow
def test_what_does_not_fit_is_told(files: Path, run: Any) -> None:
    same = pq.read_table("same.parquet")
    pq.write_table(same.drop_columns(["city"]), "less.parquet")
    pq.write_table(same.set_column(1, "amount", [["much"] * len(same)]), "text.parquet")
    Path("broken.parquet").write_text("not Parquet")
    for arguments, code, told in MISTAKES:
        said = run("analyze", "drift", *arguments)
        assert (said.code, told in said.err) == (code, True), said.err


def test_identifiers_and_lists_are_left_out(files: Path) -> None:
    rows = 12_000
    pq.write_table(pa.table({"id": [f"u{i}" for i in range(rows)], "x": np.arange(rows)}), "ids.parquet")
    source = open_table("ids.parquet")
    found, left = references(source, {"id": "categories", "x": "numbers"}, Asked())
    assert (list(found), list(left)) == (["x"], ["id"])


@pytest.mark.slow
def test_three_years_of_weeks_without_drift_and_the_same_with_a_shift(files: Path, run: Any) -> None:
    rng = np.random.default_rng(156)

    def weeks(number: int, shift: float = 0.0) -> pa.Table:
        """Twenty columns; every week has a level of its own, as weeks do."""
        rows, columns = 400 * number, 20
        level = np.repeat(rng.normal(0, 0.1, (number, columns)), 400, axis=0)
        values = rng.normal(size=(rows, columns)) + level
        values[400 * (number * 2 // 3) :, 7] += shift
        at = np.arange(rows) * (7 * DAY // 400) + START
        return pa.table({"at": pa.array(at, pa.timestamp("us")), **{f"f{i}": values[:, i] for i in range(columns)}})

    pq.write_table(weeks(52), "year.parquet")
    pq.write_table(weeks(156), "calm.parquet")
    pq.write_table(weeks(156, shift=0.8), "shift.parquet")
    asked = ("--time", "at", "--window", "7d", "--least", "psi=0", "--least", "tail=0", "--json")
    calm = run("analyze", "drift", "year.parquet", "calm.parquet", *asked).json
    alarms = sum(bool(w["drifted"]) for w in calm["windows"])
    assert alarms <= 15, f"{alarms} of 156 weeks: 5% are 8, and by chance up to 15"
    lasting = run("analyze", "drift", "year.parquet", "calm.parquet", *asked, "--persist", "2")
    assert (lasting.code, lasting.json["drifted"]) == (0, [])
    shifted = run("analyze", "drift", "year.parquet", "shift.parquet", *asked, "--persist", "2")
    assert (shifted.code, shifted.json["drifted"]) == (3, ["f7"])
    first = next(i for i, w in enumerate(shifted.json["windows"]) if "f7" in w["drifted"])
    assert first == 104, "in the first week after it was planted"
    since = next(i for i, w in enumerate(shifted.json["windows"]) if "f7" in w["lasting"])
    assert since == 105
