"""Exercise 29.5(c): two rankers compared without outcomes of the shadow, by what users click on interleaved lists."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from searchers import Search
from seatrial.cli import main
from seatrial.stats.preference import Preference, preference

GOOD, BAD = 0.4, 1.0
"""Noise of a ranker that knows what is relevant rather well, and of one that does not."""

TEAMS = {"champion": -1, "candidate": 1, None: 0}


def looked(seed: int, champion: float, candidate: float | None) -> dict[str, Preference]:
    """What one made-up service finds: by credits, and by teams, which the coins alone decide for two equal lists."""
    users: dict[str, list[tuple[int, int]]] = {}
    for row in Search(seed).log(champion, candidate, users=100):
        for item, credit, team in zip(row["items"], row["credits"], row["teams"], strict=True):
            if item in row["clicks"]:
                users.setdefault(row["unit"], []).append((credit, TEAMS[team]))
    means = [[fmean(side) for side in zip(*clicks, strict=True)] for clicks in users.values()]
    return {name: preference(side) for name, side in zip(("credits", "teams"), zip(*means, strict=True), strict=True)}


def covered(looks: list[dict[str, Preference]], by: str) -> int:
    """Of how many the interval for one look holds no preference."""
    found = [look[by].interval for look in looks]
    return sum(low <= 0 <= high for low, high in found)  # type: ignore[misc]


def judged(rows: list[dict[str, Any]], path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[Any, dict[str, Any]]:
    pq.write_table(pa.Table.from_pylist(rows), path)
    with pytest.raises(SystemExit) as left:
        main(["analyze", "interleaving", "--log", str(path), "--json"])
    return left.value.code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("champion", "candidate", "winner", "code"), [(BAD, GOOD, "candidate", 0), (GOOD, BAD, "champion", 3)]
)
def test_the_better_ranker_wins(
    champion: float, candidate: float, winner: str, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = Search(29).log(champion, candidate, users=300)
    exit_code, document = judged(rows, tmp_path / "pages.parquet", capsys)
    assert (exit_code, document["result"]) == (code, winner)
    assert document["preference"]["pValue"] < 0.05
    assert document["preference"]["signPValue"] < 0.05
    better = document["preference"]["share"] - 0.5
    assert (better > 0) == (winner == "candidate") == (document["ndcg"]["difference"] > 0)
    assert document["agreement"]["rbo"] < 0.9
    assert document["agreement"]["label"] == "agreement, not quality"


def test_identical_rankers_are_not_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = Search(29).log(GOOD, None, users=300)
    exit_code, document = judged(rows, tmp_path / "pages.parquet", capsys)
    assert (exit_code, document["result"]) == (4, "undecided")
    assert document["preference"]["share"] == 0.5
    for name in ("preference", "teams"):
        low, high = document[name]["interval"]
        assert low <= 0.5 <= high
        assert low < high
    assert document["agreement"]["rbo"] == document["agreement"]["overlap"] == 1.0


def wrongly_called(looks: list[dict[str, Preference]]) -> int:
    ends = [look["credits"].every_look for look in looks]
    return sum(low > 0 or high < 0 for low, high in ends)  # type: ignore[misc]


def test_one_half_is_covered_as_often_as_promised_and_a_better_ranker_found() -> None:
    """The same lists by their coins alone, and different lists of equally good rankers, 25 seeds each."""
    same = [looked(seed, GOOD, None) for seed in range(25)]
    assert {look["credits"].mean for look in same} == {0.0}
    assert covered(same, "teams") >= 21
    equal = [looked(seed, GOOD, GOOD) for seed in range(25)]
    assert covered(equal, "credits") >= 21
    assert wrongly_called(equal) <= 1
    better = [looked(seed, BAD, GOOD)["credits"] for seed in range(12)]
    assert sum((found.p_value or 1) < 0.05 for found in better) >= 10
    assert all((found.mean or 0) > 0 for found in better)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_coverage_is_the_nominal_one() -> None:
    same, equal = ([looked(seed, GOOD, candidate) for seed in range(400)] for candidate in (None, GOOD))
    assert 368 <= covered(same, "teams") <= 391  # 95% of 400, and 2.6 standard errors
    assert 368 <= covered(equal, "credits") <= 391
    assert wrongly_called(equal) <= 4


def test_the_same_user_and_query_are_shown_the_same_page() -> None:
    pages: dict[tuple[str, str], set[tuple[Any, ...]]] = {}
    rows = Search(3, queries=3).log(0.0, None, users=60, searches=8)
    for row in rows:
        pages.setdefault((row["unit"], row["query"]), set()).add((*row["teams"], *map(str, row["champion"])))
    again = [key for key in pages if sum((row["unit"], row["query"]) == key for row in rows) > 1]
    assert len(again) > 50
    coins = {key: {page[:10] for page in found} for key, found in pages.items()}
    assert all(len(coins[key]) == 1 for key in again)
    assert len({next(iter(found)) for found in coins.values()}) > 20


def test_a_page_that_was_changed_after_the_coins_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A service that puts the candidate's items first wins clicks for it, and is not believed."""
    rows = Search(29).log(GOOD, GOOD, users=300)
    for row in rows:
        order = sorted(range(len(row["items"])), key=lambda place, row=row: row["teams"][place] != "candidate")
        for part in ("items", "teams", "credits"):
            row[part] = [row[part][place] for place in order]
    exit_code, document = judged(rows, tmp_path / "pages.parquet", capsys)
    assert (exit_code, document["result"]) == (4, "undecided")
    assert "are not what their lists, salt, unit and query give" in document["reason"]
    without = [{part: value for part, value in row.items() if part != "salt"} for row in rows]
    exit_code, document = judged(without, tmp_path / "without.parquet", capsys)
    assert exit_code == 4
    assert "coins: these are not fair" in document["reason"]
