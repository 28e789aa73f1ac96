"""Laws of simulated releases: the same looks as live, the same seed the same release, harm is found where it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from seatrial.errors import PlanError, UsageError
from seatrial.evidence.facts import MutableFacts, Seen, UnitRow
from seatrial.evidence.tally import MICRO
from seatrial.rollout.plan import Plan
from seatrial.rollout.simulate import Outcome, Population, Values, grid_of, release, simulate
from seatrial.rollout.simulate import run as simulation
from seatrial.rollout.simulate.effects import Effect, Scenario, scenarios
from seatrial.rollout.simulate.feed import Grid, Split
from seatrial.rollout.simulate.plan import looking, simulable
from seatrial.rollout.simulate.records import RecordedFeed
from seatrial.rollout.simulate.study import Study, result
from seatrial.rollout.simulate.traffic import Declared, DeclaredFeed, Rate
from seatrial.rollout.simulate.units import Units
from seatrial.store.plans import parse_plan, plan_to_yaml
from seatrial.values import Duration

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
PLAN = parse_plan("""
name: mixed
timeBucket: 1h
lookEvery: 1h
deadline: 4d
onDeadline: abort
metrics:
  - {name: loss, kind: loss, loss: log_loss, outcome: o, horizon: 3h, margin: 6%}
  - {name: ctr, kind: proportion, outcome: c, horizon: 1h, margin: 10%}
  - {name: errors, kind: error_rate, margin: 1pp, limit: 20%}
steps:
  - shadow: {share: 100%}
  - pause: {duration: 12h}
  - setWeight: 10%
  - pause: {duration: 18h}
  - setWeight: 50%
  - pause: {duration: 12h}
""")
CTR = parse_plan("""
name: ctr
lookEvery: 1h
deadline: 5d
metrics: [{name: ctr, kind: proportion, outcome: c, horizon: 1h, margin: 5%}]
steps: [{setWeight: 20%}, {pause: {duration: 1d}}, {setWeight: 50%}, {pause: {duration: 1d}}]
""")
SITE = Declared(60_000, 8_000, {"ctr": Rate("share", 0.1, icc=0.05)})


def recorded(seed: int, harm: float) -> tuple[Population, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    n, units = 24_000, 1_500
    time = np.sort(BEGIN.timestamp() + rng.uniform(0, 5 * 86_400, n))
    unit = rng.integers(0, units, n)
    clicks = rng.beta(2, 18, units)[unit]
    ours = rng.gamma(1, 0.3, n)
    values = {
        "loss": Values(micro(ours), micro(ours * (1 + harm) + rng.normal(0, 0.05, n)), rng.random(n) < 0.95),
        "ctr": Values(
            micro(rng.random(n) < clicks), micro(rng.random(n) < clicks * (1 - harm)), np.ones(n, dtype=bool)
        ),
    }
    events = {"errors": (rng.random(n) < 0.002, rng.random(n) < 0.002 * (1 + 20 * harm))}
    return Population(time, unit, values, events), rng.integers(0, 10_000, units), rng.integers(0, 256, units)


def micro(values: np.ndarray) -> np.ndarray:
    return np.rint(values * MICRO).astype(np.int64)


def moves(outcome: Outcome) -> list[tuple[int, str, str, str]]:
    found = ("advance", "step_back", "abort", "promote")
    return [(d.look, d.action, d.rule, d.reason) for d in outcome.decisions if d.action in found]


PACED = replace(
    parse_plan(plan_to_yaml(PLAN) + "pacing: {metric: ctr, strong: 1%, maxStep: 50%}"),
    steps=parse_plan(
        "{name: p, metrics: [], steps: [{setWeight: 20%}, {pause: {duration: 1d}}, {setWeight: 50%}]}"
    ).steps,
)


@pytest.mark.parametrize(
    ("seed", "harm", "plan"), [(1, 0.0, PLAN), (2, 0.1, PLAN), (3, 0.3, PLAN), (4, -0.1, PLAN), (4, -0.4, PACED)]
)
def test_looks_that_are_left_out_would_have_changed_nothing(
    seed: int, harm: float, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = recorded(seed, harm)
    screened = simulate(plan, *given, BEGIN, BEGIN + timedelta(days=5))
    monkeypatch.setattr(simulation, "next_look", lambda case: case.after + 1)
    every = simulate(plan, *given, BEGIN, BEGIN + timedelta(days=5))
    assert moves(screened) == moves(every)
    assert screened.state == every.state
    assert len(screened.decisions) < len(every.decisions) / 2 or every.looks < 30


def test_harm_is_found_and_a_better_model_is_promoted() -> None:
    bad = simulate(PLAN, *recorded(3, 0.3), BEGIN, BEGIN + timedelta(days=5))
    assert (bad.state.status, bad.decisions[-1].rule) == ("aborted", "guardrail_harm")
    assert bad.exposed == 0, "found in shadow"
    plan = replace(PLAN, metrics=PLAN.metrics[1:2], steps=PLAN.steps[2:])
    good = simulate(plan, *recorded(4, -0.3), BEGIN, BEGIN + timedelta(days=5))
    assert good.state.status == "promoted"
    assert good.exposed > 600


def test_windows_of_any_length_tell_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Strata that are open at the end of a window go on in the next."""
    given = recorded(2, 0.1)
    plan = replace(PLAN, time_bucket=Duration.parse("1d"))
    whole = simulate(plan, *given, BEGIN, BEGIN + timedelta(days=5))
    monkeypatch.setattr("seatrial.rollout.simulate.world.LARGEST_WINDOW", 5)
    assert moves(simulate(plan, *given, BEGIN, BEGIN + timedelta(days=5))) == moves(whole)


