"""``plan forecast``: from declared traffic and from a model's log, with what it refuses."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seatrial.control.project import Project
from seatrial.control.recorder import put_evidence, record
from seatrial.control.states import state_from_json
from seatrial.evidence.facts import UnitCounts
from seatrial.evidence.snapshot import Evidence, MetricEvidence
from seatrial.evidence.tally import MICRO, TOTAL, UNIT_BUCKETS, Cell, Tally
from seatrial.rollout.decide import decide, evolve
from seatrial.rollout.verdicts import Judgement, Signals
from seatrial.store.artifacts import ArtifactStore
from seatrial.store.db import Store
from seatrial.store.plans import plan_from_json

PLAN = """
name: catalog
metrics:
  - {name: ctr, kind: proportion, outcome: click, horizon: 1h, margin: 0.5%}
  - {name: errors, kind: error_rate, margin: 0.5pp}
steps:
  - setWeight: 10%
  - pause: {duration: 7d}
"""
TRAFFIC = ("--traffic", "20M/day", "--baseline", "ctr=5.2%")


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A plan, and no project."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN)
    return path


def test_declared_traffic(run: Any, plan: Path) -> None:
    said = run("plan", "forecast", plan, *TRAFFIC, "--units", "2M/day", "--baseline", "errors=0.1%", "--effect", "1%")
    assert said.code == 0
    figures = ("5.71 days", "3.17 days", "3.51 days", "2,000,000 units", "z(1-alpha/2)", "CHANCE", "1% worse")
    advice = ("calendar: weekly cycle", "◀ recommended", "Recommended share: 5% for 7d", "the deadline is 30d")
    for words in (*figures, *advice):
        assert words in said.out, words


def test_the_document(run: Any, plan: Path) -> None:
    document = run("plan", "forecast", plan, *TRAFFIC, "--design-effect", "ctr=2.5", "--json").json
    assert document["schema"] == "seatrial.forecast.v1"
    assert document["traffic"]["ctr"]["designEffect"] == 2.5
    (stage,) = document["stages"]
    assert (stage["binding"]["kind"], stage["binding"]["by"], stage["recommended"]) == ("sample", "sample", 14)
    assert document["comparisons"][0]["equalDays"] == pytest.approx(5.71 * 2.5, abs=0.01)
    assert document["sights"][0]["metric"] == "ctr"
    assert [row["share"] for row in document["shares"]["rows"]] == [0.01, 0.05, 0.1, 0.25, 0.5]
    assert document["shares"]["recommended"]["share"] == 0.25
    assert document["problems"] == []
    assert document["unknown"] == []


def test_no_number_of_a_document_is_infinite(run: Any, plan: Path) -> None:
    plan.write_text(PLAN.replace("0.5pp", "50%"))
    said = run("plan", "forecast", plan, *TRAFFIC, "--json")
    assert said.code == 2, "a relative margin of errors that never happen is never proven"
    document = json.loads(said.out, parse_constant=pytest.fail)
    assert document["days"] is None
    assert document["problems"][0]["code"] == "ST0250"
    assert "never" in run("plan", "forecast", plan, *TRAFFIC).out


def test_what_is_not_known_is_said(run: Any, plan: Path) -> None:
    said = run("plan", "forecast", plan, "--traffic", "20M/day")
    assert said.code == 0
    assert "not known: ctr" in said.out


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_a_picture(run: Any, plan: Path, suffix: str) -> None:
    picture = plan.with_suffix(suffix)
    assert run("plan", "forecast", plan, *TRAFFIC, "--plot", picture).code == 0
    assert picture.read_bytes()[:4] in (b"<svg", b"\x89PNG")


@pytest.mark.parametrize(
    ("old", "new", "flags", "code", "remedy"),
    [
        ("0.5%", "0.1%", TRAFFIC, "ST0250", "later deadline"),
        ("", "", (*TRAFFIC, "--historic", "ctr=0.8%"), "ST0251", "Take a margin of 0.4%"),
        ("", "", (*TRAFFIC, "--historic", "ctr=0.8pp"), "ST0256", "same unit"),
        ("margin: 0.5%", "historicEffect: 0.9%, margin: 0.5%", TRAFFIC, "ST0251", "marginAtMost"),
        ("0.5%", "-0.01", TRAFFIC, "ST0200", "3% (relative)"),
        ("0.5%", "0.01", TRAFFIC, "ST0200", "3% (relative)"),
        ("kind: proportion, outcome: click", "kind: ratio, numerator: clicks", TRAFFIC, "ST0214", "Name both outcomes"),
        ("", "", ("--traffic", "20M"), "ST0253", "20M/day"),
        ("", "", (*TRAFFIC, "--power", "1"), "ST0253", "80%"),
        ("", "", (*TRAFFIC, "--baseline", "cvr=1%"), "ST0252", "ctr"),
        ("", "", (*TRAFFIC, "--baseline", "ctr"), "ST0252", "NAME=VALUE"),
        ("", "", (*TRAFFIC, "--margin-at-most", "half"), "ST0253", "50%"),
        ("", "", (*TRAFFIC, "--effect", "-0.01"), "ST0888", "--effect 2%"),
        ("", "", (), "ST0254", "--traffic"),
        ("", "", ("--traffic", "1M/day", "--baseline", "ctr=120%"), "ST0255", "--baseline"),
        ("", "", ("--traffic", "1M/day", "--plot", "p.svg"), "ST0257", "--plot"),
    ],
)  # fmt: skip
def test_refused(run: Any, plan: Path, old: str, new: str, flags: Any, code: str, remedy: str) -> None:
    plan.write_text(PLAN.replace(old, new) if old else PLAN)
    said = run("plan", "forecast", plan, *flags)
    assert said.code == 2
    assert said.err.startswith(f"✖ {code}"), said.err
    assert remedy in said.err


def test_a_margin_within_the_historic_effect_is_fine(run: Any, plan: Path) -> None:
    assert run("plan", "forecast", plan, *TRAFFIC, "--historic", "ctr=1%").code == 0
    assert run("plan", "forecast", plan, *TRAFFIC, "--historic", "ctr=1%", "--margin-at-most", "40%").code == 2
    plan.write_text(PLAN.replace("margin: 0.5%", "historicEffect: 0.8%, margin: 0.5%") + "marginAtMost: 70%\n")
    assert run("plan", "validate", plan).code == 0
    assert run("plan", "forecast", plan, *TRAFFIC).code == 0
    assert run("plan", "validate", plan, "--json").json["ok"] is True


# ── from the log ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def logged(shop: Path, idle: Any) -> Path:
    """Model fraud after 21 days of a rollout: 10,000 requests on weekdays, half of that at weekends, 20% clicks."""
    path = shop / "plan.yaml"
    path.write_text(PLAN.replace("0.5%", "5%").replace("7d}", "21d}"))
    project = Project.open(shop)
    with Store.open(project.store_url) as store:
        operations = idle(project, store)
        from seatrial.store.plans import read_plan

        name = operations.start_rollout("fraud", 2, read_plan(path), actor="ann")
        with store.begin() as tx:
            stored = tx.rollouts.get(name)
            plan, state = plan_from_json(json.loads(stored.plan)), state_from_json(stored.state)
            at = state.started + timedelta(days=21)
            digest = put_evidence(ArtifactStore(project.artifacts), _evidence(at))
            decision = decide(plan, state, Judgement(units=5_000), Signals(), at)
            after = evolve(state, Judgement(), decision)
            record(tx, decision, after, revision=stored.revision, digest=digest, store_decision=True)
    return path


def _evidence(at: Any) -> Evidence:
    rng = np.random.default_rng(5)
    first = int((at - timedelta(days=21)).timestamp()) // 86_400
    clicks, failed = {}, {}
    for day in range(first, first + 21):
        busy = 40 if (day + 3) % 7 < 5 else 20  # day 0 was a Thursday
        for arm, share in (("champion", 0.9), ("canary", 0.1)):
            n = np.full(UNIT_BUCKETS, round(busy * share))
            cell = Cell(1, day * 86_400, TOTAL, arm)  # type: ignore[arg-type]
            clicks[cell] = np.stack([n, rng.binomial(n, 0.2) * MICRO, n * MICRO], axis=1).astype(np.int64)
            failed[cell] = np.stack([n, 0 * n, n * MICRO], axis=1).astype(np.int64)
    units = UnitCounts(arms={"champion": 90_000, "canary": 10_000}, touched={"errors": {"champion": 90}})
    return Evidence(
        at=at, metrics={"ctr": MetricEvidence(Tally(clicks)), "errors": MetricEvidence(Tally(failed))}, units=units
    )


def test_traffic_of_a_model(run: Any, logged: Path) -> None:
    document = run("plan", "forecast", logged, "--model", "fraud", "--json").json
    seen = document["traffic"]["ctr"]
    assert seen["rate"] == pytest.approx(0.2, abs=0.005)
    assert seen["designEffect"] == pytest.approx(1, rel=0.3)
    assert seen["weekly"] == pytest.approx(2, rel=0.05)
    assert document["traffic"]["errors"]["rate"] == pytest.approx(0.001)
    assert "the busiest weekday" in document["rhythm"]
    explained = run("plan", "explain", logged, "--model", "fraud", "--json").json
    assert explained["forecast"] == document["sights"], "the same numbers wherever they are asked for"
    assert "ctr" in run("plan", "explain", logged, "--model", "fraud").out


def test_every_command_refuses_the_same_margin(run: Any, logged: Path) -> None:
    assert run("plan", "validate", logged, "--model", "fraud").code == 0
    assert "ST0250" not in run("plan", "explain", logged, "--model", "fraud").out
    logged.write_text(PLAN.replace("0.5%", "0.2%"))
    refused = run("plan", "forecast", logged, "--model", "fraud", "--json")
    assert (refused.code, [p["code"] for p in refused.json["problems"]]) == (2, ["ST0250"])
    validated = run("plan", "validate", logged, "--model", "fraud", "--json")
    assert (validated.code, validated.json["problems"]) == (2, refused.json["problems"])
    assert refused.json["problems"][0]["text"] in run("plan", "explain", logged, "--model", "fraud").out
    assert run("plan", "validate", logged).code == 0, "without traffic nothing is wrong with it"


def test_flags_count_more_than_the_log(run: Any, logged: Path) -> None:
    one = run("plan", "forecast", logged, "--model", "fraud", "--json").json
    ten = run(
        "plan", "forecast", logged, "--model", "fraud", "--traffic", "1M/day", "--design-effect", "2", "--json"
    ).json
    volume = 1e6 / one["traffic"]["ctr"]["exposuresPerDay"]
    noise = 2 / one["traffic"]["ctr"]["designEffect"]
    ratio = one["comparisons"][0]["boundaryDays"] / ten["comparisons"][0]["boundaryDays"]
    assert ratio == pytest.approx(volume / noise)
    assert (
        run("plan", "forecast", logged, "--model", "fraud", "--baseline", "ctr=5%", "--json").json["traffic"]["ctr"][
            "source"
        ]
        == "declared"
    )


def test_a_log_of_values_that_were_not_capped_says_nothing_of_capped_ones(run: Any, logged: Path) -> None:
    mean = PLAN.replace("0.5%", "5%").replace("kind: proportion", "kind: mean")
    known, unknown = (logged.parent / f"{name}.yaml" for name in ("known", "unknown"))
    known.write_text(mean)
    unknown.write_text(mean.replace("margin: 5%", "margin: 5%, cap: 3", 1))
    assert "ctr" in run("plan", "forecast", known, "--model", "fraud", "--json").json["traffic"]
    document = run("plan", "forecast", unknown, "--model", "fraud", "--json").json
    assert (list(document["traffic"]), document["unknown"]) == (["errors"], ["ctr"])


def test_a_heavy_tail_is_waited_for(run: Any, plan: Path) -> None:
    plan.write_text(PLAN.replace("kind: proportion", "kind: mean").replace("0.5%", "5%"))
    given = ("--traffic", "100k/day", "--baseline", "ctr=48", "--deviation", "ctr=96", "--json")
    even = run("plan", "forecast", plan, *given).json["stages"][0]
    tailed = run("plan", "forecast", plan, *given, "--skewness", "ctr=120").json["stages"][0]
    assert even["binding"]["by"] != "start rule"
    assert tailed["binding"]["by"] == "start rule"
    assert "'cap' them in the plan" in tailed["binding"]["text"]
    assert tailed["binding"]["days"] > even["binding"]["days"]


def test_a_model_without_a_past_needs_flags(run: Any, shop: Path) -> None:
    (shop / "plan.yaml").write_text(PLAN)
    assert run("plan", "forecast", "plan.yaml", "--model", "fraud").err.startswith("✖ ST0254")
    assert run("plan", "forecast", "plan.yaml", "--model", "nix", *TRAFFIC).code == 1
    assert run("plan", "forecast", "plan.yaml", "--model", "fraud", *TRAFFIC).code == 0
