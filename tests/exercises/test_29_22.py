"""Exercise 29.22: the reviewers' time, material and other changes, and the triage that tells them apart."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from changeparts import Bank
from commandline import run_command
from seatrial.control.approvals import gate
from seatrial.control.approvals.desk import Signer
from seatrial.control.approvals.requirement import wanted
from seatrial.control.changes.baseline import baseline_of, note_approved
from seatrial.control.launch import Launch
from seatrial.errors import ApprovalNeeded, UsageError
from seatrial.registry.people import Role
from seatrial.store.plans import parse_plan

NOW = datetime(2026, 3, 1, tzinfo=UTC)
BUREAU_V3 = {"income": "payroll", "score": "credit_bureau_v3"}
PLAN = parse_plan("""
name: credit
timeBucket: 1h
lookEvery: 1h
deadline: 10d
metrics: [{name: errors, kind: error_rate, margin: 5pp}]
steps:
  - setWeight: 10%
  - pause: {duration: 8h}
""")


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[Bank]:
    """v1 serves and was approved as a whole; v2 is the same a month later, v3 takes the score from another bureau."""
    made = Bank(tmp_path, "approvals: {expires: 30d, teams: {loans: [carl]}}\n")
    made.register()
    made.serve(1)
    made.register(metrics={"auc": 0.835})
    made.register(sources=BUREAU_V3)
    made.operations.changes.set_baseline("credit", 1, reason="MRM-2026-003", actor="mrm", own=True)
    yield made
    made.close()


@pytest.fixture
def run(bank: Bank, capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*words: object, code: int = 0) -> Any:
        return run_command(capsys, "--project", bank.project.root, *words, code=code)

    return run


# ── (a) ────────────────────────────────────────────────────────────────────────────────────────────────────────────

CAPACITY = ("calc", "review-capacity", "--reviews", 15, "--hours", 4, "--reviewers", 3, "--available", 160)


def test_fifteen_reviews_take_an_eighth_and_thirty_a_quarter(capsys: pytest.CaptureFixture[str]) -> None:
    cases = run_command(capsys, *CAPACITY, "--grows-to", 30, "--json")["cases"]
    assert [case["hours"] for case in cases] == [60, 120]
    assert [case["available_hours"] for case in cases] == [480, 480]
    assert [case["utilisation"] for case in cases] == [0.125, 0.25]
    assert all(case["sustainable"] for case in cases)
    assert [case["reviews_per_month"] for case in cases] == [5, 10]
    assert cases[0]["most_reviews"] == pytest.approx(96)  # 80% of 480 hours, four each
    assert cases[1]["wait_hours"] == pytest.approx(4 * 0.0441 / (3 - 0.75), rel=2e-3)  # Erlang C of 0.75 and 3
    assert cases[0]["done_days"] == pytest.approx(4 / (160 / 65), rel=0.01)  # the days go into reading, not waiting


def test_triage_saves_what_short_reviews_do_not_take(capsys: pytest.CaptureFixture[str]) -> None:
    before, after = run_command(
        capsys, *CAPACITY, "--material", "20%", "--short-hours", 0.5, "--json",
    )["cases"]  # fmt: skip
    assert (before["triaged"], after["triaged"]) == (False, True)
    assert after["hours"] == pytest.approx(15 * (0.2 * 4 + 0.8 * 0.5))
    assert after["wait_hours"] < before["wait_hours"]


def test_more_than_there_is_time_for_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    crowded = [*CAPACITY, "--grows-to", 121]
    full = run_command(capsys, *crowded, "--json")["cases"][1]
    assert full["wait_hours"] is None or full["utilisation"] > 1
    assert run_command(capsys, *CAPACITY, "--grows-to", 120, "--json")["cases"][1]["wait_hours"] is None
    assert "the queue never ends" in run_command(capsys, *crowded)


# ── (b) ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_documented_examples_come_out_as_documented(run: Any, bank: Bank) -> None:
    told = run("change", "triage", "--examples", "--json")
    assert told["passed"]
    assert [case["found"] for case in told["cases"]] == ["material", "material", "nonMaterial", "nonMaterial"]
    (bank.project.root / "triage.yaml").write_text("metricBand: 0.001%\n")  # rules that nobody wants
    told = run("change", "triage", "--examples", "--json", code=3)
    assert [case["passed"] for case in told["cases"]] == [True, True, False, True]


def test_both_classes_have_their_review(bank: Bank) -> None:
    material, small = bank.triage(3)["requires"], bank.triage(2)["requires"]
    assert (material["approvals"], material["full"], material["within"]) == (2, True, 7 * 86_400)
    assert (small["approvals"], small["full"], small["within"]) == (1, False, 86_400)
    assert "full review" in material["depth"]


def test_no_release_begins_without_its_approvals(bank: Bank) -> None:
    """The same people, two changes: one yes lets the small one go, and two the material one."""

    def ask(version: int) -> None:
        asked = Launch(model="credit", version=version, plan=PLAN, actor="olga")
        gate.require(bank.project, bank.store, bank.operations.approvals, asked, NOW)

    def sign(version: int, who: str) -> None:
        with bank.store.read() as tx:
            id = next(r.id for r in tx.approvals.list("credit") if r.version == version)
        case = bank.operations.approvals.show(id)
        bank.operations.approvals.sign(
            id, Signer(who, Role.APPROVER, own=True), meaning="approval", digest=case.reviewed.digest
        )

    for version, signers in ((2, ["bob"]), (3, ["bob", "cleo"])):
        for who in signers:
            with pytest.raises(ApprovalNeeded, match="ST1450"):
                ask(version)
            sign(version, who)
        ask(version)


# ── (c) ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_another_bureau_is_material_and_next_months_data_is_not(run: Any, bank: Bank) -> None:
    bureau = bank.triage(3)
    assert bureau["material"]
    assert [reason["text"] for reason in bureau["reasons"]] == ["source of score: credit_bureau_v2 → credit_bureau_v3"]
    month = run("change", "triage", "credit", "--from", 1, "--to", 2, "--json", code=5)
    assert month == bank.triage(2)
    assert not month["material"]
    assert any(note.startswith("data time range") for note in month["notes"])
    assert "source of score: credit_bureau_v2 → credit_bureau_v3" in run("change", "triage", "credit", code=5)


def test_small_changes_are_held_against_the_last_approved_version(bank: Bank) -> None:
    """Each month the score weighs a little more. No month is material by itself; together they are."""
    for weight in (0.72, 0.85, 0.92):
        bank.register(importances={"income": 0.41, "score": weight})
    steps = [bank.triage(v + 1, against=v) for v in (4, 5)]
    assert [step["material"] for step in steps] == [False, False]
    assert not bank.triage(5)["material"]
    last = bank.triage(6)
    assert (last["from"], last["material"]) == (1, True)
    assert "importance of score: 0.59 → 0.92 (+55.9%)" in last["reasons"][0]["text"]
    bank.operations.changes.set_baseline("credit", 5, reason="MRM-2026-020", actor="mrm", own=True)
    assert not bank.triage(6)["material"]


def test_who_made_a_version_does_not_say_that_it_was_approved(bank: Bank, run: Any) -> None:
    """Nor under another spelling, nor by a token that believes any name: it would be the way around the approvals."""
    declare = bank.operations.changes.set_baseline
    for who in ("ann", "ANN", "ann+mrm"):
        with pytest.raises(UsageError, match=r"ST1408 .* made credit v3"):
            declare("credit", 3, reason="I looked at it", actor=who, own=True)
    bank.operations.adopt("loans", "http://127.0.0.1:9/", actor="ann", owner="loans")
    with pytest.raises(UsageError, match=r"ST1408 CARL belongs to loans, who own loans"):
        declare("loans", 1, reason="we know it well", actor="CARL", own=True)
    with pytest.raises(UsageError, match="ST1407"):
        declare("credit", 3, reason="MRM-2026-020", actor="mrm", own=False)
    run("change", "baseline", "credit", 3, "--reason", "MRM-2026-020", code=2)
    assert baseline(bank) == 1
    declare("credit", 3, reason="MRM-2026-020", actor="mrm", own=True)
    assert baseline(bank) == 3


def test_a_version_is_a_baseline_once_its_rollout_is_promoted(bank: Bank) -> None:
    for id, status, expected in (("r-0001", "rolled_back", 1), ("r-0002", "promoted", 3)):
        with bank.store.begin() as tx:
            tx.rollouts.create(id, "credit", 3, 1, "{}", "{}", NOW)
            note_approved(tx, "credit", 3, id, actor="olga", now=NOW)
        assert baseline(bank) == 1  # users have not got it yet
        with bank.store.begin() as tx:
            tx.rollouts.save(id, "{}", status, expected_revision=1, active=False, now=NOW)
        assert baseline(bank) == expected


def test_without_an_approved_version_everything_is_material(tmp_path: Path) -> None:
    fresh = Bank(tmp_path, "approvals: {expires: 30d}\n")
    fresh.register()
    with fresh.store.read() as tx:
        needs = wanted(tx, fresh.project, "credit", 1)
    assert needs.level.count == 2
    assert needs.full
    fresh.close()


def test_rules_are_declared_and_a_misspelt_one_is_refused(run: Any, bank: Bank) -> None:
    bank.register(hyperparameters={"C": 0.6})
    assert bank.triage(4)["material"]
    path = bank.project.root / "triage.yaml"
    path.write_text("hyperParameters: {C: {min: 0.1, max: 1}}\n")
    assert not bank.triage(4)["material"]
    path.write_text("hyperParameter: {C: {min: 0.1, max: 1}}\n")
    with pytest.raises(AssertionError, match=r"ST1402.*did you mean 'hyperParameters'"):
        run("change", "triage", "credit", code=0)


def baseline(bank: Bank) -> int | None:
    with bank.store.read() as tx:
        found = baseline_of(tx, "credit")
    return None if found is None else found.version
