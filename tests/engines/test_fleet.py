"""Rollouts that are summed up together see what each of them sees alone."""

import random
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from seatrial.engines.evidence import EvidenceBuilder, FleetEvidence
from seatrial.events.parts import model_directory, write_part
from seatrial.events.schema import OUTCOME_SCHEMA, event_schema, from_micros, to_micros, to_table
from seatrial.evidence.codec import to_document
from seatrial.rollout.metric import Metric
from seatrial.rollout.plan import Plan, Segment
from seatrial.values import Duration, Margin

D = Duration.parse
STARTED = datetime.fromisoformat("2026-03-01T10:00:00Z")
MINUTE = timedelta(minutes=1)

SHARED = Plan(
    name="shared",
    steps=(),
    segments=(Segment(name="origin", field="origin"),),
    time_bucket=D("1h"),
    look_every=D("10m"),
    metrics=(
        Metric(name="errors", kind="error_rate"),
        Metric(name="load", kind="requests_per_unit"),
        Metric(name="clicks", kind="proportion", outcome="click", horizon=D("20m")),
        Metric(name="brier", kind="loss", loss="brier", outcome="click", horizon=D("20m")),
    ),
)
RENAMED = replace(
    SHARED,
    name="renamed",
    metrics=tuple(replace(m, name=f"my {m.name}", margin=Margin.parse("7%")) for m in SHARED.metrics),
)
OTHER = replace(SHARED, segments=(), metrics=(Metric(name="slow", kind="latency", threshold=D("250ms")),))

FLEET = {
    "r-1": ("a", SHARED, STARTED),
    "r-2": ("b", RENAMED, STARTED + 3 * MINUTE),
    "r-3": ("c", OTHER, STARTED + 7 * MINUTE),
    "r-4": ("d", SHARED, STARTED + 11 * MINUTE),
}
"""The model, the plan and the start of each rollout: their ticks lie apart."""


def write_logs(root: Path, seed: int) -> None:
    """Logs of which request ids, units and outcome keys are the same in every model, and their values are not."""
    for rollout, (model, _, _) in FLEET.items():
        rng = random.Random(f"{seed} {rollout}")
        rows, outcomes = [], []
        for n in range(150):
            time = to_micros(STARTED) + rng.randrange(180 * 60) * 1_000_000
            arm = rng.choice(["champion", "champion", "canary", "shadow"])
            row = {
                "request_id": f"q{n}", "row": 0, "outcome_key": f"k{n}", "model": model, "rollout": rollout, "phase": 1,
                "arm": arm, "unit": f"u{n % 40}", "bucket": n % 40, "time": time, "error": rng.random() < 0.2,
                "latency_us": rng.randrange(500_000), "score": rng.random(), "seg_origin": rng.choice(["x", "y"]),
            }  # fmt: skip
            rows.append(row)
            became = time + rng.randrange(40 * 60) * 1_000_000
            outcomes.append(
                {"key": f"k{n}", "name": "click", "value": float(rng.random() < 0.5), "time": became, "revision": 0,
                 "received_at": became + rng.choice([0, 600_000_000]), "model": model}
            )  # fmt: skip
        for name, records, schema in (
            ("events", rows, event_schema(["origin"])),
            ("outcomes", outcomes, OUTCOME_SCHEMA),
        ):
            for start, end in pairwise([0, 40, 90, 150]):
                directory = model_directory(root / name, model)
                write_part(directory, "live", "1a.2b", start, end, to_table(records[start:end], schema))


def fleet(root: Path) -> FleetEvidence:
    evidence = FleetEvidence(root / "events", root / "outcomes")
    for rollout, (model, plan, started) in FLEET.items():
        evidence.watch(plan, rollout, model, started)
    return evidence


def alone(root: Path, rollout: str, at: datetime) -> dict:
    model, plan, started = FLEET[rollout]
    built = EvidenceBuilder(root / "events", root / "outcomes", plan, rollout, model, started)
    built.advance(at)
    found = to_document(built.snapshot(live={1}, mirrored={1}))
    built.close()
    return found


def together(evidence: FleetEvidence, rollout: str) -> dict:
    return to_document(evidence.snapshot(rollout, live={1}, mirrored={1}))


