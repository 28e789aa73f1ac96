"""Exercise 29.12: a plan for a clinic and one for an auction, from the library; each is what its use asks for."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seatrial.cli import main
from seatrial.cli.plan.library import NAMES, template
from seatrial.evidence.snapshot import Evidence, MetricEvidence
from seatrial.evidence.tally import MICRO, TOTAL, UNIT_BUCKETS, Cell, Tally
from seatrial.ids import CANARY, ModelName, RolloutId, VersionNumber
from seatrial.rollout.look import take_look
from seatrial.rollout.plan import Plan
from seatrial.rollout.stages import compile_stages
from seatrial.rollout.start import start
from seatrial.rollout.state import Phase
from seatrial.rollout.validate import problems
from seatrial.rollout.verdicts import Signals
from seatrial.store.plans import check_plan, parse_plan

Call = Callable[..., dict[str, Any]]

POPULATION = {
    "standard": ["--traffic", "200k/day", "--population", "50k", "--baseline", "errors=0.001%", "--baseline",
                 "slow=0.01%", "--look-every", "1h"],
    "fast": ["--traffic", "40M/day", "--population", "100k", "--baseline", "won=10%", "--baseline", "errors=0.01%",
             "--baseline", "slow=0.02%"],
    "clinical": ["--traffic", "4k/day", "--population", "15k", "--baseline", "sensitivity=85%", "--baseline",
                 "labels_missing=2%", "--baseline", "errors=0.001%", "--look-every", "1d"],
    "regulated": ["--traffic", "20k/day", "--population", "10k", "--baseline", "log_loss=0.4", "--deviation",
                  "log_loss=0.5", "--baseline", "labels_missing=2%", "--baseline", "errors=0.001%", "--baseline",
                  "slow=0.01%", "--look-every", "1h"],
    "shadow-only": ["--traffic", "20k/day", "--population", "10k", "--baseline", "log_loss=0.4", "--deviation",
                    "log_loss=0.5", "--baseline", "errors=0.001%", "--baseline", "slow=0.01%", "--look-every", "1h"],
}  # fmt: skip


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    """The document that a command prints; it has to end well."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments: object) -> dict[str, Any]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([*map(str, arguments), "--json"])
        told = capsys.readouterr()
        assert ended.value.code in (0, None), told.err
        document: dict[str, Any] = json.loads(told.out)
        return document

    return command


def plan_of(name: str) -> Plan:
    return check_plan(parse_plan(template(name).text))


def simulated(call: Call, name: str, releases: int, *more: str, file: Path | None = None) -> list[dict[str, Any]]:
    path = file or Path(f"{name}.yaml")
    if file is None:
        path.write_text(template(name).text)
    document = call("plan", "simulate", path, *POPULATION[name], "--releases", releases, "--jobs", 1, *more)
    scenarios: list[dict[str, Any]] = document["scenarios"]
    return scenarios


@pytest.mark.parametrize("name", NAMES)
def test_a_template_can_be_honoured_explained_forecast_and_simulated(call: Call, name: str) -> None:
    path = Path(f"{name}.yaml")
    path.write_text(call("plan", "templates", name)["templates"][0]["text"])
    assert call("plan", "validate", path)["ok"]
    explained = call("plan", "explain", path)
    assert (explained["name"], bool(explained["description"])) == (name, True)
    given = zip(POPULATION[name][::2], POPULATION[name][1::2], strict=True)
    known = [word for option in given if option[0] not in ("--population", "--look-every") for word in option]
    assert call("plan", "forecast", path, *known)["schema"].startswith("seatrial.")
    scenarios = simulated(call, name, 1, "--scenario", "equal", file=path)
    assert [scenario["purpose"] for scenario in scenarios] == ["equal"]


def test_the_library_is_listed_and_a_wrong_name_is_told_the_nearest(call: Call, capsys: Any) -> None:
    listed = call("plan", "templates")["templates"]
    assert [entry["name"] for entry in listed] == [*NAMES]
    with pytest.raises(SystemExit, match="2"):
        main(["plan", "templates", "clincal"])
    told = capsys.readouterr().err
    assert "ST0303" in told
    assert "'clinical'" in told


