"""``seatrial shadow add``, ``list``, ``remove``, and the report on a shadow that belongs to no rollout."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from seatrial.control.operations import Operations
from seatrial.control.project import Project
from seatrial.control.render import desired, route_table
from seatrial.control.shadows.standing import MOST
from seatrial.errors import Conflict
from seatrial.events.parts import model_directory, write_part
from seatrial.events.schema import event_schema, to_micros, to_table
from seatrial.gateway.routes import Endpoint
from seatrial.registry.version import Serving
from seatrial.stats.ranking import spearman
from seatrial.store.db import Store
from seatrial.store.plans import check_plan, parse_plan
from seatrial.values import Share
from shadowlog import LINEAGE, T0, looked_at

MODEL = "rank"


def project(root: Path, versions: int = 4) -> Path:
    root.mkdir()
    (root / "seatrial.yaml").write_text("project: standing\n")
    opened = Project.open(root)
    opened.prepare()
    with Store.open(opened.store_url) as store:
        operations = Operations(opened, store)
        operations.adopt(MODEL, "http://127.0.0.1:9/", actor="ann")
        for number in range(versions - 1):
            serving = Serving(kind="url", url=f"http://127.0.0.1:9/{number}")
            operations.register(MODEL, serving, LINEAGE, actor="ann")
    return root


def test_shadows_are_added_changed_listed_and_removed_and_it_is_audited(tmp_path: Path, run: Any) -> None:
    root = project(tmp_path / "p")
    shadow = ("--project", root, "shadow")
    added = run(*shadow, "add", MODEL, "3", "--share", "10%", "--json")
    assert (added.code, added.json["schema"]) == (0, "seatrial.shadows.v1")
    assert run(*shadow, "add", MODEL, "2", "--share", "5%").code == 0
    found = run(*shadow, "add", MODEL, "3", "--share", "20%", "--json").json
    assert [(one["version"], one["share"], one["rests"]) for one in found["shadows"]] == [(2, 0.05, ""), (3, 0.2, "")]
    assert found["champion"] == 1
    assert [one["version"] for one in run(*shadow, "remove", MODEL, "2", "--json").json["shadows"]] == [3]
    assert "rank v3: 20.00% of the units" in run(*shadow, "list", MODEL).out
    assert "no standing shadow" in run(*shadow, "remove", MODEL, "3").out
    with Store.open(Project.open(root).store_url) as store, store.read() as tx:
        actions = [entry.action for entry in tx.audit.log(100)]
    assert (actions.count("shadow.add"), actions.count("shadow.remove")) == (3, 2)


def test_the_routes_are_those_of_the_store(tmp_path: Path) -> None:
    opened = Project.open(project(tmp_path / "p"))
    with Store.open(opened.store_url) as store:
        operations = Operations(opened, store)
        for version in (2, 3):
            operations.add_shadow(MODEL, version, Share(5_000), actor="ann")
        with store.read() as tx:
            wanted = desired(tx)
    endpoints = {(MODEL, version): Endpoint("127.0.0.1", 9_000 + version) for version in (1, 2)}
    (route,) = route_table(wanted, endpoints, opened.config, generation=1).models  # type: ignore[arg-type]
    told = [(one.backend.version, one.backend.level, one.points) for one in route.standing]
    assert told == [("2", "shadow", 5_000)]  # v3 has no host yet: nobody waits for it
    assert {number for _, number in wanted[0].versions()} == {1, 2, 3}


def test_what_cannot_be_is_refused(tmp_path: Path, run: Any) -> None:
    """Also in tests/cli/test_mistakes.py; here the codes."""
    root = project(tmp_path / "p", versions=2)
    for words, code in (
        (("add", MODEL, "1", "--share", "10%"), "ST0703"),
        (("add", MODEL, "2", "--share", "0%"), "ST0705"),
        (("remove", MODEL, "2"), "ST0704"),
        (("report", MODEL, "--version", "2"), "ST0704"),
    ):
        said = run("--project", root, "shadow", *words)
        assert said.code != 0
        assert code in said.err


def test_there_is_an_end_to_how_many(tmp_path: Path) -> None:
    opened = Project.open(project(tmp_path / "p", versions=MOST + 2))
    with Store.open(opened.store_url) as store:
        operations = Operations(opened, store)
        for version in range(2, MOST + 2):
            operations.add_shadow(MODEL, version, Share(100), actor="ann")
        operations.add_shadow(MODEL, 2, Share(200), actor="ann")  # another share is no other shadow
        with pytest.raises(Conflict, match="ST0703"):
            operations.add_shadow(MODEL, MOST + 2, Share(100), actor="ann")


PLAN = """
name: both
lookEvery: 1h
metrics:
  - {name: errors, kind: error_rate, margin: 5pp}
  - {name: agreement, kind: agreement, role: guardrail, floor: 0.8, minPairs: 100}
