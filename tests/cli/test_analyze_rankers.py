"""``seatrial analyze interleaving`` and ``counterfactual`` on made-up logs: results, exit codes, what is refused."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from searchers import Search

Row = dict[str, Any]


@pytest.fixture(autouse=True)
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")


@cache
def pages(champion: float, candidate: float | None) -> tuple[Row, ...]:
    return tuple(Search(29).log(champion, candidate, users=150))


def changed(rows: tuple[Row, ...], **parts: Callable[[Row], Any]) -> list[Row]:
    return [{**row, **{part: made(row) for part, made in parts.items()}} for row in rows]


def as_csv(rows: list[Row]) -> None:
    with open("pages.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows({k: json.dumps(v) if isinstance(v, list) else v for k, v in row.items()} for row in rows)


@pytest.fixture
def interleaving(run: Any) -> Any:
    def command(rows: list[Row] | tuple[Row, ...], *flags: object) -> Any:
        pq.write_table(pa.Table.from_pylist([*rows]), "pages.parquet")
        return run("analyze", "interleaving", "--log", "pages.parquet", *flags)

    return command


def test_it_says_who_is_preferred_and_on_what(interleaving: Any) -> None:
    said = interleaving(pages(1.2, 0.3))
    assert said.code == 0
    lines = said.out.splitlines()
    assert lines[-1] == "✔ candidate: users' clicks prefer the candidate"
    assert any(line.startswith("credit ") and line.endswith(" at every look") for line in lines)
    assert any("sign test p < .0001" in line for line in lines)
    assert any(line.startswith("NDCG@10 ") for line in lines)
    assert any(line.endswith(": agreement, not quality") for line in lines)
    document = interleaving(pages(1.2, 0.3), "--json").json
    assert document["schema"] == "seatrial.interleaving.v1"
    who = document["preference"]
    assert who["users"] == who["candidate"] + who["champion"] + who["neither"]
    assert who["everyLook"][0] < who["interval"][0] < who["share"] < who["interval"][1] < who["everyLook"][1]
    gain = document["ndcg"]
    assert gain["difference"] == pytest.approx(gain["candidate"] - gain["champion"])
    assert interleaving(pages(0.3, 1.2)).code == 3


def test_one_look_that_was_planned_decides_earlier(interleaving: Any) -> None:
    rows = pages(1.2, 0.3)[:200]
    far = ("--planned-users", 50_000)
    assert (interleaving(rows, *far).code, interleaving(rows, *far, "--once").code) == (4, 0)
    assert interleaving(pages(1.2, None)[:200], "--once").code == 4


def test_a_csv_says_the_same(interleaving: Any, run: Any) -> None:
    as_csv([*pages(1.2, 0.3)])
    fields = [{**said.json, "log": ""} for said in (
        interleaving(pages(1.2, 0.3), "--json"), run("analyze", "interleaving", "--log", "pages.csv", "--json"),
    )]  # fmt: skip
    assert fields[0] == fields[1]


def test_columns_may_have_other_names(run: Any) -> None:
    table = pa.Table.from_pylist([*pages(1.2, 0.3)]).rename_columns({"items": "page", "clicks": "taken"})
    connection = duckdb.connect("shop.duckdb")
    connection.from_arrow(table).create("searches")
    connection.close()
    place = ("analyze", "interleaving", "--log", "duckdb://shop.duckdb#searches")
    assert run(*place, "--items", "page", "--clicks", "taken").code == 0
    said = run(*place, "--items", "pgae")
    assert said.code == 2
    assert "ST0292 'shop.duckdb#searches' lacks 'pgae': nearest is 'page', say --items COLUMN; the clicks" in said.err


def test_without_lists_and_credits_the_coins_alone_count(interleaving: Any) -> None:
    bare = [{part: row[part] for part in ("unit", "items", "teams", "clicks")} for row in pages(1.2, 0.3)]
    said = interleaving(bare)
    assert said.code == 0
    assert "⚠ the log has no credits" in said.out
    document = interleaving(bare, "--json").json
    assert document["credit"] == "teams"
    assert document["preference"] == document["teams"]
    assert (document["ndcg"], document["agreement"]) == (None, None)
    assert interleaving(pages(1.2, 0.3), "--json").json["teams"] == document["teams"]


def test_who_cannot_be_told_is_left_out_and_said(interleaving: Any) -> None:
    rows = changed(pages(1.2, 0.3), unit=lambda row: None if row["unit"] == "u7" else row["unit"])
    rows += [{**row, "teams": [None] * len(row["items"]), "salt": None, "credits": [0] * 10} for row in rows[:3]]
    said = interleaving(rows)
    assert said.code == 0
    assert "pages left out: " in said.out
    assert "without a unit" in said.out
    assert "⚠ 3 pages had items of one ranker only" in said.out


def test_nobody_clicked_is_no_result(interleaving: Any) -> None:
    said = interleaving(changed(pages(1.2, 0.3), clicks=lambda row: row["clicks"][:0] or [99][:0]), "--json")
    assert said.code == 4
    assert said.json["preference"]["share"] is None
    assert said.json["reason"] == "nobody clicked"


@pytest.mark.parametrize(
    ("part", "made", "told"),
    [
        ("clicks", lambda row: [99], "row 1 of 'pages.parquet': 99 was clicked, but not shown"),
        ("teams", lambda row: row["teams"][1:], "10 items have 9 teams"),
        ("teams", lambda row: ["A"] * len(row["items"]), "teams are champion, candidate or null"),
        ("items", lambda row: [1] * len(row["items"]), "items hold an item twice"),
        ("credits", lambda row: [2] * len(row["items"]), "credits are -1"),
        ("clicks", lambda row: "1, 2", "clicks are no list in JSON: '1, 2'"),
        ("clicks", lambda row: '{"a": 1}', "clicks are no list of items"),
    ],
)
def test_a_row_that_cannot_be_is_named(part: str, made: Any, told: str, interleaving: Any) -> None:
    said = interleaving(changed(pages(1.2, 0.3), **{part: made}))
    assert said.code == 2
    assert "ST0293 row 1 of 'pages.parquet': " in said.err
    assert told in said.err


@pytest.mark.parametrize("flags", [("--k", 0), ("--alpha", 0.7), ("--alpha", "nan"), ("--planned-users", 0)])
def test_a_question_that_means_nothing_is_refused(flags: tuple[object, ...], interleaving: Any) -> None:
    said = interleaving(pages(1.2, 0.3), *flags)
    assert (said.code, "ST0295" in said.err) == (2, True)


LOGGED = {"a": 0.6, "b": 0.3, "c": 0.1}
CLICKS = {"a": 0.05, "b": 0.10, "c": 0.30}


@cache
def choices(units: int = 1_200) -> tuple[Row, ...]:
    """A log of what was recommended, left to chance, and what a candidate would recommend."""
    rng = np.random.default_rng(29)
    rows = []
    for unit in range(units):
        for _ in range(2):
            action = str(rng.choice([*LOGGED], p=[*LOGGED.values()]))
            click = float(rng.random() < CLICKS[action])
            rows.append({"user": f"u{unit}", "action": action, "propensity": LOGGED[action], "click": click})
    return tuple(rows)


@pytest.fixture
def counterfactual(run: Any) -> Any:
    def command(rows: list[Row] | tuple[Row, ...], *flags: object) -> Any:
        pq.write_table(pa.Table.from_pylist([*rows]), "choices.parquet")
        return run("analyze", "counterfactual", "--log", "choices.parquet", *flags)

    return command


def test_a_candidate_that_leaves_nothing_to_chance_is_estimated(counterfactual: Any) -> None:
    said = counterfactual(changed(choices(), candidate_action=lambda row: "c"))
    assert said.code == 0
    assert said.out.splitlines()[-1] == "✔ candidate: the candidate would have earned more"
    assert "Intervals are for one look, by unit" in said.out
    document = counterfactual(changed(choices(), candidate_action=lambda row: "c"), "--json").json
    assert document["schema"] == "seatrial.counterfactual.v1"
    low, high = document["snips"]["interval"]
    assert low < CLICKS["c"] < high
    assert document["logged"]["estimate"] < low
    assert document["data"] == {"decisions": 2_400, "units": 1_200, "leftOut": {"withoutReward": 0}}
    assert 180 < document["effectiveUnits"] < 280
    assert counterfactual(changed(choices(), candidate_action=lambda row: "a")).code == 3


def test_the_same_policy_is_no_different(counterfactual: Any) -> None:
    same = changed(choices(), candidate_propensity=lambda row: row["propensity"])
    document = counterfactual(same, "--json").json
    assert (document["result"], document["difference"]["estimate"]) == ("undecided", 0.0)
    assert document["snips"]["estimate"] == document["logged"]["estimate"]
    better = {"a": 0.2, "b": 0.3, "c": 0.5}
    assert counterfactual(changed(choices(), candidate_propensity=lambda row: better[row["action"]])).code == 0


def test_without_probabilities_there_is_no_estimate(counterfactual: Any) -> None:
    rows = changed(choices(100), candidate_action=lambda row: "c")
    for without in ([{k: v for k, v in row.items() if k != "propensity"} for row in rows],
                    [{**row, "propensity": 1.0} for row in rows]):  # fmt: skip
        said = counterfactual(without)
        assert (said.code, "ST0294" in said.err, "analyze interleaving" in said.err) == (2, True, True)
    said = counterfactual(choices(100))
    assert (said.code, "what the candidate would have chosen" in said.err) == (2, True)


def test_too_little_to_go_by_is_refused_with_what_is_missing(counterfactual: Any) -> None:
    rows = changed(choices(), candidate_action=lambda row: "c")
    few = counterfactual(rows[:600], "--json")
    assert (few.code, few.json["status"], few.json["snips"]) == (4, "not_enough", None)
    assert "below 100" in few.json["reason"]
    assert counterfactual(rows).code == 0


def test_probabilities_that_cannot_be_right_are_told(counterfactual: Any) -> None:
    wrong = changed(choices(), candidate_action=lambda row: "c", propensity=lambda row: min(1.0, 2 * row["propensity"]))
    document = counterfactual(wrong, "--json").json
    assert (document["status"], document["snips"]) == ("invalid", None)
    assert "would be 1" in document["reason"]


@pytest.mark.parametrize(
    ("part", "value", "told"),
    [
        ("propensity", 0.0, "holds 0, which is no probability of a choice"),
        ("propensity", 1.2, "holds 1.2"),
        ("propensity", None, "rows without a number"),
        ("propensity", "often", "does not hold numbers"),
        ("candidate_propensity", -0.1, "holds -0.1"),
    ],
)
def test_a_probability_that_cannot_be_is_named(part: str, value: Any, told: str, counterfactual: Any) -> None:
    rows = changed(choices(50), candidate_propensity=lambda row: 0.5)
    said = counterfactual([{**row, part: value} for row in rows])
    assert (said.code, "ST0293" in said.err, told in said.err) == (2, True, True)


def test_a_decision_without_reward_is_left_out(counterfactual: Any) -> None:
    rows = changed(choices(), candidate_action=lambda row: "c")
    rows[:10] = [{**row, "click": None} for row in rows[:10]]
    said = counterfactual(rows)
    assert said.code == 0
    assert "decisions left out: 10 without a reward" in said.out
    nothing = counterfactual([{**row, "click": None} for row in rows[:5]])
    assert (nothing.code, "there are no decisions" in nothing.out) == (4, True)
