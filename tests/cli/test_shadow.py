"""``seatrial shadow report`` on a rollout's log, and ``seatrial analyze shadow`` on a table: the same numbers."""

from __future__ import annotations

import csv
import json
import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seatrial.events.schema import to_micros
from seatrial.store.plans import check_plan, parse_plan
from shadowlog import T0, looked_at

TEXT = """
name: kinds
lookEvery: 1h
segments: [{name: kind, field: kind}]
decision: {threshold: 0.5, above: block, below: allow}
metrics:
  - {name: errors, kind: error_rate, margin: 5pp}
  - {name: agreement, kind: agreement, role: guardrail, floor: 0.8, segmentFloor: 0.7, minPairs: 100}
steps: [{shadow: {share: 50%}}]
"""
PLAN = check_plan(parse_plan(TEXT))
HOUR = timedelta(hours=1)


def answers(n: int = 1_500, seed: int = 3) -> list[dict[str, Any]]:
    """Requests of three kinds; the shadow is unsure about what is *odd*."""
    rng = random.Random(seed)
    rows = []
    for number in range(n):
        kind, score = rng.choice(["odd", "plain", "plain", "rare"]), rng.random()
        shadow = min(max(score + rng.gauss(0, 0.5 if kind == "odd" else 0.02), 0.0), 1.0)
        rows.append({"id": f"q{number}", "user": f"u{number // 2}", "bucket": rng.randrange(256), "kind": kind,
                     "minute": number % 170, "champion": score, "shadow": shadow})  # fmt: skip
    return rows