def test_units_are_counted_as_the_real_first_facts_count_them() -> None:
    population, points, buckets = recorded(5, 0.2)
    grid = Grid(BEGIN.timestamp(), 1800.0, 3600.0)
    feed, units = RecordedFeed(population, points, buckets, grid), Units(points, ("errors",))
    rows, slot = [], 0
    for phase, split in ((1, Split(0, 10_000)), (2, Split(1_000, 0)), (3, Split(5_000, 0))):
        units.extend(phase, split, feed.window(slot, slot + 40, split))
        units.settle(30)
        inside = (population.time >= grid.begin + slot * 1800) & (population.time < grid.begin + (slot + 30) * 1800)
        for n in np.flatnonzero(inside):
            arms = ["canary" if points[population.unit[n]] < split.weight else "champion"]
            arms += ["shadow"] if split.mirrored else []
            for arm in arms:
                met = population.events["errors"][arm != "champion"][n]
                seen = Seen(int(population.time[n] * 1e6), f"{n}", phase, arm)
                rows.append(UnitRow(str(population.unit[n]), seen, frozenset({"errors"} if met else ())))
        slot += 30
    facts, ours = MutableFacts(), units.counts(0)
    facts.absorb(rows)
    told = facts.counts(live={2, 3}, mirrored={1})
    for kind in ("new", "arms", "phases", "live", "mirrored"):
        assert {k: n for k, n in getattr(ours, kind).items() if n} == dict(getattr(told, kind))
    for kind in ("firsts", "met", "touched", "shadowed"):
        assert {k: n for k, n in getattr(ours, kind)["errors"].items() if n} == dict(getattr(told, kind)["errors"])


def run(plan: Plan, source: Declared, scenario: Scenario, seed: int) -> Outcome:
    end = BEGIN + plan.deadline.delta
    return release(plan, DeclaredFeed(source, scenario, grid_of(plan, BEGIN), np.random.default_rng(seed)), BEGIN, end)


def test_the_same_seed_is_the_same_release() -> None:
    equal = Scenario("no effect", "equal", {})
    assert run(CTR, SITE, equal, 1).decisions == run(CTR, SITE, equal, 1).decisions
    assert run(CTR, SITE, equal, 1).decisions != run(CTR, SITE, equal, 2).decisions


@pytest.mark.slow
def test_promises_hold_and_planted_harm_is_found() -> None:
    study = Study(CTR, SITE, scenarios(CTR, {}), BEGIN)
    found = {
        s.purpose: result(s, [study.run(s, np.random.default_rng([7, n])) for n in range(30)]) for s in study.scenarios
    }
    assert found["equal"].struck.count <= 6, "99.9% bound of Binomial(30, 5%)"
    assert found["margin"].ends["promoted"].count <= 6, "99.9% bound of Binomial(30, 5%)"
    assert found["harm"].ends["promoted"].count <= 2
    assert found["harm"].struck.count >= 22
    assert found["better"].ends["promoted"].count >= 27
    assert found["harm"].metrics.keys() == {"ctr"}
    assert found["harm"].exposed.median is not None


