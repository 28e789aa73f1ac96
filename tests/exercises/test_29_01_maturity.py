"""Exercise 29.1(a): a team's maturity level with its evidence, and the two improvements that raise it most."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from commandline import run_command
from seatrial.ci.results import Run, StepResult
from seatrial.control.project import Project
from seatrial.control.quality import record_run
from seatrial.governance.maturity import STRATEGIES, Practice, judge
from seatrial.ids import Digest
from seatrial.processes import free_port
from seatrial.registry.lineage import ArtifactLineage, CodeRef, DataRef, ModelRef
from seatrial.registry.safety import IMPACTS
from seatrial.registry.version import Model, Serving
from seatrial.store import releases
from seatrial.store.db import Store

NOW = datetime(2026, 3, 1, tzinfo=UTC)
DIGEST = Digest("sha256:" + "a" * 64)
LINEAGE = ArtifactLineage(CodeRef("1f0c2aa", dirty=False), DataRef(DIGEST, 1000), ModelRef(DIGEST, "xgboost"))
URL = Serving(kind="url", url="http://127.0.0.1:9/")
Told = Callable[..., Any]


@pytest.fixture
def team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """The team of the exercise: a fraud model that somebody put into service, and nothing else."""
    monkeypatch.setenv("NO_COLOR", "1")
    run_command(capsys, "init", tmp_path, "--name", "shop", "--api-port", free_port(), "--gateway-port", free_port())
    monkeypatch.chdir(tmp_path)
    run_command(capsys, "model", "adopt", "fraud", "--url", "http://127.0.0.1:9/")
    return tmp_path


@pytest.fixture
def maturity(team: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[], dict[str, Any]]:
    return lambda: run_command(capsys, "doctor", "--maturity", "--json")


def found(document: dict[str, Any]) -> set[str]:
    return {practice["name"] for practice in document["practices"] if practice["found"]}


def test_a_team_that_releases_by_hand_is_at_level_zero_and_begins_with_lineage_and_ci(
    team: Path, maturity: Told, capsys: pytest.CaptureFixture[str]
) -> None:
    document = maturity()
    assert (document["level"], document["name"]) == (0, "by hand")
    assert [one["name"] for one in document["improvements"]] == ["lineage", "ci"]
    assert all(one["remedy"] for one in document["improvements"])
    text = run_command(capsys, "doctor", "--maturity")
    assert text.startswith("Maturity: level 0 of 3, by hand\n")
    assert "✖ 1  the champion is registered with its code, data and model: 0 of 1 models, not fraud" in text
    assert "  1. lineage: `seatrial model register" in text


def test_each_record_is_evidence_and_with_both_the_level_rises(team: Path, maturity: Told) -> None:
    with Store.open(Project.open(team).store_url) as store:
        with store.begin() as tx:
            tx.models.create_model(Model("known"), actor="ann", now=NOW)  # type: ignore[arg-type]
            tx.models.register_version("known", URL, LINEAGE, actor="ann", now=NOW)
            releases.adopt_champion(tx.models, "known", 1, actor="ann", now=NOW)
        document = maturity()
        lineage = next(one for one in document["practices"] if one["name"] == "lineage")
        assert (lineage["found"], lineage["lacking"]) == (False, ["fraud"]), "one of two models is not enough"
        assert "1 of 2 models" in lineage["evidence"]

        with store.begin() as tx:
            tx.models.register_version("fraud", URL, LINEAGE, actor="ann", now=NOW)
            tx.models.move_pointer("fraud", "champion", expected=1, to=2, actor="ann", now=NOW)
        assert found(maturity()) == {"lineage"}
        steps = tuple(StepResult(name=g, group=g, status="passed") for g in ("code", "data", "model"))  # type: ignore[arg-type]
        half = Run(id="", event="commit", started_at=NOW, actor="", version=1, digest=DIGEST, steps=steps[:2])
        for model, version in (("known", 1), ("fraud", 2)):
            record_run(store, replace(half, model=model, version=version), actor="ann")
        assert found(maturity()) == {"lineage"}, "a group that nothing tested is not green"
        for model, version in (("known", 1), ("fraud", 2)):
            record_run(store, replace(half, model=model, version=version, steps=steps), actor="ann")
        document = maturity()
        assert (document["level"], found(document)) == (1, {"lineage", "ci"})
        assert [one["name"] for one in document["improvements"]] == ["plan", "drill"]

        with store.begin() as tx:
            for model in ("known", "fraud"):
                drill = tx.drills.create(model, {"steps": []}, NOW)
                tx.drills.save(drill, {"steps": []}, "passed")
                tx.training.put_policy(model, "{}", {}, actor="ann", now=NOW)
                tx.training.add_run(model, 1, NOW, "requested", {"version": 3})
        document = maturity()
        assert found(document) == {"lineage", "ci", "drill", "triggers", "retraining"}
        assert document["level"] == 1, "triggers do not make up for releases by hand"
        assert [one["name"] for one in document["improvements"]] == ["plan", "outcomes"]
        with store.begin() as tx:
            drill = tx.drills.create("fraud", {"steps": []}, NOW)
            tx.drills.save(drill, {"steps": []}, "failed")
        assert "drill" not in found(maturity()), "the last drill counts"


def practice(level: Any, name: str, here: bool) -> Practice:
    return Practice(name, level, name, ("m",) if here else (), () if here else ("m",), "do it")


@pytest.mark.parametrize("has", list(itertools.product([True, False], repeat=6)))
def test_a_level_needs_all_practices_up_to_it(has: tuple[bool, ...]) -> None:
    made = [practice(n // 2 + 1, f"p{n}", here) for n, here in enumerate(has)]
    result = judge(made)
    complete = [all(has[: 2 * (level)]) for level in (1, 2, 3)]
    assert result.level == sum(complete)
    lacking = [p for p in made if not p.found]
    assert len(result.improvements) == min(2, len(lacking))
    if lacking:
        raised = judge([replace(p, having=("m",), lacking=()) if p in result.improvements else p for p in made])
        others = itertools.combinations(lacking, min(2, len(lacking)))
        best = max(
            judge([replace(p, having=("m",), lacking=()) if p in two else p for p in made]).level for two in others
        )
        assert raised.level == best, "no other two raise it more"


def test_no_model_is_no_evidence() -> None:
    empty = Practice("lineage", 1, "it is known", (), (), "do it")
    assert (empty.found, empty.evidence) == (False, "it is known: no model is in service")


@pytest.mark.parametrize("impact", IMPACTS)
def test_the_impact_decides_how_a_version_is_released(
    team: Path, maturity: Told, capsys: pytest.CaptureFixture[str], impact: str
) -> None:
    """29.1(c): a decision that acts at once is seen in shadow before it is anybody's; blue-green is for the others."""
    run_command(capsys, "model", "safety", "fraud", "--impact", impact)
    (advice,) = maturity()["strategies"]
    assert (advice["model"], advice["impact"]) == ("fraud", impact)
    assert advice["first"] == ("canary" if impact == "ordinary" else "shadow")
    assert ("blue-green" in advice["then"]) == (impact == "ordinary")
    assert set(STRATEGIES) == set(IMPACTS)
