"""Training commands and policies for tests: a model of one number, trained on the truth or on its opposite."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from seatrial.control.operations import Operations
from seatrial.control.project import Project
from seatrial.control.retraining.sensing import Sensed
from seatrial.ids import ModelName
from seatrial.registry.version import Model
from seatrial.retrain.manager import Reading
from seatrial.retrain.policy import Policy
from seatrial.store.db import Store
from seatrial.training.launcher import Job, Standing

T0 = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
MODEL = "fraud"

TRAIN = """
import json, os, sys
from datetime import datetime, timedelta
import numpy as np
import skops.io
from sklearn.linear_model import LogisticRegression
right = sys.argv[1] == "right"
print(json.dumps({"progress": 0.5, "message": "fitting"}), flush=True)
x = np.linspace(-6, 6, 2000)
y = (x > 0) == right
model = LogisticRegression().fit(x[:, None], y.astype(int))
skops.io.dump(model, "model.skops")
end = datetime.fromisoformat(os.environ["SEATRIAL_TRAIN_END"])
json.dump({
    "schema": "seatrial.training-result.v1", "artifact": "model.skops", "format": "skops", "features": ["x"],
    "framework": "scikit-learn", "code": {"commit": "1f0c2aa", "dirty": False}, "metrics": {"auc": 1.0},
    "importances": {"x": 1.0},
    "data": {"digest": "sha256:" + "d" * 64, "rows": len(x), "start": (end - timedelta(days=1)).isoformat(),
             "end": end.isoformat(), "sources": {"x": "sensor"}},
}, open(os.environ["SEATRIAL_RESULT"], "w"))
print("done")
"""

POLICY = """
model: fraud
primary: inputs
interval: 6h
triggers:
  - {{name: inputs, drift: 0.25}}
  - {{name: weekly, schedule: "0 2 * * 6"}}
  - {{name: by-hand, manual: true}}
  - {{name: feature-store, webhook: true}}
run: {{command: [{python}, "{{project}}/train.py", {learns}], timeout: 10m, costPerHour: 36, cost: 2}}
watch: {{every: 1h, window: 1h, minRows: 100, outcome: y, horizon: 30m}}
release: {{plan: {plan}, holdout: 30m, minRows: 60, unproven: {unproven}}}
"""


def policy(project: Project, *, learns: str = "right", plan: str = "null", unproven: str = "start") -> str:
    """The text of a policy; its command is written beside it."""
    (project.root / "train.py").write_text(TRAIN)
    return POLICY.format(python=sys.executable, learns=learns, plan=plan, unproven=unproven)


class Hands:
    """A clock that a test moves."""

    def __init__(self, now: datetime = T0) -> None:
        self.time = now

    def now(self) -> datetime:
        return self.time


class Readings:
    """A sensor that says what a test wants it to."""

    def __init__(self) -> None:
        self.psi: dict[str, float] = {}
        self.loss: float | None = None
        self.failure: str | None = None

    def sense(self, policy: Policy, since: datetime, now: datetime) -> Sensed:
        return Sensed(Reading(at=now, psi={"x": 0.01, **self.psi}, loss=self.loss, mature=500), self.failure)


class Instant:
    """Trains within ``start``, in this process, and counts how often. What a crash leaves is on the disk alone."""

    def __init__(self) -> None:
        self.begun: list[str] = []

    def start(self, job: Job) -> None:
        if job.directory.exists():
            return
        job.directory.mkdir(parents=True)
        self.begun.append(job.run)
        end = datetime.fromisoformat(job.environment["SEATRIAL_TRAIN_END"])
        (job.directory / "model.skops").write_text(job.run)
        data = {"digest": "sha256:" + "d" * 64, "rows": 10, "start": (end - HOUR).isoformat(), "end": end.isoformat()}
        job.result.write_text(json.dumps({
            "schema": "seatrial.training-result.v1", "artifact": "model.skops", "format": "skops", "features": ["x"],
            "framework": "none", "code": {"commit": "1f0c2aa", "dirty": False}, "data": data,
        }))  # fmt: skip

    def poll(self, job: Job) -> Standing:
        if not job.result.exists():
            return Standing(status="lost", reason="it never began")
        return Standing(status="succeeded", progress=1.0, seconds=100.0)

    def cancel(self, job: Job) -> None:
        """It is over before anybody can."""

    def log(self, job: Job, *, last: int | None = None) -> str:
        return ""


def operations_of(root: Path) -> Operations:
    """A project with one model, where nothing runs."""
    root.mkdir(exist_ok=True)
    (root / "seatrial.yaml").write_text("project: loops\n")
    project = Project.open(root)
    project.prepare()
    operations = Operations(project, Store.open(project.store_url))
    with operations.store.begin() as tx:
        tx.models.create_model(Model(ModelName(MODEL)), actor="ann", now=T0)
    return operations
