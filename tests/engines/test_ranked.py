"""Ranked lists in the evidence of a rollout: pairs and clicks of the log, whatever looks and parts it came in.

Every number is held against ``stats.lists``, list by list.
"""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from seatrial.engines.evidence import EvidenceBuilder
from seatrial.events.outcomes import Outcome
from seatrial.events.parts import model_directory, write_part
from seatrial.events.schema import OUTCOME_SCHEMA, event_schema, from_micros, to_micros, to_table
from seatrial.evidence.codec import from_document, to_document
from seatrial.evidence.lists import list_mean
from seatrial.evidence.snapshot import Evidence
from seatrial.evidence.tally import MICRO
from seatrial.rollout.agreement import judge_agreement
from seatrial.rollout.plan import Plan
from seatrial.rollout.verdicts import MetricVerdict
from seatrial.stats.lists import kendall_common, ndcg_of_clicks, rbo, topk_overlap
from seatrial.store.plans import check_plan, parse_plan
from shadowlog import T0

START = to_micros(T0)
SECOND = 1_000_000
AGREE = """
name: lists
lookEvery: 1m
segments: [{name: class, field: class}]
metrics:
  - {name: errors, kind: error_rate, margin: 5pp}
  - {name: alike, kind: agreement, role: guardrail, floor: 0.8, segmentFloor: 0.7, minPairs: 100STATISTIC}
steps: [{shadow: {}}]
"""
CLICKS = """
name: clicks
lookEvery: 1m
metrics:
  - {name: found, kind: ndcg, outcome: click, horizon: 30m, missing: MISSING, k: 5, margin: 5%}
steps: [{setWeight: 50%}, {pause: {duration: 2h}}]
"""
POOL = [f"d{n}" for n in range(30)]


def agreeing(statistic: str = "") -> Plan:
    return check_plan(parse_plan(AGREE.replace("STATISTIC", f", statistic: {statistic}" if statistic else "")))


def clicking(missing: str = "exclude") -> Plan:
    return check_plan(parse_plan(CLICKS.replace("MISSING", missing)))


def put(root: Path, rows: list[dict[str, Any]], plan: Plan, outcomes: list[dict[str, Any]] | None = None) -> None:
    """The log in three parts, by a chance that does not matter."""
    rng = random.Random(len(rows))
    common = {"rollout": "r-1", "phase": 1, "row": 0, "error": False, "latency_us": 1}
    schema = event_schema([segment.name for segment in plan.segments])
    parts: list[list[dict[str, Any]]] = [[], [], []]
    for row in rows:
        parts[rng.randrange(3)].append(common | row)
    for n, some in enumerate(parts):
        write_part(model_directory(root / "events", "m"), "live", "1.1", 10 * n, 10 * n + 9, to_table(some, schema))
    told = [{"revision": 0, "model": "m", **record} for record in outcomes or []]
    if told:
        write_part(model_directory(root / "outcomes", "m"), "o", "1.1", 0, 9, to_table(told, OUTCOME_SCHEMA))


def evidence(root: Path, plan: Plan, *minutes: float) -> Evidence:
    builder = EvidenceBuilder(root / "events", root / "outcomes", plan, "r-1", "m", T0)
    for minute in minutes or (120,):
        builder.advance(T0 + timedelta(minutes=minute))
    found = builder.snapshot(live=(1,), mirrored=(1,))
    builder.close()
    return found


def pairs(n: int = 400, *, worse: str = "", scored: bool = False) -> list[dict[str, Any]]:
    rng, found = random.Random(7), []
    for number in range(n):
        kind = rng.choice(["head", "tail"])
        ours = rng.sample(POOL, 8)
        theirs = rng.sample(POOL, 6) if kind == worse else [*ours]
        at = START + (number + 1) * SECOND * 10
        base = {"request_id": f"q{number}", "outcome_key": f"q{number}", "unit": f"u{number}", "bucket": number % 256,
                "seg_class": kind}  # fmt: skip
        scores = {"item_scores": [0.5] * 8} if scored else {}
        found.append(base | {"arm": "champion", "time": at, "items": ours} | scores)
        found.append(base | {"arm": "shadow", "time": at + SECOND, "items": theirs} | scores)
    return found


