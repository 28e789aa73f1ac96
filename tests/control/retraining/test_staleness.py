"""Loss against age, from a project's own log: a version that grows old is told from days that are bad for everybody."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from commandline import run_command
from seatrial.control.retraining.desk import RetrainingDesk
from seatrial.control.retraining.staleness import staleness
from seatrial.errors import NotFound, UsageError
from seatrial.events.outcomes import Outcome, OutcomeLog
from seatrial.events.parts import model_directory, write_part
from seatrial.events.schema import event_schema, to_micros, to_table
from seatrial.registry.lineage import ArtifactLineage, CodeRef, DataRef, ModelRef
from seatrial.registry.version import Serving
from trainings import MODEL, T0, Hands, operations_of, policy

DAY = timedelta(days=1)
DIGEST = "sha256:" + "d" * 64
ROWS, DAYS = 120, 12
OLD, NEW = 2, 3
"""The champion, of data that ended 20 days before the log begins, and its shadow of data that ended with it."""


class Log:
    """Twelve days on which both versions say something about the same requests."""

    def __init__(self, root: Path, *, ageing: float) -> None:
        self.operations = operations_of(root)
        self.operations.clock = Hands(T0 + (DAYS + 1) * DAY)
        self.operations.adopt(MODEL, "http://127.0.0.1:9/", actor="ann")
        for days in (20, 0):
            lineage = ArtifactLineage(
                code=CodeRef("1f0c2aa", False),
                data=DataRef(DIGEST, 10, T0 - (days + 30) * DAY, T0 - days * DAY),
                model=ModelRef(DIGEST, "none"),
            )
            self.operations.register(MODEL, Serving(kind="url", url="http://127.0.0.1:9/"), lineage, actor="ann")
        self.ageing, self.rng = ageing, np.random.default_rng(4)
        outcomes = OutcomeLog(self.operations.project.outcomes, clock=self.operations.clock.now)
        outcomes.append([one for day in range(DAYS) for one in self.day(day)])
        outcomes.convert()

    def day(self, n: int) -> Iterator[Outcome]:
        """Some days are worse for both; a version misses more for each day of its age."""
        bad, rows = 0.1 * self.rng.random(), []
        for k in range(ROWS):
            at, key = T0 + n * DAY + (k / ROWS) * DAY, f"q-{n}-{k}"
            for version, arm, age in ((OLD, "champion", n + 20), (NEW, "shadow", n)):
                rows.append({
                    "request_id": key, "row": 0, "outcome_key": key, "model": MODEL, "arm": arm, "unit": key,
                    "served_version": str(version), "served_level": "primary", "features": "{}",
                    "time": to_micros(at), "score": 1 - (0.2 + bad + self.ageing * age + 0.001 * (k % 7)),
                })  # fmt: skip
            yield Outcome(MODEL, key, "y", 1.0, at + timedelta(minutes=5))
        directory = model_directory(self.operations.project.events, MODEL)
        write_part(directory, "log", "1.1", n, n + 1, to_table(rows, event_schema()))

    def told(self, **changes: Any) -> Any:
        project, store, now = self.operations.project, self.operations.store, self.operations.clock.now()
        asked = {"since": T0, "every": DAY, "steps": DAY, **changes}
        return staleness(project, store, MODEL, now, **asked)

    def close(self) -> None:
        self.operations.store.close()


def set_policy(log: Log, *, outcome: str = "y") -> None:
    text = policy(log.operations.project).replace("outcome: y, horizon: 30m", f"outcome: {outcome}, horizon: 30m")
    RetrainingDesk(log.operations).set(text.replace("minRows: 100,", "minRows: 100, loss: absolute,"), actor="ann")


@pytest.fixture(params=[0.01, 0.0], ids=["ages", "does not"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Log]:
    made = Log(tmp_path / "project", ageing=request.param)
    set_policy(made)
    yield made
    made.close()


def test_each_version_has_its_loss_by_its_age_and_the_curve_tells_age_from_bad_days(
    log: Log, tmp_path: Path, capsys: Any
) -> None:
    told = log.told()
    assert {(p["version"], p["age_days"]) for p in told["periods"]} == {
        *((OLD, n + 20.0) for n in range(DAYS)), *((NEW, float(n)) for n in range(DAYS))
    }  # fmt: skip
    assert all(p["rows"] == ROWS for p in told["periods"])
    assert told["unknownAge"] == [1], "adopted without lineage"
    assert (told["champion"], told["loss"]) == (1, "absolute")
    means = {one["age_days"]: one["loss"] for one in told["ages"]}
    first = next(p for p in told["periods"] if p["version"] == NEW)
    assert means[0.0] == pytest.approx(first["loss"])
    log.close()
    root, out = str(log.operations.project.root), str(tmp_path / "losses.csv")
    asked = ("--project", root, "retrain", "staleness", MODEL, "--from", T0.isoformat(), "--ages", "20d", "--out", out)
    weeks = run_command(capsys, *asked, "--json")
    assert weeks["schema"] == "seatrial.staleness.v1"
    assert [(one["age_days"], one["periods"], one["versions"]) for one in weeks["ages"]] == [
        (0.0, DAYS, [NEW]), (20.0, DAYS, [OLD])]  # fmt: skip
    assert f"seatrial cadence curve --log {out}" in run_command(capsys, *asked)
    (point,) = run_command(capsys, "cadence", "curve", "--log", out, "--json")["points"]
    assert point["decline"] == pytest.approx(100 * 20 * log.ageing, abs=1e-6)


def test_what_cannot_be_known_is_said(tmp_path: Path) -> None:
    log = Log(tmp_path / "project", ageing=0.0)
    with pytest.raises(NotFound, match="ST1300"):
        log.told()
    set_policy(log)
    with pytest.raises(UsageError, match="ST1318"):
        log.told(since=T0 + 20 * DAY)
    set_policy(log, outcome="z")
    assert log.told()["ages"] == [], "no such outcome came"
    log.close()