steps: [{shadow: {share: 50%}}, {pause: {duration: 2d}}]
"""


def rows(n: int = 600) -> list[dict[str, Any]]:
    """In a rollout of v2, which agrees; v3 and v4 are standing shadows: v3 agrees as well, v4 answers noise."""
    rng = random.Random(7)
    found = []
    for number in range(n):
        score, time = rng.random(), to_micros(T0) + number * 15_000_000 + 1
        base = {
            "request_id": f"q{number}",
            "unit": f"u{number}",
            "bucket": number % 256,
            "time": time,
            "sampled": 5_000,
        }
        champion = {"arm": "champion", "served_version": "1", "served_level": "primary", "score": score}
        found.append(base | champion)
        near = min(max(score + rng.gauss(0, 0.02), 0.0), 1.0)
        if number % 2:
            found.append(base | {"arm": "shadow", "served_version": "2", "score": near})
        none = {"rollout": None, "phase": None, "arm": "shadow"}
        if number % 3:
            found.append(base | none | {"served_version": "3", "score": near})
        found.append(base | none | {"served_version": "4", "score": rng.random()})
    return found


def test_each_shadow_is_compared_for_itself_and_the_rollout_is_not_disturbed(tmp_path: Path, run: Any) -> None:
    root, events = tmp_path / "p", rows()
    decision = looked_at(root, check_plan(parse_plan(PLAN)), events, T0.replace(hour=5))
    alone = [row for row in events if row.get("rollout", "r") is not None]
    assert alone != events
    without = looked_at(tmp_path / "q", check_plan(parse_plan(PLAN)), alone, T0.replace(hour=5))
    assert decision == without
    with Store.open(Project.open(root).store_url) as store:
        for _ in range(2):
            Operations(Project.open(root), store).register(
                MODEL, Serving(kind="url", url="http://127.0.0.1:9/"), LINEAGE, actor="ann"
            )
    report = ("--project", root, "shadow", "report", MODEL, "--json")
    told = {version: run(*report, "--version", version).json for version in (3, 4)} | {2: run(*report).json}
    pairs = {version: document["segments"][0]["pairs"] for version, document in told.items()}
    assert pairs == {2: 300, 3: 400, 4: 600}
    rho = {version: document["segments"][0]["spearman"]["value"] for version, document in told.items()}
    assert min(rho[2], rho[3]) > 0.98
    noise = [row["score"] for row in events if row.get("served_version") == "4"]
    scores = [row["score"] for row in events if row["arm"] == "champion"]
    assert rho[4] == pytest.approx(spearman(scores, noise))
    assert told[4]["sampling"]["measured"] == pytest.approx(1.0)
    assert told[3]["unmatched"]["unmatched"] == 0
    text = run("--project", root, "shadow", "report", MODEL, "--version", "4").out
    assert "standing shadow: rank v4 against v1" in text
    assert "rollout" not in told[4]


def test_requests_of_a_former_champion_and_answers_of_a_fallback_are_no_pairs(tmp_path: Path, run: Any) -> None:
    """Of 100 copies: 10 requests were answered by the champion before, 20 by a fallback, and 5 have no line."""
    root = project(tmp_path / "p")
    events = []
    for number in range(100):
        base = {"request_id": f"q{number}", "row": 0, "unit": f"u{number}", "bucket": number, "error": False,
                "time": to_micros(T0) + number * 60_000_000, "score": number / 100, "model": MODEL}  # fmt: skip
        champion = base | {"arm": "champion", "served_version": "1", "served_level": "primary"}
        if number < 10:
            champion["served_version"] = "4"
        elif number < 30:
            champion |= {"served_version": "4", "served_level": "previous", "error": True, "error_kind": "fallback"}
        copy = base | {"arm": "shadow", "served_version": "3"}
        events += [copy] if 30 <= number < 35 else [champion, copy]
    table = to_table(events, event_schema())
    write_part(model_directory(Project.open(root).events, MODEL), "live", "1a.2b", 0, 1, table)
    found = run("--project", root, "shadow", "report", MODEL, "--version", "3", "--json").json
    assert found["segments"][0]["pairs"] == 65
    assert (found["unmatched"]["requests"], found["unmatched"]["unmatched"]) == (90, 25)
    assert found["unmatched"]["noCounterpart"] == 5
