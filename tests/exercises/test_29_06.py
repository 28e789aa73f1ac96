"""Exercise 29.6: agreement of a shadow by segment, and what it may decide."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seatrial.cli import main
from seatrial.control.states import decision_from_json, decision_to_json
from seatrial.engines.answers import rollout_answers
from seatrial.engines.evidence import EvidenceBuilder
from seatrial.events.parts import model_directory, write_part
from seatrial.events.schema import event_schema, to_micros, to_table
from seatrial.evidence.codec import from_document, to_document
from seatrial.evidence.facts import UnitCounts
from seatrial.evidence.scores import SCORE_BINS, score_bins
from seatrial.evidence.snapshot import Evidence, ShadowEvidence
from seatrial.evidence.tally import TOTAL, UNIT_BUCKETS
from seatrial.ids import ModelName, RolloutId, VersionNumber
from seatrial.rollout.look import take_look
from seatrial.rollout.plan import Plan
from seatrial.rollout.start import start
from seatrial.rollout.verdicts import Decision, SegmentFinding, Signals
from seatrial.stats.ranking import spearman_from_grid
from seatrial.store.canonical import canonical
from seatrial.store.plans import check_plan, parse_plan

PLAN = check_plan(
    parse_plan("""
name: segments
lookEvery: 1m
segments:
  - {name: account_age, field: account_age_days, bounds: [7, 90], labels: [new, medium, power]}
metrics:
  - {name: errors, kind: error_rate, margin: 5pp}
  - {name: agreement, kind: agreement, role: guardrail, segment: account_age,
     floor: 0.9, segmentFloor: 0.85, maxGap: 0.2, minPairs: 300}
steps:
  - shadow: {share: 100%}
