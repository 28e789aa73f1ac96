"""What is kept: merged, too old, or of somebody who wants to be forgotten. Beside it, what must not change."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from seatrial.cli import main
from seatrial.control.capture.housekeeping import Housekeeping
from seatrial.control.offline import in_its_place
from seatrial.control.tenure import directory_held
from seatrial.errors import Conflict, NotFound, UsageError
from seatrial.events.outcomes import Outcome
from seatrial.events.parts import list_parts, model_directory, read_parts
from seatrial.events.schema import OUTCOME_SCHEMA
from seatrial.events.units import unit_hash
from seatrial.registry.contract import Contract
from seatrial.store.plans import parse_plan
from seatrial.values import Duration

pytestmark = pytest.mark.live

PLAN = parse_plan("""
name: housekeeping
timeBucket: 1h
lookEvery: 1h
deadline: 30d
metrics:
  - {name: errors, kind: error_rate, margin: 10pp}
  - {name: answers, kind: missing_outcomes, outcome: y, horizon: 1h, margin: 50pp, role: signal}
steps: [{shadow: {share: 100%}}, {pause: {duration: 20d}}]
""")
ANN, BOB = "ann-4711", "bob-0815"


def find(root: Path, text: str) -> list[str]:
    """Files below a project's state that hold these bytes."""
    files = [path for path in sorted((root / ".seatrial").rglob("*")) if path.is_file()]
    return [str(path.relative_to(root)) for path in files if text.encode() in path.read_bytes()]


def parts(live: Any, kind: str = "events") -> list[Any]:
    return list_parts(model_directory(live.project.state / kind, live.model))


def outcomes(live: Any) -> list[tuple[str, str, float]]:
    rows = read_parts(parts(live, "outcomes"), OUTCOME_SCHEMA).to_pylist()
    return sorted((row["key"], row["name"], row["value"]) for row in rows)


def others(live: Any) -> list[dict[str, Any]]:
    name = unit_hash(ANN, live.project.secrets().unit_key)
    rows = [row for row in live.events().to_pylist() if row["unit"] != name]
    return sorted(rows, key=lambda row: (row["request_id"], row["arm"], row["row"]))


@pytest.fixture
def live(make: Any) -> Iterator[Any]:
    """A shadow release with three hours behind it. Ann's and Bob's ids are in features and outcome keys, too."""
    live = make()
    live.adopt(live.server("champion"))
    live.operations.configure(live.model, Contract(features=("*",), outcome_key="unit"), actor="ann")
    live.rollout = live.begin(live.register(live.server("candidate")), PLAN)
    for hour in range(3):
        sent = live.send([*live.people(hour, 30), ANN, BOB], live.t0 + hour * live.hour_long)
        live.operations.ingest([Outcome(live.model, s.unit, "y", 1.0, s.time) for s in sent])
        live.operations.advance(live.t0 + (hour + 1) * live.hour_long)
    return live


def holds(live: Any, hour: int = 9) -> bool:
    """Whether nothing is missing by Envoy's count, at a look after all that."""
    live.hour(hour, live.people(hour, 20))
    captured = live.controller.collector.captured(live.rollout)
    assert captured
    rules = {rule for _, _, rule in live.told(live.rollout)}
    return all(c.logged == c.counted for c in captured.values()) and rules == {"start", "min_duration"}


