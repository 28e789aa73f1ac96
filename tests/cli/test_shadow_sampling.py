"""A segment where the shadow is bad is copied ten times as often: what is said of all users is about all users."""

from __future__ import annotations

import csv
import random
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from seatrial.control.project import Project
from seatrial.engines.evidence import EvidenceBuilder
from seatrial.events.schema import to_micros
from seatrial.evidence.codec import from_document, to_document
from seatrial.gateway.assignment import arm_of, assign, mirrored_for
from seatrial.rollout.agreement import judge_agreement
from seatrial.rollout.verdicts import Decision
from seatrial.stats.ranking import spearman
from seatrial.store.plans import check_plan, parse_plan
from shadowlog import MODEL, ROLLOUT, T0, looked_at

TEXT = """
name: ages
lookEvery: 1h
segments: [{name: age, header: x-age}, {name: site, field: site}]
decision: {threshold: 0.5, above: block, below: allow}
metrics:
  - {name: errors, kind: error_rate, margin: 5pp}
  - {name: agreement, kind: agreement, role: guardrail, floor: 0.85, minPairs: 100}
steps: [{shadow: {share: 5%, by: {segment: age, shares: {new: 50%}}}}]
"""
PLAN = check_plan(parse_plan(TEXT))
SHARES = (("new", 5_000),)
END = T0 + timedelta(hours=4)


def population(n: int = 16_000) -> list[dict[str, Any]]:
    """Two requests a unit. One unit in twenty is new, and to the shadow new ones are noise."""
    rng = random.Random(11)
    rows = []
    for number in range(n):
        user = f"u{number // 2}"
        age = "new" if number // 2 % 20 == 0 else "power"
        score = rng.random()
        shadow = rng.random() if age == "new" else min(max(score + rng.gauss(0, 0.05), 0.0), 1.0)
        points = mirrored_for(age, SHARES, otherwise=500)
        copied = arm_of(assign("salt", user), canary=0, mirrored=points).mirrored
        rows.append({"id": f"q{number}", "user": user, "age": age, "champion": score, "shadow": shadow,
                     "copied": copied, "sampled": points, "minute": number % 170})  # fmt: skip
    return rows


