"""``seatrial plan simulate``: declared traffic, the project's own log, any number of processes, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seatrial.control.project import Project
from seatrial.events.parts import model_directory, write_part
from seatrial.events.schema import OUTCOME_SCHEMA, event_schema, to_micros, to_table

PLAN = """
name: clicks
lookEvery: 10s
deadline: 6d
metrics:
  - {name: ctr, kind: proportion, outcome: click, horizon: 1h, margin: 10%}
  - {name: errors, kind: error_rate, margin: 5pp}
  - {name: returns, kind: requests_per_unit, role: signal}
steps: [{setWeight: 20%}, {pause: {duration: 1d}}, {setWeight: 50%}, {pause: {duration: 1d}}]
"""
SITE = ("--traffic", "40k/day", "--population", "10k", "--baseline", "ctr=10%", "--baseline", "errors=0.1%")
START = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.fixture
def plan(root: Path) -> str:
    (root / "p.yaml").write_text(PLAN)
    return "p.yaml"


def write_log(root: Path, *, days: int = 3, units: int = 900, requests: int = 12_000) -> None:
    """Parts as the collector writes them: requests of units by night and day, a click for one in ten of them."""
    project, rng = Project.open(root), np.random.default_rng(1)
    who = rng.integers(0, units, requests)
    when = np.sort(rng.uniform(0, days, requests))
    eager = rng.beta(2, 18, units)
    events, outcomes = [], []
    for n, (unit, day) in enumerate(zip(who.tolist(), when.tolist(), strict=True)):
        time = to_micros(START + timedelta(days=day))
        arm = "canary" if unit % 10 == 0 else "champion"
        events.append({
            "request_id": f"q{n}", "row": 0, "outcome_key": f"q{n}", "model": "shop", "arm": arm, "unit": f"u{unit}",
            "time": time, "error": bool(rng.random() < 0.002), "latency_us": 20_000,
        })  # fmt: skip
        value = float(rng.random() < eager[unit])
        told = {"key": f"q{n}", "name": "click", "time": time, "received_at": time + 60_000_000, "model": "shop"}
        outcomes += [told | {"value": 1 - value, "revision": 1}, told | {"value": value, "revision": 2}]
    for directory, rows, schema in (
        (project.events, events, event_schema()),
        (project.outcomes, outcomes, OUTCOME_SCHEMA),
    ):
        half = len(rows) // 2
        for n, part in enumerate((rows[:half], rows[half:])):
            write_part(
                model_directory(directory, "shop"), "live", "1.1", n * 1000, (n + 1) * 1000, to_table(part, schema)
            )


def test_a_declared_population(run: Any, plan: str, root: Path) -> None:
    asked = ("plan", "simulate", plan, *SITE, "--look-every", "1h", "--releases", 6, "--seed", 3, "--plot", "s.svg")
    document = run(*asked, "--json").json
    assert document["schema"] == "seatrial.simulation.v1"
    assert [s["purpose"] for s in document["scenarios"]] == ["equal", "margin", "harm", "better"]
    assert document["lookEvery"] == {"plan": "10s", "simulated": "1h"}
    harm = document["scenarios"][2]
    assert harm["effects"] == {"ctr": "-20%"}
    assert sum(end["count"] for end in harm["ends"].values()) == 6
    assert "undecided at the deadline" in (root / "s.svg").read_text()
    said = run(*asked)
    assert said.code == 0
    assert "the plan looks every 10s" in said.out
    assert "metric 'returns': a signal decides nothing" in said.out
    assert "units do not differ in their outcomes (--icc)" in said.out


def test_any_number_of_processes_tells_the_same(run: Any, plan: str) -> None:
    asked = ("plan", "simulate", plan, *SITE, "--look-every", "1h", "--releases", 9, "--scenario", "harm", "--json")
    one = run(*asked, "--effect", "ctr=-30%", "--effect", "errors=+10pp").json
    assert one["scenarios"][0]["effects"] == {"ctr": "-30%", "errors": "+10pp"}
    assert one["scenarios"][0]["ends"]["home"]["count"] == 9
    assert run(*asked, "--effect", "ctr=-30%", "--effect", "errors=+10pp", "--jobs", 2).json == one
    other = run(*asked, "--effect", "ctr=-30%", "--effect", "errors=+10pp", "--seed", 1).json
    assert other["scenarios"] != one["scenarios"]


def test_every_look_of_the_plan_unless_told_otherwise(run: Any, root: Path) -> None:
    (root / "p.yaml").write_text(PLAN.replace("10s", "15m"))
    asked = ("plan", "simulate", "p.yaml", *SITE, "--releases", 2, "--scenario", "better", "--json")
    document = run(*asked).json
    assert document["lookEvery"] == {"plan": "15m", "simulated": "15m"}
    assert document["scenarios"][0]["looks"] >= 2 * 96


def test_units_of_the_projects_own_log(run: Any, plan: str, root: Path) -> None:
    write_log(root)
    asked = ("plan", "simulate", plan, "--from-log", "shop", "--look-every", "1h", "--releases", 8, "--json")
    document = run(*asked, "--effect", "ctr=-60%", "--scenario", "equal", "--scenario", "harm").json
    traffic = document["traffic"]
    assert (traffic["kind"], traffic["days"], traffic["units"]) == ("log", 3, 810)
    assert 10_000 < traffic["exposures"] < 11_000, "the champion's, and only what has matured"
    equal, harm = document["scenarios"]
    assert equal["struck"]["count"] <= 2
    assert harm["struck"]["count"] >= 6
    assert harm["ends"]["promoted"]["count"] == 0


def test_a_log_that_would_not_fit_round_and_round(
    run: Any, plan: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_log(root, requests=2000)
    monkeypatch.setattr("seatrial.cli.plan.simulate_input._MOST_ROWS", 3000)
    said = run("plan", "simulate", plan, "--from-log", "shop")
    assert (said.code, "ST0267" in said.err, "which is 2 rounds" in said.err) == (2, True, True)


def test_resampled_units_are_whole_and_in_one_arm(root: Path) -> None:
    from seatrial.engines.exposures import exposures
    from seatrial.rollout.simulate.effects import Effect, Scenario
    from seatrial.rollout.simulate.feed import Grid, Split
    from seatrial.rollout.simulate.plan import simulable
    from seatrial.store.plans import parse_plan

    write_log(root, requests=4000)
    project = Project.open(root)
    plan, _ = simulable(parse_plan(PLAN), recorded=True)
    found = exposures(project.events, project.outcomes, plan, "shop").recorded
    assert found.values["ctr"].known.all()
    assert found.values["ctr"].champion.mean() == pytest.approx(0.1e6, rel=0.15), "the highest revision counts"
    scenario = Scenario("", "harm", {"ctr": Effect(-0.5, "relative")})
    grid = Grid(START.timestamp(), 3600.0, 3600.0)
    feed = found.feed(scenario, grid, 5 * 86_400.0, np.random.default_rng(2))
    assert len(feed.points) == 2 * found.units, "five days are two rounds through three"
    first = feed.window(0, 72, Split(3_000, 0))
    assert first.sums["ctr"].sum(axis=(0, 2))[:, 0] / len(found.unit) == pytest.approx([0.7, 0.3], abs=0.05)
    rates = first.sums["ctr"].sum(axis=(0, 2))
    assert rates[1, 1] / rates[1, 2] == pytest.approx(rates[0, 1] / rates[0, 2] / 2, rel=0.35)
    again = found.feed(scenario, grid, 5 * 86_400.0, np.random.default_rng(2)).window(0, 72, Split(3_000, 0))
    assert np.array_equal(again.sums["ctr"], first.sums["ctr"])


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ((), "ST0260", "--traffic 200k/day and --baseline NAME=VALUE, or --from-log MODEL"),
        (("--traffic", "40k"), "ST0253", "20M/day"),
        (("--traffic", "40k/day"), "ST0262", "Add --baseline ctr=5% --baseline errors=5%"),
        ((*SITE, "--baseline", "nix=3"), "ST0252", "ctr"),
        ((*SITE, "--effect", "ctr=-3"), "ST0253", "-3% (relative)"),
        ((*SITE, "--icc", "1.5"), "ST0263", "from 0 to below 1"),
        ((*SITE, "--deviation", "ctr=1"), "ST0263", "follows from its baseline"),
        ((*SITE, "--effect", "ctr=-120%"), "ST0263", "falls below zero"),
        ((*SITE, "--effect", "errors=+150pp"), "ST0263", "rises above 100%"),
        ((*SITE, "--weekly", "1,2"), "ST0253", "seven days"),
        ((*SITE, "--look-every", "7m"), "ST0264", "--look-every 1h"),
        ((*SITE, "--plot", "s.pdf"), "ST1101", ".svg or .png"),
        (("--from-log", "shop", "--icc", "0.1"), "ST0260", "--icc would declare it"),
    ],
)
def test_mistakes_are_named(run: Any, plan: str, arguments: tuple[str, ...], code: str, told: str) -> None:
    said = run("plan", "simulate", plan, *arguments)
    assert (said.code, said.out) == (2, "")
    assert code in said.err
    assert told in said.err


def test_an_empty_log_and_a_plan_without_such_a_scenario(run: Any, plan: str, root: Path) -> None:
    said = run("plan", "simulate", plan, "--from-log", "shop")
    assert (said.code, "ST0265" in said.err) == (1, True)
    (root / "p.yaml").write_text(
        "name: p\nmetrics: [{name: errors, kind: error_rate, margin: 1pp}]\nsteps: [{setWeight: 10%}]\n"
    )
    site = ("--traffic", "1k/day", "--baseline", "errors=1%")
    said = run("plan", "simulate", "p.yaml", *site, "--scenario", "margin")
    assert (said.code, "ST0266" in said.err) == (2, True)