@pytest.mark.parametrize("at_once", [pytest.param(500_000, marks=pytest.mark.slow), 60])
def test_together_is_what_each_sees_alone_whoever_is_due_when(tmp_path, monkeypatch, at_once):
    """At a tick some are due and some are not; in small rounds a tick is cut up between rollouts."""
    monkeypatch.setattr("seatrial.engines.pool.AT_ONCE", at_once)
    monkeypatch.setattr("seatrial.engines.source.AT_ONCE", at_once)
    monkeypatch.setattr("seatrial.engines.pool._READ_AT_ONCE", 1)
    monkeypatch.setattr("seatrial.engines.pool._PRUNE_AT", 1)
    rng = random.Random(at_once)
    write_logs(tmp_path, seed=1)
    evidence, seen = fleet(tmp_path), {}
    for tick in range(4, 23, 3):
        due = {r: s + tick * 10 * MINUTE for r, (_, _, s) in FLEET.items() if tick == 22 or rng.random() < 0.5}
        assert evidence.advance(due) == {}
        seen |= due
    for rollout, at in seen.items():
        assert together(evidence, rollout) == alone(tmp_path, rollout, at), rollout
    assert together(evidence, "r-1")["metrics"]["clicks"] != together(evidence, "r-4")["metrics"]["clicks"]
    assert together(evidence, "r-2")["units"]["firsts"].keys() == {"my errors"}
    evidence.close()


def test_one_that_is_forgotten_is_summed_up_anew_and_the_others_stay(tmp_path):
    write_logs(tmp_path, seed=2)
    evidence, at = fleet(tmp_path), STARTED + 180 * MINUTE
    evidence.advance(dict.fromkeys(FLEET, at))
    before = {rollout: together(evidence, rollout) for rollout in FLEET}
    evidence.forget("r-1")
    assert "r-1" not in evidence
    model, plan, started = FLEET["r-1"]
    evidence.watch(plan, "r-1", model, started)
    assert together(evidence, "r-1") != before["r-1"]
    evidence.advance(dict.fromkeys(FLEET, at))
    assert {rollout: together(evidence, rollout) for rollout in FLEET} == before
    evidence.advance(dict.fromkeys(FLEET, at + 30 * MINUTE))
    assert together(evidence, "r-1") == alone(tmp_path, "r-1", at + 30 * MINUTE)


def test_a_part_that_cannot_be_read_stops_its_own_rollout_alone(tmp_path):
    write_logs(tmp_path, seed=3)
    evidence, at = fleet(tmp_path), STARTED + 100 * MINUTE
    broken = sorted(model_directory(tmp_path / "events", "a").iterdir())[1]
    whole = broken.read_bytes()
    broken.write_bytes(whole[:-4] + b"PAR?")
    assert list(evidence.advance(dict.fromkeys(FLEET, at))) == ["r-1"]
    assert together(evidence, "r-4") == alone(tmp_path, "r-4", at)
    broken.write_bytes(whole)
    assert evidence.advance(dict.fromkeys(FLEET, at)) == {}
    assert together(evidence, "r-1") == alone(tmp_path, "r-1", at)


def test_a_log_that_cannot_be_summed_up_stops_its_own_rollout_alone(tmp_path):
    """A bucket that there is not: adding up fails for everybody it is added up with."""
    write_logs(tmp_path, seed=4)
    row = {
        "request_id": "q", "row": 0, "outcome_key": "k", "rollout": "r-1", "phase": 1, "arm": "champion", "unit": "u",
        "bucket": 300, "time": to_micros(STARTED) + 1, "error": False,
    }  # fmt: skip
    write_part(
        model_directory(tmp_path / "events", "a"), "live", "9.9", 0, 9, to_table([row], event_schema(["origin"]))
    )
    evidence, at = fleet(tmp_path), from_micros(to_micros(STARTED) + 6_000_000_000)
    assert list(evidence.advance(dict.fromkeys(FLEET, at))) == ["r-1"]
    for rollout in ("r-2", "r-3", "r-4"):
        assert together(evidence, rollout) == alone(tmp_path, rollout, at), rollout
    assert list(evidence.advance(dict.fromkeys(FLEET, at + 10 * MINUTE))) == ["r-1"]
    assert together(evidence, "r-4") == alone(tmp_path, "r-4", at + 10 * MINUTE)


def test_what_is_raised_in_between_is_raised(tmp_path):
    from seatrial.store.leases import LeaseLost

    def lost() -> None:
        raise LeaseLost("ST0622", "Somebody else has taken over.")

    write_logs(tmp_path, seed=5)
    evidence = fleet(tmp_path)
    with pytest.raises(LeaseLost):
        evidence.advance(dict.fromkeys(FLEET, STARTED + 60 * MINUTE), lost)
    assert evidence.advance(dict.fromkeys(FLEET, STARTED + 60 * MINUTE)) == {}
    assert together(evidence, "r-1") == alone(tmp_path, "r-1", STARTED + 60 * MINUTE)
