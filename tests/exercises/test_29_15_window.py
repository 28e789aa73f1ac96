"""Exercise 29.15b in the loop: the rows a run may learn from, those it may not, and what is kept of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from seatrial.control.analyses.triggers import parse_policy
from seatrial.control.operations import Operations
from seatrial.control.retraining import documents
from seatrial.control.retraining.desk import RetrainingDesk
from seatrial.control.retraining.loop import Loop
from seatrial.retrain.lint import lint
from seatrial.training.launcher import Job
from trainings import HOUR, MODEL, Hands, Instant, Readings, operations_of, policy

DAY = timedelta(days=1)
NOW = datetime.fromisoformat("2024-03-10T12:00:00+00:00")  # ten days after a leap day; New York's clocks went forward
CUT = NOW - HOUR  # the horizon and the holdout


class Learner(Instant):
    """Trains on the rows of a table that its environment names, or, ``cheats``, on so many more on either side."""

    def __init__(self, cheats: tuple[timedelta, timedelta] = (timedelta(0), timedelta(0))) -> None:
        super().__init__()
        self.told: dict[str, str] = {}
        self.before, self.after = cheats

    def start(self, job: Job) -> None:
        super().start(job)
        self.told = dict(job.environment)
        start, end = (self.told[f"SEATRIAL_TRAIN_{word}"] for word in ("START", "END"))
        rows = self.rows(start, end)
        result = json.loads(job.result.read_text())
        result["data"] |= {"rows": len(rows), "start": rows[0].isoformat(), "end": (rows[-1] + HOUR).isoformat()}
        job.result.write_text(json.dumps(result))

    def rows(self, start: str, end: str) -> Sequence[datetime]:
        """One an hour for the last hundred days, and some after the cut-off."""
        there = [CUT + n * HOUR for n in range(-100 * 24, 5)]
        least = datetime.fromisoformat(start) - self.before if start else there[0]
        return [at for at in there if least <= at < datetime.fromisoformat(end) + self.after]


@pytest.fixture
def operations(tmp_path: Path) -> Iterator[Operations]:
    made = operations_of(tmp_path / "project")
    made.clock = Hands(NOW)
    yield made
    made.store.close()


def run_of(operations: Operations, training: str, learner: Learner) -> dict[str, Any]:
    """One run by hand of a policy that says so of its window."""
    desk = RetrainingDesk(operations, {"process": learner})
    desk.set(f"{policy(operations.project)}training: {training}\n", actor="ann")
    desk.ask(MODEL, actor="bob")
    Loop(operations, {"process": learner}, sensor=Readings()).tick()
    with operations.store.read() as tx:
        run: dict[str, Any] = documents.runs_document(tx)["runs"][-1]
    return run


@pytest.mark.parametrize(
    ("training", "window", "days", "half_life"),
    [
        ("{mode: sliding, window: 30d}", "sliding", 30, ""),
        ("{mode: expanding}", "expanding", 100, ""),
        ("{mode: decay, window: 7d}", "decay", 100, "604800"),
    ],
)
def test_1_the_run_is_told_its_rows_and_its_lineage_has_them(
    operations: Operations, training: str, window: str, days: int, half_life: str
) -> None:
    learner = Learner()
    run = run_of(operations, training, learner)
    assert run["status"] == "registered_only", run["reason"]
    told = learner.told
    assert (told["SEATRIAL_WINDOW"], told["SEATRIAL_HALF_LIFE"]) == (window, half_life)
    assert told["SEATRIAL_TRAIN_END"] == CUT.isoformat()
    assert told["SEATRIAL_TRAIN_START"] == ((CUT - days * DAY).isoformat() if window == "sliding" else "")
    assert (run["window"], run["halfLifeS"]) == (window, float(half_life) if half_life else None)
    with operations.store.read() as tx:
        lineage = tx.models.get_version(MODEL, run["version"]).lineage
    assert lineage is not None
    assert lineage.data is not None
    assert (lineage.data.rows, lineage.data.start, lineage.data.end) == (24 * days, CUT - days * DAY, CUT)
    registered = next(step for step in run["steps"] if step["status"] == "registered")
    assert f"on {24 * days:,} rows from " in registered["text"]
    assert "2024-03-10 11:00" in registered["text"]


@pytest.mark.parametrize(
    ("cheats", "code"),
    [((timedelta(0), HOUR), "ST1314"), ((HOUR, timedelta(0)), "ST1317")],
    ids=["a row after the cut-off", "a row before the window"],
)
def test_1_rows_outside_of_it_fail_the_run(
    operations: Operations, cheats: tuple[timedelta, timedelta], code: str
) -> None:
    run = run_of(operations, "{mode: sliding, window: 30d}", Learner(cheats))
    assert (run["status"], run["version"]) == ("failed", None)
    assert code in run["reason"]
    with operations.store.read() as tx:
        assert tx.models.list_versions(MODEL) == ()


@pytest.mark.parametrize(("season", "short"), [("365d", True), ("90d", False), ("100d", False)])
def test_2_rows_that_cover_no_season_are_told_by_the_run(operations: Operations, season: str, short: bool) -> None:
    """An expanding window may cover it or not: only the rows can tell."""
    run = run_of(operations, f"{{mode: expanding, season: {season}}}", Learner())
    text = next(step["text"] for step in run["steps"] if step["status"] == "registered")
    assert ("100 days are shorter than one season, 365d" in text) is short


@pytest.mark.parametrize(
    ("training", "said"),
    [
        ("{mode: sliding, window: 90d, season: 365d}", "warning: the training window (90d) is shorter than one season"),
        ("{mode: sliding, season: 365d}", "warning: the training window has no length"),
        ("{mode: decay}", "error: training: rows that decay have a half-life"),
        ("{window: 0s}", "error: training: window and season are longer than nothing"),
    ],
)
def test_2_lint_says_what_is_known_before(operations: Operations, training: str, said: str) -> None:
    def told(text: str) -> list[str]:
        found = lint(parse_policy(f"{policy(operations.project)}training: {text}\n", "policy"))
        return [f"{one.level}: {one.text}" for one in found if "training" in one.text]

    assert any(line.startswith(said) for line in told(training))
    assert told("{mode: sliding, window: 365d, season: 365d}") == []
    assert told("{mode: expanding, season: 365d}") == []
