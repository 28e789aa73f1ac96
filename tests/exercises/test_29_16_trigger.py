"""Exercise 29.16c: a trigger by Kolmogorov and Smirnov's test, which starts a run for what is sure *and* large only.

Samples of 200,000 values go the way of the loop: counted, compared, read, judged by the manager.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from scipy.special import ndtri

from commandline import run_command
from seatrial.cli import main
from seatrial.control.analyses.drift import Question, drift, learn
from seatrial.control.analyses.triggers import parse_policy
from seatrial.control.retraining.sensing import distances
from seatrial.engines.drift import Asked, open_table
from seatrial.retrain.lint import lint
from seatrial.retrain.manager import Reading, State, checked, finished, from_start, observed, step
from seatrial.retrain.policy import Policy, Trigger
from seatrial.retrain.shift import Distance
from seatrial.stats.drift.samples import ks_test

N = 200_000
T0 = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
POLICY = Policy(
    model="fares", primary="inputs",
    triggers=(Trigger(name="inputs", drift=0.1, measure="ks"), Trigger(name="error", performance=0.05, min_mature=100)),
)  # fmt: skip


def values(shift: float) -> Any:
    """A normal sample without chance: its quantiles."""
    return ndtri((np.arange(N) + 0.5) / N) + shift


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[float, dict[str, Distance]]:
    """What is measured of 200,000 values against as many, by how far they were shifted (standard deviations)."""
    directory = tmp_path_factory.mktemp("samples")

    def table(shift: float) -> Any:
        path = directory / f"{shift}.parquet"
        pq.write_table(pa.table({"fare": values(shift), "city": ["a", "b"] * (N // 2)}), path)
        return open_table(str(path))

    known = learn(table(0.0), Asked())
    return {shift: distances(drift(known, table(shift), Question())) for shift in (0.02, 0.5)}


def read(ks: dict[str, Distance], at: datetime, **more: Any) -> Reading:
    return Reading(at=at, since=at - timedelta(days=1), ks=ks, **more)


def apart(value: float, p: float = 0.0, n: int = N) -> dict[str, Distance]:
    return {"fare": Distance(value=value, p_value=p, n_ref=n, n_cur=n)}


def trained() -> State:
    """After a run of T0, which took an hour."""
    state, _ = step(POLICY, observed(POLICY, from_start(T0), read(apart(0.2), T0)), T0)
    return finished(state, T0 + HOUR, "registered")[0]


def seen(state: State, ks: dict[str, Distance], at: datetime) -> Any:
    return step(POLICY, observed(POLICY, state, read(ks, at)), at)


def test_1_sure_and_small_does_not_retrain_and_half_a_deviation_does(
    measured: dict[float, dict[str, Distance]],
) -> None:
    for shift, distance in ((0.02, 0.00798), (0.5, 0.19741)):
        found, exact = measured[shift]["fare"], ks_test(values(0.0), values(shift))
        assert exact.distance == pytest.approx(distance, abs=1e-5)
        assert -1e-9 < exact.distance - found.value < 0.001, "counts: never too far, and 0.001 short at most"
        assert exact.p_value * 0.999 <= found.p_value < 0.001, "certain in both cases"
    assert set(measured[0.5]) == {"fare"}, "categories have no distribution function"
    state, events = seen(from_start(T0), measured[0.02], T0)
    assert (state.running, events) == (None, ())
    state, events = seen(from_start(T0), measured[0.5], T0)
    assert [event.what for event in events] == ["started"]
    assert (state.running.cause, state.running.trigger.kind) == ("inputs", "drift")


def test_1_both_are_needed_and_the_boundaries_are_exact() -> None:
    alpha = POLICY.watch.alpha
    below, least = np.nextafter(alpha, 0), np.nextafter(0.1, 0)
    for ks, starts in (
        (apart(0.1, below), True),
        (apart(0.1, alpha), False),
        (apart(float(least), 0.0), False),
        (apart(0.9, 0.2), False),
    ):
        _, events = seen(from_start(T0), ks, T0)
        assert bool(events) is starts, ks


def test_2_many_features_are_one_family() -> None:
    """A hundred calm features in a hundred windows: at most alpha of these have a finding; one that moves is found."""
    rng, alpha = np.random.default_rng(2), 0.05
    policy = replace(POLICY, watch=replace(POLICY.watch, alpha=alpha))
    policy = replace(policy, triggers=(Trigger(name="inputs", drift=1e-9, measure="ks"), *POLICY.triggers[1:]))

    def started(p_values: Any) -> bool:
        ks = {f"f{i}": Distance(value=0.2, p_value=float(p), n_ref=500, n_cur=500) for i, p in enumerate(p_values)}
        return bool(step(policy, observed(policy, from_start(T0), read(ks, T0)), T0)[1])

    calm = [rng.random(100) for _ in range(100)]
    assert sum(started(p) for p in calm) <= 12, "5 of 100, and what chance adds to it"
    assert sum(bool((p < alpha).any()) for p in calm) > 90, "each on its own would start a run in nearly every window"
    assert all(started([1e-9, *p[1:]]) for p in calm[:5])


def test_3_the_output_says_how_far_how_sure_on_how_many_and_when(measured: dict[float, dict[str, Distance]]) -> None:
    _, (event,) = seen(from_start(T0), measured[0.5], T0)
    assert event.moved is not None
    assert event.moved.document() == {
        "feature": "fare", "measure": "ks", "distance": measured[0.5]["fare"].value, "pValue": 0.0, "pAdjusted": 0.0,
        "nRef": N, "nCur": N,
        "window": {"start": "2026-02-28T00:00:00+00:00", "end": "2026-03-01T00:00:00+00:00"},
    }  # fmt: skip
    assert event.reason.startswith("KS of fare is 0.19")
    assert "p < 1e-15, 200,000 values against 200,000" in event.reason


def test_3_it_is_suppressed_latched_and_recovers_like_any_other() -> None:
    at, end = T0 + 5 * HOUR, T0 + 24 * HOUR
    state, events = seen(trained(), apart(0.2), at)
    assert [(e.what, e.until) for e in events] == [("suppressed", end)]
    assert seen(state, apart(0.2), at + HOUR)[1] == (), "told once"
    assert [e.what for e in step(POLICY, state, end)[1]] == ["started"]
    assert [e.what for e in seen(state, apart(0.05), at + HOUR)[1]] == ["recovered"]


def test_3_critical_is_a_distance_above_028_and_nothing_else_passes() -> None:
    at = T0 + 5 * HOUR
    for ks, what in ((apart(0.28), "suppressed"), (apart(0.281), "started"), (apart(0.9, 0.2), None)):
        state, events = seen(trained(), ks, at)
        assert [e.what for e in events] == ([] if what is None else [what])
        if what == "started":
            assert state.running.bypassed
            later = finished(state, at + HOUR, "registered")[0]
            assert [e.what for e in seen(later, ks, at + 2 * HOUR)[1]] == ["suppressed"], "a limit of its own"
    high = replace(POLICY, critical=replace(POLICY.critical, ks=1.0))
    _, events = step(high, observed(high, trained(), read(apart(0.9), at)), at)
    assert [e.what for e in events] == ["suppressed"], "1: never"
    state, events = step(POLICY, observed(POLICY, trained(), Reading(at=at, psi={"fare": 0.9})), at)
    assert events == (), "a trigger by distance is not asked about PSI"


def test_3_one_run_whatever_came_first_and_none_on_bad_data() -> None:
    at = T0 + 30 * HOUR
    readings = [read(apart(0.2), at), Reading(at=at, loss=0.2, mature=500), read(apart(0.15, 1e-6), at)]
    runs = []
    for order in permutations(readings):
        state = trained()
        for reading in order:
            state = observed(POLICY, state, reading)
        state, _ = step(POLICY, state, at)
        runs.append(state.running)
    assert all(run == runs[0] for run in runs)
    assert (runs[0].cause, runs[0].trigger.trigger, runs[0].trigger.value) == ("inputs", "inputs", 0.2)
    assert [one.trigger for one in runs[0].evidence] == ["error"]
    _, events = seen(checked(trained(), "40% of fare are null"), apart(0.2), at)
    assert [e.what for e in events] == ["paged", "blocked"]


TEXT = {"model": "fares", "primary": "inputs", "triggers": [{"name": "inputs", "drift": 0.1, "measure": "ks"},
        {"name": "weekly", "schedule": "0 2 * * 0"}]}  # fmt: skip


def test_explained_on_a_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    Path("policy.yaml").write_text(yaml.safe_dump(TEXT))
    entry = {"at": "2026-03-03 04:00", "window": "1d"}
    for distance, p, runs in ((0.00798, 5.9e-6, 0), (0.1974, 0.0, 1)):
        ks = {"fare": {"distance": distance, "reference": N, "current": N}}
        Path("history.yaml").write_text(yaml.safe_dump([entry | {"ks": ks}]))
        told = run_command(capsys, "trigger", "explain", "policy.yaml", "history.yaml", "--json")
        assert len(told["runs"]) == runs
        for run in told["runs"]:
            assert run["moved"]["pValue"] == pytest.approx(p, rel=0.02)
            assert (run["moved"]["nRef"], run["moved"]["window"]["start"]) == (N, "2026-03-02T04:00:00+00:00")
    Path("history.yaml").write_text(
        yaml.safe_dump([entry | {"ks": {"fare": {"distance": 1.2, "reference": 9, "current": 9}}}])
    )
    with pytest.raises(SystemExit) as ended:
        main(["trigger", "explain", "policy.yaml", "history.yaml"])
    assert (ended.value.code, "ST0390" in capsys.readouterr().err) == (2, True)


@pytest.mark.parametrize(
    ("trigger", "said"),
    [
        ({"name": "x", "volume": 5, "measure": "ks"}, "measure belongs to drift"),
        ({"name": "x", "drift": 1.5, "measure": "ks"}, "1.5 is never reached"),
        ({"name": "x", "drift": 0.28, "measure": "ks"}, "begins at KS 0.28, where drift is critical already"),
    ],
)
def test_what_is_not_meant_is_told(trigger: dict[str, Any], said: str) -> None:
    policy = parse_policy(yaml.safe_dump(TEXT | {"triggers": [trigger]}), "policy")
    assert any(said in finding.text for finding in lint(policy))
    assert not [finding for finding in lint(parse_policy(yaml.safe_dump(TEXT), "policy")) if finding.level == "error"]
