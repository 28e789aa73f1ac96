"""Exercise 29.24(c): what a trigger starts ends at a candidate and a ticket, and learns from no locked test set."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seatrial.control.changes.test_sets import hashed
from seatrial.control.retraining import documents
from seatrial.control.retraining.desk import RetrainingDesk
from seatrial.control.retraining.loop import Loop
from seatrial.governance.change_delta import delta
from seatrial.ids import Digest
from seatrial.registry.lineage import ArtifactLineage, CodeRef, DataRef, ModelRef
from seatrial.registry.version import Serving
from seatrial.training.launcher import Job
from trainings import MODEL, T0, Hands, Instant, Readings, operations_of, policy

ENVELOPE = """
name: newer rows
cumulative: none
modifications:
  - name: training on newer rows
    rationale: the world changes
    changes: [data digest, data time range, model digest]
    protocol: {dataManagement: a, retraining: b, evaluation: c, update: d}
    criteria: [{metric: auc, step: holdout, min: 0.8}]
    impact: {benefit: x, risk: y, mitigation: z}
"""
PLAN = """
name: slow
timeBucket: 1h
lookEvery: 1h
deadline: 9d
metrics: [{name: errors, kind: error_rate, margin: 10pp}]
steps: [{setWeight: 10%}, {pause: {duration: 8h}}]
"""
OLD = Digest("sha256:" + "0" * 64)


class Told(Instant):
    """A training that also tells what a triage has to know, and leaves its rows."""

    first_row = 100

    def start(self, job: Job) -> None:
        super().start(job)
        told = json.loads(job.result.read_text())
        rows = range(self.first_row, self.first_row + 10)
        pq.write_table(pa.table({"study": list(rows)}), job.directory / "rows.parquet")
        told["data"] |= {"target": "a finding", "population": "adults", "file": "rows.parquet"}
        job.result.write_text(json.dumps({**told, "algorithm": "logistic regression"}))


class Clinic:
    """v1 serves; drift starts a training whose policy would release what it makes."""

    def __init__(self, root: Path) -> None:
        self.operations = operations_of(root)
        self.clock, self.sensor, self.launcher = Hands(), Readings(), Told()
        self.operations.clock = self.clock  # type: ignore[assignment]
        lineage = ArtifactLineage(CodeRef("1f0c2aa", dirty=False), DataRef(OLD, 10), ModelRef(OLD, "none"))
        serving = Serving(kind="artifact", artifact=OLD, format="skops", features=("x",))
        self.operations.register(MODEL, serving, lineage, actor="ann")
        with self.operations.store.begin() as tx:
            tx.models.move_pointer(MODEL, "champion", expected=None, to=1, actor="ann", now=T0)
        (root / "plans").mkdir()
        (root / "plans" / "slow.yaml").write_text(PLAN)
        known: Any = {"process": self.launcher}
        RetrainingDesk(self.operations, known).set(policy(self.operations.project, plan="slow"), actor="ann")
        self.loop = Loop(self.operations, known, clock=self.clock, sensor=self.sensor)

    def declare(self) -> None:
        """From now on its changes are declared."""
        self.operations.changes.set_envelope(
            MODEL, ENVELOPE, source="e.yaml", reason="K261234", actor="ra", own=True
        )  # fmt: skip

    def drift(self) -> dict[str, Any]:
        """The run that it starts."""
        self.sensor.psi = {"x": 0.35}
        self.clock.time += timedelta(hours=1)
        self.loop.tick()
        with self.operations.store.read() as tx:
            found: list[dict[str, Any]] = documents.runs_document(tx)["runs"]
        return found[-1]


@pytest.fixture
def clinic(tmp_path: Path) -> Iterator[Clinic]:
    made = Clinic(tmp_path / "project")
    yield made
    made.operations.store.close()


def test_a_trigger_makes_a_candidate_and_a_ticket_and_deploys_nothing(clinic: Clinic) -> None:
    clinic.declare()
    run = clinic.drift()
    assert (run["status"], run["version"]) == ("requested", 2)
    assert "`seatrial change envelope check fraud 2`, then a person starts it" in run["reason"]
    with clinic.operations.store.read() as tx:
        assert tx.models.pointers(MODEL) == {"champion": 1}
        assert tx.models.get_version(MODEL, 1).serving.artifact == OLD, "no weight changed"
        assert tx.rollouts.list(MODEL) == ()
        (ticket,) = tx.tickets.list(MODEL, open_only=True)
        assert (ticket.document["version"], ticket.document["artifact"]) == (1, OLD)
        assert "x (psi 0.35)" in ticket.document["strata"][0]["text"]
        unknown = {gap.field for gap in delta(tx.models.get_version(MODEL, 1), tx.models.get_version(MODEL, 2)).unknown
                   if gap.side == "after"}  # fmt: skip
    assert not unknown & {"target", "population", "algorithm", "timeRange"}, "the result told them"


def test_without_an_envelope_it_is_on_its_way_to_users(clinic: Clinic) -> None:
    run = clinic.drift()
    assert run["status"] == "compared", "it waits for the control plane to start its rollout"
    with clinic.operations.store.read() as tx:
        assert tx.tickets.list(MODEL, open_only=True) == ()


def test_rows_of_a_locked_test_set_fail_the_run(clinic: Clinic) -> None:
    path = clinic.operations.project.root / "reads.parquet"
    pq.write_table(pa.table({"study": list(range(10))}), path)
    clinic.operations.changes.lock_test_set(
        hashed(clinic.operations.project, MODEL, path, (), name="reads", limit=20), actor="ann"
    )
    clinic.launcher.first_row = 7
    run = clinic.drift()
    assert (run["status"], run["version"]) == ("failed", None)
    assert "ST1435" in run["reason"]
    assert "3 of 10 rows" in run["reason"]
    clinic.launcher.first_row = 10
    clinic.clock.time += timedelta(hours=12)
    assert clinic.drift()["version"] == 2, "other rows are trained on"