def verdict(root: Path, plan: Plan, rows: list[dict[str, Any]], *minutes: float) -> MetricVerdict:
    put(root, rows, plan)
    return judge_agreement(plan, plan.agreements[0], evidence(root, plan, *minutes))


@pytest.mark.slow
def test_looks_and_parts_do_not_matter_and_each_pair_is_as_stats_says(tmp_path: Path) -> None:
    plan, rows = agreeing(), pairs(worse="tail")
    put(tmp_path, rows, plan)
    once, often = evidence(tmp_path, plan), evidence(tmp_path, plan, *range(1, 121))
    assert to_document(once) == to_document(often)
    assert to_document(from_document(to_document(once))) == to_document(once)
    lists = [(a["items"], b["items"], a["seg_class"]) for a, b in zip(rows[::2], rows[1::2], strict=True)]
    for name in ("total", "class=head", "class=tail"):
        some = [(a, b) for a, b, kind in lists if name in ("total", f"class={kind}")]
        for statistic, of in (("rbo", rbo), ("topK", lambda a, b: topk_overlap(a, b, 10)), ("kendall", kendall_common)):
            values = [value for a, b in some if (value := of(a, b)) is not None]
            mean = list_mean(once.shadow.lists[name], statistic)  # type: ignore[arg-type]
            assert mean is not None
            assert mean.pairs == len(values)
            assert mean.value == pytest.approx(sum(values) / len(values), abs=1e-6)
    assert once.shadow.outputs == "lists"
    assert once.shadow.pairs == 400


@pytest.mark.parametrize("statistic", ["", "rbo", "topK", "kendall"])
def test_identical_rankers_pass_and_one_that_is_worse_in_a_class_is_held(statistic: str, tmp_path: Path) -> None:
    plan = agreeing(statistic)
    same = verdict(tmp_path / "same", plan, pairs())
    assert (same.verdict, same.estimate) == ("pass", 1.0)
    assert 0.9 < (same.lower or 0) < 1.0, "some hundred lists prove no more"
    assert "rank" in same.method or "overlap" in same.method or "tau" in same.method
    worse = verdict(tmp_path / "worse", plan, pairs(worse="tail"))
    if statistic == "kendall":
        assert worse.status == "invalid", "lists without two items in common have no order to compare"
        assert "no order in common" in worse.needs
        return
    assert worse.verdict == "fail"
    assert "class=tail" in worse.missed()
    assert next(s for s in worse.segments if s.segment == "class=head").estimate == 1.0


def test_too_few_pairs_are_no_pass(tmp_path: Path) -> None:
    found = verdict(tmp_path, agreeing(), pairs(60))
    assert (found.verdict, found.estimate) == ("insufficient", 1.0)
    assert "40 more pairs" in found.needs


def test_constant_scores_are_no_agreement_of_order(tmp_path: Path) -> None:
    found = verdict(tmp_path / "tau", agreeing("kendall"), pairs(scored=True))
    assert (found.verdict, found.estimate) == ("invalid", None)
    assert verdict(tmp_path / "rbo", agreeing("rbo"), pairs(scored=True)).verdict == "pass"


def test_a_statistic_of_lists_needs_lists_and_kinds_are_not_mixed(tmp_path: Path) -> None:
    scores = [{**row, "items": None, "score": random.Random(row["request_id"]).random()} for row in pairs()]
    found = verdict(tmp_path / "scores", agreeing("rbo"), scores)
    assert (found.status, "ranked lists" in found.needs) == ("invalid", True)
    mixed = [{**row, "score": 0.3, "items": None} if n % 20 == 0 else row for n, row in enumerate(pairs())]
    assert verdict(tmp_path / "mixed", agreeing(), mixed).status == "invalid"


# ── clicks ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def served(n: int = 800, *, worse: bool = False) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Two arms; users click on relevant items, which a worse ranker puts further down. Every third page has none."""
    rng = random.Random(11)
    rows, clicks = [], []
    for number in range(n):
        arm = ("champion", "canary")[number % 2]
        relevant, rest = rng.sample(POOL, 2), rng.sample([f"x{k}" for k in range(20)], 6)
        items = [*rest, *relevant] if worse and arm == "canary" and number % 4 < 2 else [*relevant, *rest]
        at = START + (number + 1) * SECOND * 2
        rows.append({"request_id": f"q{number}", "outcome_key": f"q{number}", "unit": f"u{number}", "arm": arm,
                     "bucket": number % 256, "time": at, "items": items})  # fmt: skip
        for item in relevant if number % 3 else []:
            clicks.append({"key": f"q{number}", "name": "click", "item": item, "value": 1.0, "time": at + SECOND,
                           "received_at": at + 60 * SECOND})  # fmt: skip
    return rows, clicks


