"""A log judged at its end says what a rollout said that watched it grow."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from runpy import run_path

import pytest

from seatrial.control.analyses.canary import Question, analyze
from seatrial.engines.evidence import EvidenceBuilder
from seatrial.engines.inputs import open_log
from seatrial.events.parts import model_directory, write_part
from seatrial.events.schema import OUTCOME_SCHEMA, event_schema, to_micros, to_table
from seatrial.rollout.gates import judge
from seatrial.rollout.plan import Plan
from seatrial.rollout.stages import compile_stages
from seatrial.rollout.state import Phase, RolloutState
from seatrial.rollout.verdicts import Judgement
from seatrial.store.plans import read_plan
from seatrial.values import Duration

EXAMPLE = Path(__file__).parents[2] / "examples" / "analyze"
BEGIN, RAMP, END = (datetime(2026, 3, day, tzinfo=UTC) for day in (1, 4, 9))
PHASES = (Phase(1, 0, 1_000, 0, BEGIN), Phase(2, 1, 5_000, 0, RAMP))
STATE = {"rollout": "r-1", "model": "m", "champion": 1, "candidate": 2, "salt": "", "started": BEGIN}


@pytest.fixture(scope="module")
def plan() -> Plan:
    """The example's, looked at daily: nothing here depends on how often."""
    return replace(read_plan(EXAMPLE / "plan.yaml"), look_every=Duration.parse("1d"))


def watched(log: Path, root: Path, plan: Plan) -> Judgement:
    """What the last of the daily looks says, the planned looks of the days before closed as they come."""
    write_events(log, root)
    builder = EvidenceBuilder(root / "events", root / "outcomes", plan, "r-1", "m", BEGIN)
    stages = compile_stages(plan)
    state = RolloutState(**STATE, phases=PHASES[:1], confirmed=True)  # type: ignore[arg-type]
    for day in range(1, 9):
        at = BEGIN + timedelta(days=day)
        phases = tuple(phase for phase in PHASES if phase.started < at)
        state = replace(state, phases=phases, stage=phases[-1].stage)
        builder.advance(at)
        evidence = builder.snapshot(live=[phase.number for phase in phases], mirrored=())
        said = judge(plan, stages[state.stage], state.stage == 1, state, evidence)
        state = replace(state, closed=tuple(sorted({*state.closed, *said.closed})))
    builder.close()
    return said


def write_events(log: Path, root: Path) -> None:
    """The example's log as a project captures it."""
    events, outcomes = [], []
    with log.open() as file:
        for n, row in enumerate(csv.DictReader(file)):
            time = to_micros(datetime.fromisoformat(row["time"]).replace(tzinfo=UTC))
            events.append({
                "request_id": f"r{n}", "row": 0, "outcome_key": f"r{n}", "model": "m", "rollout": "r-1",
                "phase": 1 if time < to_micros(RAMP) else 2, "arm": "canary" if row["version"] == "v8" else "champion",
                "unit": row["user"], "bucket": int(row["bucket"]), "time": time, "error": row["failed"] == "1",
                "score": float(row["prediction"]), "latency_us": round(float(row["latency_ms"]) * 1000),
                "seg_country": row["country"],
            })  # fmt: skip
            outcomes.append({"key": f"r{n}", "name": "bought", "value": float(row["bought"]), "time": time,
                             "revision": 0, "received_at": time, "model": "m"})  # fmt: skip
    for name, rows, schema in (("events", events, event_schema(["country"])), ("outcomes", outcomes, OUTCOME_SCHEMA)):
        write_part(model_directory(root / name, "m"), name, "1a.2b", 0, 1, to_table(rows, schema))


def write_log(log: Path, sales: float) -> None:
    """The example's, smaller, with the place of each unit that a table without buckets is given."""
    main = run_path(str(EXAMPLE / "make_visits.py"))["main"]
    main.__globals__["VISITS"] = 30_000
    main(str(log), sales)
    with log.open() as file:
        header, *rows = csv.reader(file)
    with log.open("w", newline="") as file:
        places = ([*row, hashlib.md5(row[0].encode()).digest()[0]] for row in rows)
        csv.writer(file).writerows([[*header, "bucket"], *places])


@pytest.mark.parametrize("sales", [pytest.param(1.0, marks=pytest.mark.slow), 0.9])
def test_a_log_is_judged_as_a_rollout_was(tmp_path: Path, plan: Plan, sales: float) -> None:
    log = tmp_path / "visits.csv"
    write_log(log, sales)
    wanted = watched(log, tmp_path, plan)
    source = open_log(str(log))
    arms = {"champion": "v7", "canary": "v8"}
    question = Question(plan=plan, arms=arms, splits=("2026-03-01=10%", "2026-03-04=50%"), at=END)  # type: ignore[arg-type]
    found = analyze(source, question)
    source.close()
    assert found.looked.decision.verdicts == wanted.verdicts
    assert found.looked.decision.units == wanted.units
    assert (found.result == "fail") == (sales < 1.0)
    assert "log_loss/live/pass" in found.looked.state.closed, "the log goes beyond what was planned"