def test_a_unit_is_erased_and_nobody_else_is(live: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(find(live.project.root, ANN)) >= 4, "logs and parts, of predictions and outcomes"
    before, told, decided = others(live), outcomes(live), live.decisions(live.rollout)
    rows = len(live.events())
    live.operations.erase(live.model, "nobody", actor="ann")
    assert others(live) == before

    erased = live.operations.erase(live.model, ANN, actor="ann")
    assert (erased.predictions, erased.outcomes) == (6, 3), "with the shadow's answers"
    assert erased.unit == unit_hash(ANN, live.project.secrets().unit_key)
    assert find(live.project.root, ANN) == []
    assert len(find(live.project.root, BOB)) >= 2
    assert others(live) == before
    assert len(live.events()) == rows - 6
    assert outcomes(live) == [row for row in told if row[0] != ANN]
    assert live.decisions(live.rollout) == decided
    entry = live_audit(live)[0]
    assert (entry.action, entry.actor, entry.object) == ("events.erase", "ann", live.model)
    assert erased.unit in entry.detail
    assert live.operations.erase(live.model, ANN, actor="ann").predictions == 0, "again: there is nothing left"

    assert holds(live), "what was erased is not missing"
    live.operations.compact()
    live.start()
    assert find(live.project.root, ANN) == []
    assert holds(live), "not after a restart, and not merged"
    with pytest.raises(NotFound):
        live.operations.erase("frau", ANN, actor="ann")
    with pytest.raises(UsageError, match="ST0521"):
        live.operations.erase(live.model, "", actor="ann")


def test_without_a_control_plane_the_command_line_does_it(live: Any, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*words: str) -> str:
        with pytest.raises(SystemExit) as left:
            main(["--project", str(live.project.root), "events", *words])
        said = capsys.readouterr()
        return said.out if left.value.code in (0, None) else said.err

    assert "ST0522" in run("erase", live.model, "--unit", ANN), "nobody is here to ask"
    with directory_held(live.project), pytest.raises(Conflict, match="ST0626"), in_its_place(live.project, live.store):
        pass
    live.controller.stop()
    assert find(live.project.root, ANN)
    assert "6 predictions and 3 outcomes" in run("erase", live.model, "--unit", ANN, "--yes")
    assert find(live.project.root, ANN) == []
    assert "parts are in" in run("compact")
    listed = run("list")
    assert live.model in listed
    assert "90d" in listed
    live.start()
    assert holds(live)


@pytest.mark.slow
def test_small_parts_become_large_ones_and_looks_see_the_same(live: Any) -> None:
    for hour in range(3, 9):
        live.hour(hour, live.people(hour, 10))
    before, decided = others(live), live.decisions(live.rollout)
    counts = len(parts(live)), len(parts(live, "outcomes"))
    keeper: Housekeeping = live.controller.housekeeping
    while keeper.step():
        pass
    assert len(parts(live)) == counts[0], "few parts of an hour are not worth it, before the day is over"
    assert keeper.compact().merges > 3
    assert len(parts(live)) < counts[0]
    assert len(parts(live, "outcomes")) <= counts[1]
    assert others(live) == before
    assert holds(live)
    live.operations.advance(live.t0 + 25 * live.hour_long)
    while keeper.step():
        pass
    assert (len(parts(live)), len(parts(live, "outcomes"))) == (1, 1), "one part a day"
    assert holds(live, 26)
    assert live.decisions(live.rollout)[: len(decided)] == decided
    live.start()
    assert holds(live, 27)


@pytest.mark.slow
def test_what_is_too_old_goes_but_not_what_a_rollout_needs(live: Any) -> None:
    keeper: Housekeeping = live.controller.housekeeping
    late = live.t0 + timedelta(hours=40)
    live.operations.configure(
        live.model, Contract(features=("*",), outcome_key="unit", retention=Duration.parse("2h")), actor="ann"
    )
    live.operations.advance(late)
    rows = len(live.events())
    while keeper.step():
        pass
    assert len(live.events()) == rows, "a rollout is running since then"
    live.operations.by_hand(live.rollout, "abort", reason="enough", actor="ann")
    live.send(live.people(1, 10), late)
    live.operations.advance(late + live.hour_long)
    live.wait_for(lambda: keeper.compact() and len(live.events()) == rows + 10)
    while keeper.step():
        pass
    left = live.events().to_pylist()
    assert {row["time"] >= late for row in left} == {True}
    assert len(left) == 10
    assert outcomes(live) == []
    told = [entry for entry in live_audit(live) if entry.action == "events.retention"]
    assert {entry.object for entry in told} == {live.model}
    assert f'"predictions":{rows}' in "".join(entry.detail for entry in told)
    assert all('"retention":"2h"' in entry.detail for entry in told)


def live_audit(live: Any) -> list[Any]:
    with live.store.read() as tx:
        return list(tx.audit.log(1000))
