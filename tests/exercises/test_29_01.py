"""Exercise 29.1(c): a model that blocks or allows at once, where what was blocked never has an outcome."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seatrial.cli import main
from seatrial.errors import PlanError
from seatrial.rollout.validate import problems
from seatrial.store.plans import check_plan, overridden, parse_plan

THRESHOLD = 0.8
HEAD = """
name: fraud
timeBucket: 1d
lookEvery: 1h
deadline: 90d
"""
METRICS = """
metrics:
  - name: allowed_fraud
    kind: proportion
    outcome: fraud
    direction: decrease
    horizon: 10d
    margin: 30%
    among: {name: allowed, below: 0.8}
  - name: false_block
    kind: proportion
    outcome: appeal_upheld
    direction: decrease
    horizon: 10d
    margin: 30%
    among: {name: blocked, atLeast: 0.8}
"""
STEPS = """
steps:
  - shadow: {share: 100%}
  - pause: {duration: 11d}
  - setWeight: 5%
  - pause: {duration: 11d}
  - setWeight: 50%
  - pause: {duration: 11d}
"""
DAY = 86_400 * 10**6
END = 1_772_323_200_000_000 + 40 * DAY


def payments(fraud: float = 1.0, *, days: int = 30, labels: str = "all") -> pa.Table:
    """Payments of as many days before the end. ``fraud``: how often what v8 lets through is fraud, against v7.

    ``labels``: *all* (fraud of the allowed, appeals of the blocked) or *allowed* (no appeals are known).
    """
    rng = np.random.default_rng(11)
    rows, units = 40_000, 20_000
    unit = rng.integers(units, size=rows)
    canary = rng.permutation(units)[unit] < units // 2
    score = rng.random(rows)
    blocked = score >= THRESHOLD
    bad = rng.random(rows) < 0.10 * np.where(canary, fraud, 1.0)
    wrong = rng.random(rows) < 0.15
    appeals = np.where(blocked, wrong.astype(float), np.nan)
    return pa.table({
        "user": [f"u{n}" for n in unit],
        "version": np.where(canary, "v8", "v7"),
        "time": pa.array(END - rng.integers(days * DAY, size=rows)).cast(pa.timestamp("us")),
        "score": score,
        "fraud": pa.array(np.where(blocked, np.nan, bad.astype(float)), from_pandas=True),
        "appeal_upheld": pa.array(appeals if labels == "all" else np.full(rows, np.nan), from_pandas=True),
    })  # fmt: skip


@pytest.fixture
def judge(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., str]:
    """What `analyze canary` says of a log."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")

    def command(table: pa.Table, *flags: str, metrics: str = METRICS) -> str:
        Path("plan.yaml").write_text(HEAD + metrics + "steps: [{setWeight: 50%}]")
        pq.write_table(table, "log.parquet")
        capsys.readouterr()
        with pytest.raises(SystemExit):
            main(["analyze", "canary", "--log", "log.parquet", "--plan", "plan.yaml", "--champion", "v7",
                  "--canary", "v8", *flags])  # fmt: skip
        told = capsys.readouterr()
        assert told.out, told.err
        return told.out

    return command


@pytest.fixture
def judged(judge: Callable[..., str]) -> Callable[..., dict[str, Any]]:
    """The same, as a document."""
    return lambda table, **more: json.loads(judge(table, "--json", **more))


def of(document: dict[str, Any], name: str) -> dict[str, Any]:
    return next(v for v in document["verdicts"] if v["metric"] == name)


def test_a_blocked_payment_is_unobserved_and_never_a_negative(judge: Any, judged: Any) -> None:
    table = payments()
    v = of(judged(table), "allowed_fraud")
    assert (v["verdict"], v["population"]) == ("pass", "allowed")
    assert v["rateChampion"] == pytest.approx(0.10, abs=0.01), "of the allowed"
    assert v["unobservedCandidate"] + v["countCandidate"] > 12_000
    assert v["unobservedCandidate"] / (v["unobservedCandidate"] + v["countCandidate"]) == pytest.approx(0.2, abs=0.01)
    text = judge(table)
    assert "champion allowed exposures (" in text
    assert "without an outcome to observe" in text
    everybody = METRICS.replace("    among: {name: allowed, below: 0.8}\n", "    missing: zero\n")
    naive = of(judged(table, metrics=everybody), "allowed_fraud")
    assert naive["rateChampion"] == pytest.approx(0.08, abs=0.01), "counted as negatives, fraud looks a fifth smaller"
    assert naive["population"] is None


def test_the_population_is_what_labels_there_are(judged: Any) -> None:
    """With labels of allowed payments only, false blocks are not known; they are not zero."""
    document = judged(payments(labels="allowed"))
    known, unknown = of(document, "allowed_fraud"), of(document, "false_block")
    assert (known["verdict"], known["population"]) == ("pass", "allowed")
    assert (unknown["verdict"], unknown["population"], unknown["countCandidate"]) == ("immature", "blocked", 0)
    assert document["result"] == "undecided"
    assert of(judged(payments()), "false_block")["verdict"] == "pass"


def test_more_fraud_that_is_let_through_is_found(judged: Any) -> None:
    document = judged(payments(fraud=1.6))
    assert (document["result"], of(document, "allowed_fraud")["verdict"]) == ("fail", "fail")


def test_before_labels_mature_it_is_undecided(judged: Any) -> None:
    document = judged(payments(days=9))
    assert [v["verdict"] for v in document["verdicts"]] == ["immature", "immature"]
    assert document["result"] == "undecided"


FLIP = "steps: [{setWeight: 100%}]"


@pytest.mark.parametrize(
    ("steps", "codes"),
    [
        (STEPS, []),
        ("steps: [{setWeight: 5%}, {pause: {duration: 11d}}]", ["ST0344"]),
        ("steps: [{shadow: {}}, {pause: {duration: 11d}}]", ["ST0344"]),
        (FLIP, ["ST0208", "ST0344", "ST0344"]),
    ],
)
@pytest.mark.parametrize("impact", ["immediate", "irreversible", "ordinary"])
def test_a_decision_that_acts_at_once_does_not_flip(steps: str, codes: list[str], impact: str) -> None:
    plan = parse_plan(HEAD + METRICS + steps + f"\nimpact: {impact}")
    found = [p.code for p in problems(plan)]
    assert found == (codes if impact != "ordinary" else [code for code in codes if code == "ST0208"])


def test_an_override_passes_only_what_a_person_can_answer_for() -> None:
    plan = parse_plan(HEAD + METRICS + "steps: [{setWeight: 5%}, {pause: {duration: 11d}}]\nimpact: immediate")
    with pytest.raises(PlanError, match="ST0344"):
        check_plan(plan)
    with pytest.raises(PlanError, match="ST0344"):
        check_plan(plan, override="  ")
    assert check_plan(plan, override="the champion is down") is plan
    assert len(overridden(plan)) == 1
    with pytest.raises(PlanError, match="ST0208"):
        check_plan(parse_plan(HEAD + METRICS + FLIP + "\nimpact: immediate"), override="hurry")