def ndcg_of(rows: list[dict[str, Any]], clicks: list[dict[str, Any]], arm: str, k: int = 5) -> list[float]:
    of: dict[str, set[str]] = {}
    for click in clicks:
        of.setdefault(click["key"], set()).add(click["item"])
    values = [ndcg_of_clicks(row["items"], of.get(row["request_id"], ()), k) for row in rows if row["arm"] == arm]
    return [value for value in values if value is not None]


@pytest.mark.parametrize("missing", ["exclude", "zero"])
def test_each_arms_lists_are_judged_by_the_clicks_on_them(missing: str, tmp_path: Path) -> None:
    plan, (rows, clicks) = clicking(missing), served(worse=True)
    put(tmp_path, rows, plan, clicks)
    found = evidence(tmp_path, plan).metrics["found"]
    assert to_document(evidence(tmp_path, plan)) == to_document(evidence(tmp_path, plan, *range(1, 121)))
    for arm in ("champion", "canary"):
        values = ndcg_of(rows, clicks, arm)
        sums = sum(s.sum(axis=0) for cell, s in found.tally.cells.items() if cell.arm == arm)
        wanted = len(values) if missing == "exclude" else sum(row["arm"] == arm for row in rows)
        assert sums[0] == wanted  # type: ignore[index]
        assert sums[1] == sum(round(value * MICRO) for value in values)  # type: ignore[index]
        assert found.missing[1, arm] == sum(row["arm"] == arm for row in rows) - len(values)  # type: ignore[index]


def test_what_counts_as_a_click(tmp_path: Path) -> None:
    """The latest revision of each item, in time; a value of 0 takes a click back; a place beyond k is not found."""
    plan, at = clicking(), START + SECOND
    rows = [{"request_id": f"q{n}", "outcome_key": f"q{n}", "unit": f"u{n}", "arm": "canary", "bucket": n, "time": at,
             "items": ["a", "b", "c", "d", "e", "f"]} for n in range(6)]  # fmt: skip

    def click(n: int, item: str | None, value: float = 1.0, **more: Any) -> dict[str, Any]:
        return {"key": f"q{n}", "name": "click", "item": item, "value": value, "time": at, "received_at": at} | more

    clicks = [
        click(0, "a"), click(0, "a"),  # sent twice
        click(1, "b"), click(1, "b", 0.0, revision=1), click(1, "a"),  # taken back
        click(2, "f"),  # beyond the first five
        click(3, "z"),  # was not there
        click(4, "a", received_at=at + 3_600 * SECOND, time=at + 3_600 * SECOND),  # too late
        click(5, None),  # names nothing
    ]  # fmt: skip
    put(tmp_path, rows, plan, clicks)
    found = evidence(tmp_path, plan).metrics["found"]
    (sums,) = found.tally.cells.values()
    assert sums[:6, 0].tolist() == [1, 1, 1, 1, 0, 0]
    assert sums[:6, 1].tolist() == [MICRO, MICRO, 0, 0, 0, 0]
    assert found.missing == {(1, "canary"): 2}


def test_outcomes_name_items_one_by_one_or_as_a_list() -> None:
    at = "2026-03-01T00:00:00Z"
    one = {"model": "m", "key": "q1", "name": "click", "value": 1, "time": at, "item": "a"}
    (single,) = Outcome.parse_all(one)
    assert (single.item, single.value) == ("a", 1.0)
    several = list(Outcome.parse_all({"model": "m", "key": "q1", "name": "click", "time": at, "items": ["a", 7]}))
    assert [(o.item, o.value) for o in several] == [("a", 1.0), ("7", 1.0)]
    assert pa.types.is_string(OUTCOME_SCHEMA.field("item").type)
    assert from_micros(START) == T0
    for wrong in (
        {**one, "items": ["a"]},
        {**one, "item": "", "items": []},
        {**one, "item": ["a"]},
        {**one, "item": ""},
    ):
        with pytest.raises(Exception, match="ST0503"):
            list(Outcome.parse_all({**one, **wrong}))