def events(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for row in rows:
        time = to_micros(T0) + row["minute"] * 60_000_000 + 1
        base = {"request_id": row["id"], "unit": row["user"], "bucket": assign("b", row["user"]) % 256, "time": time,
                "sampled": row["sampled"], "seg_age": row["age"], "seg_site": "berlin", "latency_us": 2000}  # fmt: skip
        found.append(base | {"arm": "champion", "score": row["champion"]})
        if row["copied"]:
            found.append(base | {"arm": "shadow", "score": row["shadow"], "latency_us": 5_000})
    return found


def truth(rows: list[dict[str, Any]]) -> tuple[float, float]:
    """Rank correlation and share of flips of all requests, copied or not."""
    rho = spearman([row["champion"] for row in rows], [row["shadow"] for row in rows])
    assert rho is not None
    return rho, sum((row["champion"] >= 0.5) != (row["shadow"] >= 0.5) for row in rows) / len(rows)


def by_segment(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {segment["segment"]: segment for segment in document["segments"]}


ROWS = population()


@pytest.fixture(scope="module")
def looked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Decision]:
    root = tmp_path_factory.mktemp("ages") / "p"
    return root, looked_at(root, PLAN, events(ROWS), END)


def test_the_report_is_about_all_users_and_not_about_those_that_were_copied(
    looked: tuple[Path, Decision], run: Any
) -> None:
    root, decision = looked
    rows = ROWS
    kept = [row for row in rows if row["copied"]]
    (rho, flips), (naive_rho, naive_flips) = truth(rows), truth(kept)
    said = run("--project", root, "shadow", "report", MODEL, "--cost-per-1000", "0.02", "--json")
    found, segments = said.json, by_segment(said.json)
    for name in ("total", "site=berlin"):  # of several shares, so re-weighted
        told = segments[name]
        assert told["reweighted"] is True
        assert told["spearman"]["lower"] < rho < told["spearman"]["upper"]
        assert not told["spearman"]["lower"] < naive_rho < told["spearman"]["upper"]
        assert told["flips"]["rate"]["lower"] < flips < told["flips"]["rate"]["upper"] < naive_flips
        assert told["flips"]["raisedRate"] + told["flips"]["loweredRate"] == pytest.approx(
            told["flips"]["rate"]["value"]
        )
        assert 0.3 * len(kept) / 2 < told["units"] < 0.9 * len(kept) / 2  # Kish, and two requests are one voice
    for age in ("new", "power"):  # of one share, so as they are
        told = segments[f"age={age}"]
        alike = [row for row in kept if row["age"] == age]
        assert told["reweighted"] is False
        assert told["pairs"] == len(alike)
        assert told["spearman"]["value"] == pytest.approx(truth(alike)[0])
        assert told["units"] == pytest.approx(len(alike) / 2, rel=0.25)
    (agreement,) = (v for v in (*decision.verdicts, *decision.signals) if v.metric == "agreement")
    assert agreement.verdict == "pass"
    assert agreement.lower is not None
    assert agreement.lower > 0.85 > naive_rho

    strata = {one["segment"]: one for one in found["sampling"]["segments"]}
    assert strata["age=new"]["planned"] == 0.5
    assert strata["age=new"]["measured"] == pytest.approx(0.5, rel=0.1)
    assert strata["age=power"]["measured"] == pytest.approx(0.05, rel=0.1)
    assert found["unmatched"]["unmatched"] == 0
    assert found["cost"]["copiesPerDay"] == pytest.approx(len(kept) * 24 / 4)
    assert found["cost"]["extraPerDay"] == pytest.approx(len(kept) * 24 / 4 * 0.02 / 1000)
    text = run("--project", root, "shadow", "report", MODEL, "--cost-per-1000", "0.02").out
    assert "total *" in text
    assert "age=new: copied" in text
    assert "copies a day at 0.02 for 1,000" in text


def test_without_the_weights_the_same_pairs_would_say_otherwise(looked: tuple[Path, Decision]) -> None:
    """The planted opposite: what re-weighting is for. And it is the same however often somebody looks."""
    project = Project.open(looked[0])
    builder = EvidenceBuilder(project.events, project.outcomes, PLAN, ROLLOUT, MODEL, T0)
    for hour in (1, 2, 4):
        builder.advance(T0 + timedelta(hours=hour))
    evidence = builder.snapshot(live=(), mirrored=(1,))
    builder.close()
    assert set(evidence.shadow.shares) == {500, 5_000}
    kept = from_document(to_document(evidence))
    plain = replace(evidence, shadow=replace(evidence.shadow, shares={}))
    assert to_document(kept) == to_document(evidence)
    (metric,) = PLAN.agreements
    assert judge_agreement(PLAN, metric, evidence) in looked[1].verdicts
    verdicts = [judge_agreement(PLAN, metric, one).verdict for one in (evidence, kept, plain)]
    assert verdicts == ["pass", "pass", "fail"]


def test_a_table_with_the_share_of_each_row_says_the_same_as_the_log(
    looked: tuple[Path, Decision], tmp_path: Path, run: Any
) -> None:
    rows = ROWS
    report = by_segment(run("--project", looked[0], "shadow", "report", MODEL, "--json").json)
    with (tmp_path / "t.csv").open("w") as file:
        writer = csv.writer(file)
        writer.writerow(["user", "x-age", "site", "champion", "shadow", "share"])
        for row in rows:
            if row["copied"]:
                share = row["sampled"] / 10_000
                writer.writerow([row["user"], row["age"], "berlin", row["champion"], row["shadow"], share])
    (tmp_path / "plan.yaml").write_text(TEXT)
    flags = ("--log", tmp_path / "t.csv", "--plan", tmp_path / "plan.yaml", "--json")
    weighed, plain = run("analyze", "shadow", *flags, "--sampled", "share"), run("analyze", "shadow", *flags)
    assert (weighed.code, plain.code) == (0, 3)
    found = by_segment(weighed.json)["total"]
    assert found["spearman"]["value"] == pytest.approx(report["total"]["spearman"]["value"], abs=1e-9)
    assert found["flips"]["rate"]["value"] == pytest.approx(report["total"]["flips"]["rate"]["value"])
    wrong = run("analyze", "shadow", "--log", tmp_path / "t.csv", "--sampled", "user")
    assert (wrong.code, "ST0287" in wrong.err) == (2, True)
    undated = run("analyze", "shadow", "--log", tmp_path / "t.csv", "--cost-per-1000", "0.02")
    assert (undated.code, "--time" in undated.err) == (2, True)


def test_a_copy_that_is_missing_is_counted_in_its_own_segment_only(tmp_path: Path, run: Any) -> None:
    """A unit that is new at home and not at work is copied at home; at work it lacks nothing."""
    rows = ROWS[:6_000]
    lucky = {row["user"] for row in rows if row["copied"] and row["age"] == "new"}
    lucky -= {unit for unit in lucky if assign("salt", unit) < 500}
    at_work = [row | {"id": f"{row['id']}-w", "age": "power", "sampled": 500, "copied": False}
               for row in rows if row["user"] in lucky]  # fmt: skip
    assert len(at_work) > 80
    looked_at(tmp_path / "p", PLAN, events(rows + at_work), END)
    found = run("--project", tmp_path / "p", "shadow", "report", MODEL, "--json").json
    assert (found["unmatched"]["unmatched"], found["unmatched"]["valid"]) == (0, True)
    lost = [row | {"copied": False} if row["copied"] and row["id"].endswith("0") else row for row in rows]
    looked_at(tmp_path / "q", PLAN, events(lost), END)
    found = run("--project", tmp_path / "q", "shadow", "report", MODEL, "--json").json
    assert found["unmatched"]["unmatched"] > 20
    assert found["verdicts"][0]["verdict"] == "invalid"