def events(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for row in rows:
        time = to_micros(T0) + row["minute"] * 60_000_000 + 1
        base = {"request_id": row["id"], "unit": row["user"], "bucket": row["bucket"], "time": time,
                "seg_kind": row["kind"], "latency_us": 2_000}  # fmt: skip
        found.append(base | {"arm": "champion", "score": row["champion"]})
        if row.get("lost") != "copy":
            failed = {"error": True, "error_kind": "http_503"} if row.get("lost") == "answer" else {}
            found.append(base | {"arm": "shadow", "score": row["shadow"], "latency_us": 5_000} | failed)
    # Half of the units are not mirrored: their requests have no copy, and miss none.
    return found + [row | {"request_id": f"{row['request_id']}-n", "unit": f"{row['unit']}-n"} for row in found
                    if row["arm"] == "champion"]  # fmt: skip


def table(rows: list[dict[str, Any]], path: Path) -> Path:
    with path.open("w") as file:
        writer = csv.writer(file)
        writer.writerow(["user", "kind", "champion_score", "challenger_score"])
        for row in rows:
            writer.writerow([row["user"], row["kind"], row["champion"], "" if row.get("lost") else row["shadow"]])
    return path


def by_segment(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {segment["segment"]: segment for segment in document["segments"]}


def test_a_log_and_a_table_of_the_same_pairs_say_the_same(tmp_path: Path, run: Any) -> None:
    rows = answers()
    looked_at(tmp_path / "p", PLAN, events(rows), T0 + 4 * HOUR)
    report = run("--project", tmp_path / "p", "shadow", "report", "rank", "--cost-per-day", "12000", "--json")
    live = report.json
    (tmp_path / "plan.yaml").write_text(TEXT)
    said = run(
        "analyze", "shadow", "--log", table(rows, tmp_path / "t.csv"), "--plan", tmp_path / "plan.yaml", "--json"
    )
    (report_of_live, ours), (report_of_table, theirs) = ((d, by_segment(d)) for d in (live, said.json))
    assert (report.code, said.code) == (0, 3)
    assert live["about"] == "agreement, not quality"
    assert ours.keys() == theirs.keys() == {"total", "kind=odd", "kind=plain", "kind=rare"}
    for name, segment in ours.items():
        for number in ("pairs", "flips", "jensenShannon", "kolmogorovSmirnov", "topShare"):
            found, wanted = segment[number], theirs[name][number]
            assert json.dumps(found, default=str)[:40] == json.dumps(wanted, default=str)[:40], (name, number)
        for number in ("spearman", "kendall"):
            assert segment[number]["value"] == pytest.approx(theirs[name][number]["value"], abs=1e-9)
    assert [w["segment"] for w in live["worst"]] == [w["segment"] for w in report_of_table["worst"]] == ["kind=odd"]
    assert report_of_live["verdicts"][0]["verdict"] == report_of_table["verdicts"][0]["verdict"] == "fail"
    assert ours["total"]["spearman"]["value"] < 0.95 < ours["kind=plain"]["spearman"]["value"]
    assert live["sampling"]["planned"] == [0.5]
    assert live["sampling"]["measured"] == pytest.approx(0.5)
    assert live["cost"]["extraPerDay"] == pytest.approx(6_000)
    assert ours["total"]["latency"]["shadow"]["p50"] == pytest.approx(0.005)


def test_flips_are_counted_both_ways_by_segment(tmp_path: Path, run: Any) -> None:
    rows = answers(400)
    for n, row in enumerate(rows):
        row["champion"], row["shadow"] = 0.2 + n * 1e-6, 0.2 + n * 1e-6
    for row in rows[:7]:
        row.update(kind="odd", champion=0.49, shadow=0.5)
    for row in rows[7:10]:
        row.update(kind="odd", champion=0.5, shadow=0.49999)
    log = table(rows, tmp_path / "t.csv")
    flags = ("--threshold", "0.5", "--above", "block", "--below", "allow", "--segment", "kind")
    said = run("analyze", "shadow", "--log", log, *flags)
    assert "allow→block" in said.out
    found = by_segment(run("analyze", "shadow", "--log", log, *flags, "--json").json)
    assert (found["total"]["flips"]["raised"], found["total"]["flips"]["lowered"]) == (7, 3)
    assert found["total"]["flips"]["rate"]["value"] == pytest.approx(10 / 400)
    assert found["kind=plain"]["flips"]["raised"] == found["kind=plain"]["flips"]["lowered"] == 0
    assert found["kind=odd"]["flips"]["rate"]["lower"] > 0


def test_what_is_unmatched_is_shown_by_hour_and_segment_and_invalid_above_two_percent(tmp_path: Path, run: Any) -> None:
    rows = answers()
    for n, row in enumerate(rows[:120:2]):  # of every unit one request arrived: it is known to be mirrored
        row.update(minute=70, kind="rare", lost="copy" if n < 40 else "answer")
    decision = looked_at(tmp_path, PLAN, events(rows), T0 + 4 * HOUR)
    document = run("--project", tmp_path, "shadow", "report", "rank", "--json").json
    unmatched = document["unmatched"]
    assert (unmatched["unmatched"], unmatched["noCounterpart"], unmatched["requests"]) == (60, 40, 1_500)
    assert not unmatched["valid"]
    assert [(row["hour"][11:13], row["unmatched"]) for row in unmatched["hours"]] == [("01", 60)]
    assert {row["segment"]: row["unmatched"] for row in unmatched["segments"]} == {"total": 60, "kind=rare": 60}
    assert document["segments"][0]["errors"]["shadow"] == pytest.approx(20 / 1_500)
    (verdict,) = (v for v in decision.verdicts if v.metric == "agreement")
    assert verdict.verdict == "invalid"
    assert "⚠ 60 of 1,500 requests are unmatched" in run("--project", tmp_path, "shadow", "report", "rank").out
    for row in rows[:62:2]:
        row.pop("lost")
    again = looked_at(tmp_path / "few", PLAN, events(rows), T0 + 4 * HOUR)
    assert next(v.verdict for v in again.verdicts if v.metric == "agreement") != "invalid", "29 of 1,500 may"


def test_labels_and_lists(tmp_path: Path, run: Any) -> None:
    labels = tmp_path / "labels.parquet"
    same = ["cat", "dog", "cow", "cat", "dog"] * 60
    other = ["cat", "dog", "cow", "cat", "cow"] * 60
    pq.write_table(pa.table({"champion": same, "shadow": other}), labels)
    total = run("analyze", "shadow", "--log", labels, "--json").json["segments"][0]
    assert total["spearman"] is None
    assert total["agreement"]["value"] == pytest.approx(0.8)
    assert 0.65 < total["kappa"]["value"] < 0.75
    lists = tmp_path / "lists.csv"
    with lists.open("w") as file:
        writer = csv.writer(file)
        writer.writerow(["champion", "shadow", "class"])
        writer.writerows([["a|b|c|d", "a|b|c|d", "head"]] * 150 + [["a|b|c|d", "x|y|z|w", "tail"]] * 150)
    said = run(
        "analyze", "shadow", "--log", lists, "--separator", "|", "--segment", "class", "--min-pairs", 100, "--json"
    )
    found = by_segment(said.json)
    assert (found["class=head"]["rbo"]["value"], found["class=tail"]["rbo"]["value"]) == (1.0, pytest.approx(0))
    assert found["total"]["topK"]["value"] == pytest.approx(0.5)
    assert said.json["worst"][0]["value"] == "tail"


def test_identical_is_one_and_constant_is_nothing(tmp_path: Path, run: Any) -> None:
    rows = answers(300)
    for row in rows:
        row["shadow"] = row["champion"]
    total = run("analyze", "shadow", "--log", table(rows, tmp_path / "a.csv"), "--json").json["segments"][0]
    assert (total["spearman"]["value"], total["kendall"]["value"], total["status"]) == (1.0, 1.0, "ok")
    for row in rows:
        row["champion"] = row["shadow"] = 0.5
    (tmp_path / "plan.yaml").write_text(TEXT)
    said = run(
        "analyze", "shadow", "--log", table(rows, tmp_path / "b.csv"), "--plan", tmp_path / "plan.yaml", "--json"
    )
    assert said.json["segments"][0]["status"] == "degenerate"
    assert (said.code, said.json["verdicts"][0]["status"]) == (4, "degenerate")


@pytest.mark.slow
def test_the_page_needs_nothing_else_and_has_both_pictures(tmp_path: Path, run: Any) -> None:
    rows = answers()
    rows[0]["kind"] = rows[1]["kind"] = "<b>bold</b>"
    log = table(rows, tmp_path / "t.csv")
    assert run("analyze", "shadow", "--log", log, "--segment", "kind", "--html", tmp_path / "r.html").code == 0
    page = (tmp_path / "r.html").read_text()
    assert page.count("<svg") == 2
    assert "agreement, not quality" in page
    assert "<b>bold</b>" not in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_a_rollout_that_mirrored_nothing_says_so(tmp_path: Path, run: Any) -> None:
    looked_at(tmp_path, PLAN, [], T0 + HOUR)
    said = run("--project", tmp_path, "shadow", "report", "rank")
    assert (said.code, "ST0288" in said.err) == (1, True)


@pytest.mark.parametrize(
    ("flags", "code"),
    [
        (("--champion", "championscore"), "ST0286"),
        (("--segment", "knd"), "ST0286"),
        (("--champion", "user", "--shadow", "kind", "--separator", "|", "--threshold", "a"), "ST0289"),
        (("--threshold", "nan"), "ST0289"),
        (("--cost-per-day", "5"), "ST0289"),
        (("--time", "kind"), "ST0287"),
    ],
)
def test_what_newcomers_get_wrong(flags: tuple[str, ...], code: str, tmp_path: Path, run: Any) -> None:
    said = run("analyze", "shadow", "--log", table(answers(50), tmp_path / "t.csv"), *flags)
    assert (said.code, code in said.err) == (2, True), said.err
