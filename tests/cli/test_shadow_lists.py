"""Two rankers in a shadow, from a rollout's log and from a table: agreement by class of query, clicks as grades."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seatrial.events.schema import to_micros
from seatrial.stats.lists import rbo
from seatrial.store.plans import check_plan, parse_plan
from shadowlog import T0, looked_at

PLAN = check_plan(
    parse_plan("""
name: rankers
lookEvery: 1h
segments: [{name: class, field: class}]
metrics:
  - {name: errors, kind: error_rate, margin: 5pp}
steps: [{shadow: {share: 100%}}]
""")
)
HOUR = timedelta(hours=1)
POOL = [f"d{n}" for n in range(40)]


def queries(worse: str | None = None, n: int = 600, seed: int = 5) -> list[dict[str, Any]]:
    """Lists of ten by class of query; in ``worse`` the shadow's list has nothing to do with the champion's."""
    rng = random.Random(seed)
    rows = []
    for number in range(n):
        kind = rng.choice(["head", "tail"])
        ours = rng.sample(POOL, 10)
        theirs = rng.sample(POOL, 10) if kind == worse else [*ours]
        rows.append({"id": f"q{number}", "user": f"u{number // 2}", "bucket": (number // 2) % 256, "class": kind,
                     "champion": ours, "shadow": theirs})  # fmt: skip
    return rows


def events(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for row in rows:
        base = {"request_id": row["id"], "unit": row["user"], "bucket": row["bucket"], "time": to_micros(T0) + 1,
                "seg_class": row["class"], "latency_us": 2_000}  # fmt: skip
        found += [base | {"arm": arm, "items": row[arm], "item_scores": row.get(f"{arm}_scores")}
                  for arm in ("champion", "shadow")]  # fmt: skip
    return found


def by_segment(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {segment["segment"]: segment for segment in document["segments"]}


def report(root: Path, rows: list[dict[str, Any]], run: Any, plan: Any = PLAN) -> dict[str, Any]:
    looked_at(root, plan, events(rows), T0 + 2 * HOUR)
    found = run("--project", root, "shadow", "report", "rank", "--min-pairs", 100, "--json")
    assert found.code == 0, found.err
    document: dict[str, Any] = found.json
    return document


def test_identical_rankers_agree_exactly_and_the_class_in_which_one_is_worse_is_named(tmp_path: Path, run: Any) -> None:
    same = report(tmp_path / "same", queries(), run)
    assert (same["outputs"], same["about"]) == ("lists", "agreement, not quality")
    for segment in same["segments"]:
        assert [segment[name]["value"] for name in ("rbo", "topK", "kendall")] == [1.0, 1.0, 1.0]
        assert segment["rbo"]["lower"] < 1.0, "a few hundred lists prove nothing of all of them"
    found = report(tmp_path / "worse", queries("tail"), run)
    head, tail = (by_segment(found)[f"class={kind}"] for kind in ("head", "tail"))
    assert (head["rbo"]["value"], head["status"]) == (1.0, "ok")
    assert max(tail["rbo"]["upper"], tail["topK"]["upper"]) < 0.5
    assert abs(tail["kendall"]["value"]) < 0.3, "of the items in common the order is by chance"
    assert found["worst"][0]["value"] == "tail"
    text = run("--project", tmp_path / "worse", "shadow", "report", "rank").out
    assert all(word in text for word in ("RBO", "TOP 10", "KENDALL", "agreement, not quality"))


def test_constant_scores_have_no_order_to_agree_with(tmp_path: Path, run: Any) -> None:
    rows = queries()
    for row in rows:
        row |= {"champion_scores": [0.5] * 10, "shadow_scores": [1 - n / 10 for n in range(10)]}
    total = report(tmp_path / "constant", rows, run)["segments"][0]
    assert (total["kendall"], total["rbo"]["value"]) == (None, 1.0)
    for row in rows:
        row["champion_scores"] = row["shadow_scores"]
    assert report(tmp_path / "told", rows, run)["segments"][0]["kendall"]["value"] == 1.0


def test_a_table_says_the_same_as_the_log(tmp_path: Path, run: Any) -> None:
    rows = queries("tail")
    live = by_segment(report(tmp_path / "p", rows, run))
    path = tmp_path / "t.parquet"
    pq.write_table(
        pa.table({name: [row[name] for row in rows] for name in ("user", "class", "champion", "shadow")}), path
    )
    said = run("analyze", "shadow", "--log", path, "--segment", "class", "--min-pairs", 100, "--json").json
    for name, segment in by_segment(said).items():
        for number in ("rbo", "topK", "kendall"):
            assert segment[number]["value"] == live[name][number]["value"]
    some = [rbo(row["champion"], row["shadow"]) or 0 for row in rows if row["class"] == "tail"]
    assert by_segment(said)["class=tail"]["rbo"]["value"] == pytest.approx(sum(some) / len(some), abs=1e-6)


def test_an_empty_list_is_an_error_and_no_pair(tmp_path: Path, run: Any) -> None:
    lists = {"champion": [["a", "b"]] * 300, "shadow": [["a", "b"]] * 280 + [[]] * 20}
    pq.write_table(pa.table(lists), tmp_path / "t.parquet")
    document = run("analyze", "shadow", "--log", tmp_path / "t.parquet", "--json").json
    assert document["segments"][0]["errors"] == {"champion": 0.0, "shadow": pytest.approx(20 / 300)}
    assert (document["unmatched"]["unmatched"], document["unmatched"]["valid"]) == (20, False)


@pytest.mark.parametrize(("worse", "found"), [(True, "below"), (False, "nothing")])
def test_clicks_tell_the_worse_ranker_and_nothing_of_equal_ones(
    worse: bool, found: str, tmp_path: Path, run: Any
) -> None:
    """Users click what is relevant, wherever it is on a page that both had the same part in."""
    rng = random.Random(8)
    table: dict[str, list[Any]] = {"champion": [], "shadow": [], "clicked": [], "user": []}
    for number in range(800):
        ours = rng.sample(POOL, 10)
        theirs = rng.sample(ours, 10) if worse else [*ours]
        table["champion"].append(ours)
        table["shadow"].append(theirs)
        table["clicked"].append(rng.sample(ours[:3], 1) if number % 2 else [])
        table["user"].append(f"u{number // 2}")
    pq.write_table(pa.table(table), tmp_path / "t.parquet")
    said = run("analyze", "shadow", "--log", tmp_path / "t.parquet", "--clicks", "clicked", "--json").json
    ndcg = said["segments"][0]["ndcg"]
    assert ndcg["pairs"] == 400
    if worse:
        assert ndcg["difference"]["upper"] < -0.1
    else:
        assert ndcg["difference"]["value"] == 0
        assert ndcg["champion"] == ndcg["shadow"]
        assert ndcg["difference"]["lower"] < 0 < ndcg["difference"]["upper"]
    text = run("analyze", "shadow", "--log", tmp_path / "t.parquet", "--clicks", "clicked").out
    assert "NDCG@10" in text
    assert "clicks favour the list that they were made on" in text


def test_clicks_are_on_lists(tmp_path: Path, run: Any) -> None:
    pq.write_table(
        pa.table({"champion": [0.1, 0.2], "shadow": [0.1, 0.2], "c": [["a"], ["b"]]}), tmp_path / "t.parquet"
    )
    assert "ST0287" in run("analyze", "shadow", "--log", tmp_path / "t.parquet", "--clicks", "c").err
    lists = {"champion": [["a"], ["b"]], "shadow": [["a"], ["b"]], "c": [1, 2]}
    pq.write_table(pa.table(lists), tmp_path / "l.parquet")
    assert "ST0287" in run("analyze", "shadow", "--log", tmp_path / "l.parquet", "--clicks", "c").err