""")
)
T0 = datetime(2026, 3, 1, tzinfo=UTC)
NEW, MEDIUM, POWER = (f"account_age={label}" for label in ("new", "medium", "power"))
EXERCISE = {NEW: 0.65, MEDIUM: 0.94, POWER: 0.97}


def pairs_of(rho: float, n: int) -> np.ndarray:
    """A grid of n pairs whose rank correlation is ``rho`` to .002, and never below it."""
    grid = np.zeros((SCORE_BINS, SCORE_BINS), dtype=np.int64)
    rng = np.random.default_rng(7)
    x, noise = rng.normal(size=n), rng.normal(size=n)
    low, high = 0.0, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        grid = _counted(x, middle * x + np.sqrt(1 - middle**2) * noise)
        low, high = (middle, high) if (spearman_from_grid(grid) or 0.0) < rho else (low, middle)
    return _counted(x, high * x + np.sqrt(1 - high**2) * noise)


def _counted(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    grid = np.zeros((SCORE_BINS, SCORE_BINS), dtype=np.int64)
    bins = (score_bins(1 / (1 + np.exp(-1.5 * side))) for side in (x, y))
    np.add.at(grid, tuple(bins), 1)
    return grid


def evidence(
    rhos: dict[str, float], total: float = 0.92, n: int = 4_000, few: dict[str, int] | None = None, unmatched: int = 0
) -> Evidence:
    """A shadow with these correlations; every pair is of another unit."""
    sizes = {name: (few or {}).get(name, n) for name in rhos}
    grid = {name: pairs_of(rho, sizes[name]) for name, rho in rhos.items()} | {
        TOTAL: pairs_of(total, sum(sizes.values()))
    }
    buckets = {name: _spread(int(found.sum())) for name, found in grid.items()}
    shadow = ShadowEvidence(grid, int(grid[TOTAL].sum()), unmatched, buckets, "scores")
    units = UnitCounts(arms={"shadow": 5_000, "champion": 5_000}, mirrored={"shadow": 5_000, "champion": 5_000})
    return Evidence(at=T0 + timedelta(hours=1), shadow=shadow, units=units)


def _spread(n: int) -> np.ndarray:
    return np.bincount(np.random.default_rng(3).integers(0, UNIT_BUCKETS, n), minlength=UNIT_BUCKETS).astype(np.int64)


def decided(found: Evidence, plan: Plan = PLAN) -> Decision:
    ids = (RolloutId("r-0001"), ModelName("rank"), VersionNumber(1), VersionNumber(2))
    return take_look(plan, start(plan, *ids, "salt", T0, "ann")[1], found, Signals()).decision


def findings(decision: Decision) -> dict[str, SegmentFinding]:
    (verdict,) = (v for v in (*decision.verdicts, *decision.signals) if v.metric == "agreement")
    return {finding.segment: finding for finding in verdict.segments}


# ── (c) the decision ───────────────────────────────────────────────────────────────────────────────────────────────


def test_the_exercise_holds_and_names_new_users_and_the_floor() -> None:
    decision = decided(evidence(EXERCISE))
    assert (decision.action, decision.rule) == ("hold", "disagreement")
    assert NEW in decision.reason
    assert "segment floor 0.85" in decision.reason
    assert MEDIUM not in decision.reason
    assert decision.strikes == 0
    assert [round(findings(decision)[name].estimate or 0.0, 2) for name in (TOTAL, NEW, MEDIUM, POWER)] == [
        0.92, 0.65, 0.94, 0.97,
    ]  # fmt: skip


def test_new_users_at_93_promote() -> None:
    decision = decided(evidence(EXERCISE | {NEW: 0.93}, total=0.95))
    assert (decision.action, decision.rule) == ("promote", "advance")
    assert {finding.verdict for finding in findings(decision).values()} == {"pass"}


@pytest.mark.parametrize("n", [0, 1, 299])
def test_too_few_new_users_extend(n: int) -> None:
    found = evidence({name: rho for name, rho in EXERCISE.items() if n or name != NEW}, 0.95, few={NEW: n})
    decision = decided(found)
    assert (decision.action, decision.rule) == ("extend", "not_proven")
    assert findings(decision)[NEW].verdict == "insufficient"
    assert f"{NEW} needs {300 - n} more pairs ({n} of 300)" in " ".join(decision.needs)


def test_a_global_092_passes_where_nobody_asks_for_segments() -> None:
    """The trap of 29.6(b), and the control of the test above: without segment floors the same evidence promotes."""
    text = "name: naive\nmetrics: [{name: errors, kind: error_rate, margin: 5pp}, {name: agreement, kind: agreement, " \
           "role: guardrail, floor: 0.9}]\nsteps: [{shadow: {}}]"  # fmt: skip
    assert decided(evidence(EXERCISE), check_plan(parse_plan(text))).action == "promote"


def test_the_gap_to_the_whole_is_a_floor_of_its_own() -> None:
    text = json.loads(json.dumps(PLAN_DOCUMENT))
    text["metrics"][1] |= {"segmentFloor": 0.2, "maxGap": 0.2}
    decision = decided(evidence(EXERCISE), check_plan(parse_plan(json.dumps(text))))
    assert decision.rule == "disagreement"
    assert "below the whole, more than 0.2" in decision.reason
    text["metrics"][1] |= {"maxGap": 0.3}
    assert decided(evidence(EXERCISE), check_plan(parse_plan(json.dumps(text)))).action == "promote"


def test_segments_share_the_alpha() -> None:
    """With the same pairs, one of many segments is bounded more widely than the only one."""
    text = json.loads(json.dumps(PLAN_DOCUMENT))
    text["segments"][0] |= {"bounds": [7], "labels": ["new", "others"]}
    two = findings(decided(evidence({NEW: 0.9, "account_age=others": 0.9}), check_plan(parse_plan(json.dumps(text)))))
    three = findings(decided(evidence({NEW: 0.9, MEDIUM: 0.9, POWER: 0.9})))
    assert (two[NEW].lower or 0) > (three[NEW].lower or 1)


def test_an_estimate_above_the_floor_is_not_enough() -> None:
    decision = decided(evidence(EXERCISE | {NEW: 0.87}, 0.95, few={NEW: 400}))
    assert (decision.action, findings(decision)[NEW].verdict) == ("extend", "inconclusive")
    assert "more units" in " ".join(decision.needs)


def test_pairs_of_few_units_prove_little() -> None:
    """The same grid, from users who ask twenty times each."""
    many = evidence(EXERCISE | {NEW: 0.88}, 0.95)
    clumped = {name: 20 * _spread(int(sums.sum()) // 20) for name, sums in many.shadow.buckets.items()}
    shadow = ShadowEvidence(many.shadow.grid, many.shadow.pairs, 0, clumped, "scores")
    few = Evidence(at=many.at, shadow=shadow, units=many.units)
    assert decided(many).action == "promote"
    assert decided(few).action == "extend"


def test_unmatched_requests_make_it_invalid() -> None:
    good = EXERCISE | {NEW: 0.93}
    at_bound, above = (decided(evidence(good, 0.95, unmatched=n)) for n in (244, 245))  # of 12,000 pairs and these
    assert at_bound.action == "promote"
    (verdict,) = (v for v in above.verdicts if v.metric == "agreement")
    assert (above.action, verdict.status, verdict.verdict) == ("extend", "invalid", "invalid")
    assert "lack a primary answer" in verdict.needs


def test_constant_scores_are_no_agreement() -> None:
    flat = np.zeros((SCORE_BINS, SCORE_BINS), dtype=np.int64)
    flat[64, 64] = 4_000
    shadow = ShadowEvidence({TOTAL: flat, NEW: flat}, 4_000, 0, {TOTAL: _spread(4_000), NEW: _spread(4_000)}, "classes")
    found = evidence(EXERCISE)
    decision = decided(Evidence(at=found.at, shadow=shadow, units=found.units))
    (verdict,) = (v for v in decision.verdicts if v.metric == "agreement")
    assert (verdict.status, verdict.verdict, decision.action) == ("degenerate", "insufficient", "extend")


@pytest.mark.parametrize(("bins", "status"), [(4, "degenerate"), (5, "ok")])
def test_scores_that_lie_in_few_bins_are_not_ranked(bins: int, status: str) -> None:
    grid = np.zeros((SCORE_BINS, SCORE_BINS), dtype=np.int64)
    grid[60 : 60 + bins, 60 : 60 + bins] = 1_000 * np.eye(bins, dtype=np.int64)
    names = (TOTAL, NEW, MEDIUM, POWER)
    buckets = {name: _spread(1_000 * bins) for name in names}
    found = evidence(EXERCISE)
    shadow = ShadowEvidence(dict.fromkeys(names, grid), 1_000 * bins, 0, buckets, "scores")
    decision = decided(Evidence(at=found.at, shadow=shadow, units=found.units))
    (verdict,) = (v for v in decision.verdicts if v.metric == "agreement")
    assert (verdict.status, decision.action) == (status, "promote" if status == "ok" else "extend")


def test_labels_are_compared_by_kappa() -> None:
    labels = np.zeros((SCORE_BINS, SCORE_BINS), dtype=np.int64)
    labels[:2, :2] = [[1900, 100], [100, 1900]]
    names = (TOTAL, NEW, MEDIUM, POWER)
    shadow = ShadowEvidence(dict.fromkeys(names, labels), 4_000, 0, {name: _spread(4_000) for name in names}, "classes")
    found = evidence(EXERCISE)
    decision = decided(Evidence(at=found.at, shadow=shadow, units=found.units))
    (verdict,) = (v for v in decision.verdicts if v.metric == "agreement")
    assert "kappa" in verdict.method
    assert verdict.estimate == pytest.approx(0.9)


def test_a_small_unknown_segment_is_not_waited_for_and_a_large_one_is() -> None:
    good = EXERCISE | {NEW: 0.93, "account_age=unknown": 0.1}
    assert decided(evidence(good, 0.95, few={"account_age=unknown": 40})).action == "promote"
    assert decided(evidence(good, 0.95, few={"account_age=unknown": 290}, n=3_000)).action == "extend"


def test_the_decision_is_a_function_of_the_document() -> None:
    """29.6c point 4: evidence to JSON and back decides the same, to the byte."""
    found = evidence(EXERCISE)
    again = from_document(json.loads(json.dumps(to_document(found))))
    first, second = decided(found), decided(again)
    assert decision_to_json(first) == decision_to_json(second)
    assert decision_from_json(decision_to_json(first)) == first
    assert canonical(to_document(found)) == canonical(to_document(again))
    changed = from_document(json.loads(json.dumps(to_document(evidence(EXERCISE | {NEW: 0.66})))))
    assert decision_to_json(decided(changed)) != decision_to_json(first)


PLAN_DOCUMENT: dict[str, Any] = {
    "name": "segments",
    "lookEvery": "1m",
    "segments": [
        {"name": "account_age", "field": "account_age_days", "bounds": [7, 90], "labels": ["new", "medium", "power"]}
    ],
    "metrics": [
        {"name": "errors", "kind": "error_rate", "margin": "5pp"},
        {"name": "agreement", "kind": "agreement", "role": "guardrail", "segment": "account_age", "floor": 0.9,
         "segmentFloor": 0.85, "maxGap": 0.2, "minPairs": 300},
    ],
    "steps": [{"shadow": {"share": "100%"}}],
}  # fmt: skip


# ── (a) the numbers, from a log ────────────────────────────────────────────────────────────────────────────────────


def planted(shuffle_new: bool, users: int = 900, seed: int = 5) -> list[dict[str, Any]]:
    """A log of pairs: three requests a user. ``shuffle_new``: for new users the shadow's scores are anybody's."""
    rng = random.Random(seed)
    rows: list[dict[str, Any]] = []
    for user in range(users):
        band, bucket = rng.choice(["new"] + ["medium", "power"] * 3), rng.randrange(UNIT_BUCKETS)
        for visit in range(3):
            score = rng.betavariate(1.2, 3)
            other = (
                rng.betavariate(1.2, 3) if shuffle_new and band == "new" else min(max(score + rng.gauss(0, 0.02), 0), 1)
            )
            base = {
                "request_id": f"{user}-{visit}", "row": 0, "rollout": "r-1", "phase": 1, "unit": f"u{user}",
                "bucket": bucket, "time": to_micros(T0) + 1_000 * (user * 3 + visit), "error": False,
                "seg_account_age": band,
            }  # fmt: skip
            rows += [base | {"arm": "champion", "score": score}, base | {"arm": "shadow", "score": other}]
    return rows


def evidence_of(root: Path, rows: list[dict[str, Any]], parts: int = 1) -> Evidence:
    for n in range(parts):
        table = to_table(rows[n::parts], event_schema(["account_age"]))
        write_part(model_directory(root / "events", "rank"), "live", "1a.2b", n, n + 1, table)
    builder = EvidenceBuilder(root / "events", root / "outcomes", PLAN, "r-1", "rank", T0)
    try:
        builder.advance(T0 + timedelta(minutes=1))
        return builder.snapshot(live=[], mirrored=[1])
    finally:
        builder.close()


def test_shuffled_new_users_are_found_under_a_high_global_correlation(tmp_path: Path) -> None:
    shuffled = findings(decided(evidence_of(tmp_path / "a", planted(True))))
    healthy = findings(decided(evidence_of(tmp_path / "b", planted(False))))
    assert abs(shuffled[NEW].estimate or 1) < 0.15
    assert (shuffled[TOTAL].estimate or 0) > 0.7
    assert (shuffled[POWER].estimate or 0) > 0.95
    assert min(f.estimate or 0 for f in healthy.values()) > 0.95
    assert all(0.8 * f.count / 3 < f.units < 1.25 * f.count / 3 for f in healthy.values()), "users, not requests"


def test_partial_statistics_merge_to_those_of_the_whole(tmp_path: Path) -> None:
    rows = planted(True)
    whole = evidence_of(tmp_path / "whole", rows)
    cut = evidence_of(tmp_path / "cut", rows, parts=7)
    halves = [
        evidence_of(tmp_path / f"half{n}", rows[start:end]) for n, (start, end) in enumerate([(0, 3600), (3600, 7200)])
    ]
    assert to_document(whole) == to_document(cut)
    for name, grid in whole.shadow.grid.items():
        assert np.array_equal(grid, sum(half.shadow.grid[name] for half in halves))
        assert np.array_equal(whole.shadow.buckets[name], sum(half.shadow.buckets[name] for half in halves))
    (smaller,) = [evidence_of(tmp_path / "less", rows[:-2])]
    assert not np.array_equal(whole.shadow.grid[TOTAL], smaller.shadow.grid[TOTAL])


@pytest.mark.parametrize(("given", "outputs"), [("yes", "classes"), (None, "scores")])
def test_class_labels_are_noticed(given: str | None, outputs: str, tmp_path: Path) -> None:
    rows = planted(False, users=400)
    if given:
        rows = [row | {"score": None, "label": "no" if row["score"] < 0.3 else given} for row in rows]
    found = evidence_of(tmp_path, rows)
    assert found.shadow.outputs == outputs
    assert int(found.shadow.grid[TOTAL].sum()) == found.shadow.pairs == 1_200
    assert bool(found.shadow.grid[TOTAL][2:, 2:].any()) == (given is None)


def test_the_report_and_the_gate_count_the_same(tmp_path: Path) -> None:
    rows = planted(True, users=300)
    gate = evidence_of(tmp_path, rows).shadow
    report = rollout_answers(tmp_path / "events", "rank", "r-1", ["account_age"], to_micros(T0) + 60_000_000).answers
    again = report.evidence()
    assert (again.pairs, again.outputs, again.grid.keys()) == (gate.pairs, gate.outputs, gate.grid.keys())
    assert all(np.array_equal(again.grid[name], gate.grid[name]) for name in gate.grid)
    assert all(np.array_equal(again.buckets[name], gate.buckets[name]) for name in gate.grid)


def test_the_command_tells_every_band_with_n_and_interval(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """29.6a points 1 and 3, on the exercise's ages."""
    (tmp_path / "plan.json").write_text(json.dumps(PLAN_DOCUMENT))
    rng = random.Random(2)
    lines = ["account_age_days,champion,shadow"]
    for age, times in (("6.99", 400), ("7.0", 300), ("90.0", 300), ("90.01", 500), ("", 20)):
        for _ in range(times):
            score = rng.random()
            lines.append(f"{age},{score},{rng.random() if age == '6.99' else score * 0.9}")
    (tmp_path / "pairs.csv").write_text("\n".join(lines))
    with pytest.raises(SystemExit) as ended:
        main(
            ["analyze", "shadow", "--log", str(tmp_path / "pairs.csv"), "--plan", str(tmp_path / "plan.json"), "--json"]
        )
    assert ended.value.code == 3
    found = {segment["segment"]: segment for segment in json.loads(capsys.readouterr().out)["segments"]}
    assert {name: segment["pairs"] for name, segment in found.items()} == {
        TOTAL: 1_520, NEW: 400, MEDIUM: 600, POWER: 500, "account_age=unknown": 20,
    }  # fmt: skip
    assert found["account_age=unknown"]["status"] == "not_enough"
    assert found[NEW]["spearman"]["upper"] < 0.3 < 0.99 < found[MEDIUM]["spearman"]["lower"]
