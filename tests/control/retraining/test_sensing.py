"""What the event log says: inputs and losses against the champion's first window, and data that are at fault."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seatrial.control.analyses.triggers import parse_policy
from seatrial.control.operations import Operations
from seatrial.control.retraining import documents
from seatrial.control.retraining.desk import RetrainingDesk
from seatrial.control.retraining.loop import Loop
from seatrial.control.retraining.sensing import LogSensor, Sensed
from seatrial.events.outcomes import Outcome, OutcomeLog
from seatrial.events.parts import model_directory, write_part
from seatrial.events.schema import event_schema, to_micros, to_table
from seatrial.retrain.running import Expected
from trainings import HOUR, MODEL, T0, Hands, Instant, operations_of, policy

ROWS = 400


class Log:
    """An event log that is written by the hour, and a sensor on it."""

    def __init__(self, root: Path) -> None:
        self.operations = operations_of(root)
        self.clock = self.operations.clock = Hands(T0)
        self.outcomes = OutcomeLog(self.operations.project.outcomes, clock=self.clock.now)
        self.operations.adopt(MODEL, "http://127.0.0.1:9/", actor="ann")
        self.policy = parse_policy(policy(self.operations.project), "policy")
        self.rng = np.random.default_rng(7)

    def hour(self, n: int, *, shift: float = 0.0, wrong: float = 0.1, **features: Any) -> None:
        """Scores are right except for a part ``wrong`` of them; a feature that is None is gone."""
        truth = self.rng.integers(0, 2, ROWS)
        misses = self.rng.random(ROWS) < wrong
        score = np.where(misses, 1 - truth, truth) * 0.8 + 0.1
        rows, outcomes = [], []
        for k in range(ROWS):
            at, key = T0 + HOUR * (n + k / ROWS), f"q-{n}-{k}"
            given = {"x": float(self.rng.normal() + shift), "y": 1.0, **features}
            kept = json.dumps({name: value for name, value in given.items() if value is not None})
            rows.append({
                "request_id": key, "row": 0, "outcome_key": key, "model": MODEL, "arm": "champion", "features": kept,
                "served_version": "1", "served_level": "primary", "unit": key, "time": to_micros(at),
                "score": float(score[k]),
            })  # fmt: skip
            outcomes.append(Outcome(MODEL, key, "y", float(truth[k]), at + timedelta(minutes=5)))
        directory = model_directory(self.operations.project.events, MODEL)
        write_part(directory, "log", "1.1", n, n + 1, to_table(rows, event_schema()))
        self.clock.time = T0 + (n + 1) * HOUR
        self.outcomes.append(outcomes)
        self.outcomes.convert()

    def sense(self, hours: float, **changes: Any) -> Sensed:
        sensor = LogSensor(self.operations.project, self.operations.store)
        asked = replace(self.policy, watch=replace(self.policy.watch, **changes)) if changes else self.policy
        return sensor.sense(asked, T0, T0 + hours * HOUR)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    made = Log(tmp_path / "project")
    yield made
    operations: Operations = made.operations
    operations.store.close()


def test_inputs_as_at_first_read_0_and_inputs_that_moved_do_not(log: Log) -> None:
    for n in range(2):
        log.hour(n)
    assert log.sense(1).reading.psi == {}  # the reference itself is not held against anything
    quiet = log.sense(2)
    assert (quiet.reading.psi["x"], quiet.reading.rows, quiet.failure) == (0.0, 2 * ROWS, None)
    log.hour(2, shift=1.0)
    assert log.sense(3).reading.psi["x"] > 0.25


def test_distances_are_measured_where_a_trigger_asks_for_them_and_start_a_run(log: Log) -> None:
    """By the loop, with 400 values of the log against the 400 of the champion's first hour; equal ones start none."""
    for n in range(2):
        log.hour(n, city="a")
    assert log.sense(2).reading.ks == {}
    text = policy(log.operations.project).replace("drift: 0.25", "drift: 0.1, measure: ks, features: [x, city]")
    launchers = {"process": Instant()}
    desk, loop = RetrainingDesk(log.operations, launchers), Loop(log.operations, launchers)
    desk.set(text, actor="ann")
    loop.tick()
    told = desk.test(MODEL)
    assert set(told["reading"]["ks"]) == {"score", "x", "y"}, "a city has no distance"
    assert told["unmeasured"] == [{"trigger": "inputs", "feature": "city", "measure": "ks"}]
    assert told["would"] == []
    with log.operations.store.read() as tx:
        assert documents.runs_document(tx)["runs"] == []
    log.hour(2, shift=1.0, city="a")
    loop.tick()
    with log.operations.store.read() as tx:
        (run,) = documents.runs_document(tx)["runs"]
        started = next(e for e in documents.timeline(tx, MODEL)["entries"] if e["what"] == "started")
        assert tx.audit.verify().ok
    moved = run["moved"]
    assert (moved["feature"], moved["measure"], moved["nRef"], moved["nCur"]) == ("x", "ks", ROWS, ROWS)
    assert moved["distance"] > 0.3
    assert moved["pAdjusted"] < 1e-9
    assert moved["window"] == {"start": (T0 + 2 * HOUR).isoformat(), "end": (T0 + 3 * HOUR).isoformat()}
    assert started["moved"] == moved
    assert run["cause"] == "inputs"


def test_a_loss_that_noise_explains_reads_0_and_one_that_rose_does_not(log: Log) -> None:
    for n in range(3):
        log.hour(n)
    quiet = log.sense(2.5)
    assert (quiet.reading.loss, quiet.reading.mature) == (0.0, ROWS)
    log.hour(3, wrong=0.5)
    worse = log.sense(4.5).reading.loss
    assert worse is not None
    assert worse > 0.5


def test_a_feature_that_is_gone_or_out_of_bounds_is_a_fault_of_the_data(log: Log) -> None:
    for n in range(2):
        log.hour(n)
    bounds = {"x": Expected(min=-20, max=20)}
    assert log.sense(2, columns=bounds).failure is None
    log.hour(2, y=None)
    failure = log.sense(3).failure
    assert failure is not None
    assert "no column 'y'" in failure
    log.hour(3, shift=100.0)
    failure = log.sense(4, columns=bounds).failure
    assert failure is not None
    assert "column 'x': 400 rows are above 20" in failure