def test_sums_of_a_declared_population_have_the_declared_moments() -> None:
    declared = Declared(200_000, 8_000, {"ctr": Rate("share", 0.1, icc=0.2), "basket": Rate("amount", 40.0, sd=60.0)})
    grid, split = Grid(BEGIN.timestamp(), 3600.0, 3600.0), Split(5_000, 0)
    scenario = Scenario("", "harm", {"ctr": Effect(-0.5, "relative"), "basket": Effect(4.0, "absolute")})
    drawn = [DeclaredFeed(declared, scenario, grid, np.random.default_rng(n)).window(0, 24, split) for n in range(12)]
    clicks, basket = (np.sum([w.sums[name] for w in drawn], axis=(0, 1, 3), dtype=float) for name in ("ctr", "basket"))
    assert clicks[:, 0].sum() == pytest.approx(12 * 200_000, rel=0.01)
    assert clicks[:, 1] / clicks[:, 2] == pytest.approx([0.1, 0.05], rel=0.03)
    assert basket[:, 1] / basket[:, 2] == pytest.approx([40.0, 44.0], rel=0.01)
    rates = np.array([w.sums["ctr"][:, 0, :, 1].sum(axis=0) / w.sums["ctr"][:, 0, :, 2].sum(axis=0) for w in drawn])
    units, requests = 8_000 / 2 / 256, 100_000 / 256
    between, within = 0.09 * 0.2 / units * (1 + 1 / units), 0.09 / requests
    assert rates.var() == pytest.approx(between + within, rel=0.2), "buckets differ because their units do"


@pytest.mark.parametrize("harmed", [False, True])
def test_a_dead_candidate_goes_home_at_once_and_a_sound_one_does_not(harmed: bool) -> None:
    plan = replace(PLAN, metrics=PLAN.metrics[2:])
    site = Declared(60_000, 8_000, {"errors": Rate("event", 0.001, counted=True)})
    outcome = run(plan, site, Scenario("", "harm", {"errors": Effect(0.9 * harmed, "absolute")}), 3)
    assert outcome.state.status == ("aborted" if harmed else "promoted")
    assert (outcome.looks <= 2) == harmed


def test_a_manual_pause_is_released_and_said_to_be() -> None:
    plan = replace(CTR, steps=(*CTR.steps[:2], parse_plan(MANUAL).steps[1], *CTR.steps[2:]))
    better = Scenario("better", "better", {"ctr": Effect(0.1, "relative")})
    assert "manual" in [d.rule for d in run(plan, SITE, better, 1).decisions]
    _, left = simulable(plan, recorded=False)
    assert "pause: {}" in [item.what for item in left]


MANUAL = """
name: m
metrics: [{name: e, kind: error_rate, margin: 1pp}]
steps: [{setWeight: 5%}, {pause: {}}]
"""

KEPT: Callable[[str], str] = """
name: k
metrics:
  - {{name: ctr, kind: proportion, outcome: c, horizon: 1h, margin: 5%}}
  - {0}
steps: [{{setWeight: 20%}}, {{pause: {{duration: 1d}}}}]
""".format


def test_what_cannot_be_made_is_refused_or_left_out_and_named() -> None:
    ratio = "{name: r, kind: ratio, numerator: a, denominator: b, horizon: 1h, margin: 5%}"
    with pytest.raises(PlanError, match=r"ST0261.*'r' \(ratio\).*--from-log"):
        simulable(parse_plan(KEPT(ratio)), recorded=False)
    plan, left = simulable(parse_plan(KEPT(ratio)), recorded=True)
    assert [m.name for m in plan.metrics] == ["ctr", "r"]
    assert "metric 'r'" not in [item.what for item in left]
    back = "{name: back, kind: requests_per_unit, role: signal}"
    plan, left = simulable(parse_plan(KEPT(back)), recorded=False)
    assert [m.name for m in plan.metrics] == ["ctr"]
    assert ("metric 'back'", "a signal decides nothing") in [(item.what, item.why) for item in left]
    spend = "{name: spend, kind: sum_per_time, outcome: p, role: signal, limit: 500/h}"
    _, left = simulable(parse_plan(KEPT(spend)), recorded=True)
    assert "limit of 500/h" in left[0].why


def test_looks_may_be_fewer_only_if_somebody_says_so() -> None:
    assert looking(CTR, None).look_every == CTR.look_every
    assert looking(PLAN, Duration.parse("1h")).look_every.seconds == 3600
    for wrong in ("1m", "45m", "2h"):
        with pytest.raises(UsageError, match="ST0264"):
            looking(PLAN, Duration.parse(wrong))