# ── 29.12a: the clinic ─────────────────────────────────────────────────────────────────────────────────────────────


def test_the_clinical_plan_has_small_steps_least_times_positives_and_a_named_approver_at_each() -> None:
    plan = plan_of("clinical")
    stages = compile_stages(plan)
    assert [stage.weight // 100 for stage in stages] == [0, 1, 5, 10, 25, 50]
    assert stages[0].min_duration >= 14 * 86_400
    for stage in stages:
        assert stage.approval is not None
        assert stage.approval.by, "somebody is named"
        assert stage.min_duration >= 14 * 86_400
        assert stage.kind == "shadow" or stage.min_outcomes >= 200
    sensitivity = next(m for m in plan.guardrails if m.name == "sensitivity")
    assert (sensitivity.better, sensitivity.margin is not None, bool(sensitivity.justification)) == (
        "increase", True, True
    )  # fmt: skip
    assert plan.unit is not None
    assert plan.unit.header == "x-reader-id", "the reader is randomised, never the patient's request"
    assert {segment.name for segment in plan.segments} >= {"site"}


def test_the_plan_that_only_looks_gives_nobody_the_candidate() -> None:
    (stage,) = compile_stages(plan_of("shadow-only"))
    assert (stage.kind, stage.weight) == ("shadow", 0)
    assert stage.approval is not None
    assert stage.approval.by == ("nobody",)


# ── 29.12b: the auction ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_healthy_bidders_reach_everyone_within_half_an_hour_and_harm_reaches_nobody(call: Call) -> None:
    (equal,) = simulated(call, "fast", 12, "--scenario", "equal", "--seed", "3")
    (harm,) = simulated(call, "fast", 6, "--scenario", "harm", "--seed", "3")
    assert equal["ends"]["promoted"]["count"] >= 10
    assert equal["days"]["promoted"]["median"] * 24 * 60 <= 30
    assert harm["ends"]["promoted"]["count"] == 0


def test_the_fast_plan_has_stages_of_minutes_a_cap_on_what_is_spent_and_limits() -> None:
    plan = plan_of("fast")
    assert all(0 < stage.min_duration <= 10 * 60 for stage in compile_stages(plan))
    spend = next(m for m in plan.metrics if m.kind == "sum_per_time")
    assert spend.limit is not None
    assert {m.name for m in plan.guardrails if m.limit is not None} == {"errors", "slow"}
    text = template("fast").text.replace("    limit: 6000/h\n", "")
    assert [p.code for p in problems(parse_plan(text))] == ["ST0220"], "the cap cannot be left out"


@pytest.mark.parametrize(("spent", "action"), [(90.0, "hold"), (150.0, "abort")])
def test_overspend_at_a_quarter_of_the_users_ends_it_at_the_next_look(spent: float, action: str) -> None:
    """6000 an hour is 100 a minute; nothing but the limit speaks so early."""
    plan = plan_of("fast")
    begin = datetime(2026, 3, 1, 12, tzinfo=UTC)
    _, state = start(plan, RolloutId("r-1"), ModelName("bids"), VersionNumber(1), VersionNumber(2), "s", begin, "ann")
    quarter = Phase(3, 2, 2_500, 0, begin + timedelta(minutes=10))
    state = replace(state, stage=2, phases=(*state.phases, quarter))
    sums = np.zeros((UNIT_BUCKETS, 3), dtype=np.int64)
    sums[7] = (40, round(spent * MICRO), 40 * MICRO)
    tally = Tally({Cell(3, int(begin.timestamp()), TOTAL, CANARY): sums})
    at = quarter.started + plan.look_every.delta
    looked = take_look(plan, state, Evidence(at=at, metrics={"spend": MetricEvidence(tally)}), Signals())
    assert (looked.decision.action, looked.decision.weight) == (action, 0 if action == "abort" else 2_500)
    assert looked.decision.rule == ("hard_signal" if action == "abort" else "min_duration")
