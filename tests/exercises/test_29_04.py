"""29.4: the difference of two lineages, with the features that a reviewer must look at."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.cli import main
from seatrial.control.operations import Operations
from seatrial.control.project import Project
from seatrial.ids import Digest, ModelName, VersionNumber
from seatrial.registry.flags import Flag, flags
from seatrial.registry.lifecycle import Stage
from seatrial.registry.lineage import ArtifactLineage, CodeRef, DataRef, ModelRef
from seatrial.registry.version import ModelVersion, Serving
from seatrial.store.db import Store

DIGEST = Digest("sha256:" + "a" * 64)
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def lineage(weights: dict[str, float], sources: dict[str, str]) -> ArtifactLineage:
    return ArtifactLineage(
        CodeRef("1f0c2aa", dirty=False), DataRef(DIGEST, 1000, sources=sources),
        ModelRef(DIGEST, "sklearn", importances=weights),
    )  # fmt: skip


def version(number: int, weights: dict[str, float], sources: dict[str, str] | None = None) -> ModelVersion:
    serving = Serving(kind="url", url="http://127.0.0.1:9/")
    made = lineage(weights, sources or {})
    return ModelVersion(ModelName("credit"), VersionNumber(number), Stage.NONE, made, serving, "registered", NOW, "ann")


def weighed(old: float, new: float, threshold: str = "0.5") -> list[Flag]:
    return list(
        flags(version(1, {"income": old, "age": 0.1}), version(2, {"income": new, "age": 0.1}), threshold=threshold)
    )


@pytest.mark.parametrize(
    ("old", "new", "relative"),
    [(0.08, 0.15, 0.875), (0.04, 0.0199, -0.5025), (0.10, 0.1501, 0.501), (0.2, 0.0, -1.0), (-0.1, -0.2, -1.0)],
)
def test_beyond_half_of_the_old_value_is_flagged(old: float, new: float, relative: float) -> None:
    (flag,) = weighed(old, new)
    assert (flag.feature, flag.kind, flag.old, flag.new) == ("income", "importance", old, new)
    assert flag.relative == pytest.approx(relative)


@pytest.mark.parametrize(
    ("old", "new"), [(0.10, 0.15), (0.18, 0.27), (0.30, 0.45), (0.22, 0.33), (0.36, 0.54), (0.04, 0.02), (0.0, 0.0)]
)
def test_exactly_half_is_not(old: float, new: float) -> None:
    assert weighed(old, new) == []


@given(st.decimals("0.001", "10", places=3))
def test_exactly_half_is_not_for_any_decimal_and_a_little_more_is(old: Any) -> None:
    half = float(old + old / 2)
    assert weighed(float(old), half) == []
    assert len(weighed(float(old), float(old + old / 2 + type(old)("0.0001")))) == 1


def test_from_nothing_everything_is_a_change_and_nothing_is_divided_by() -> None:
    (flag,) = weighed(0.0, 1e-6)
    assert (flag.kind, flag.relative) == ("importance", None)


def test_the_threshold_can_be_another() -> None:
    assert weighed(0.1, 0.12, "0.2") == []
    assert len(weighed(0.1, 0.121, "0.2")) == 1


def test_another_source_is_flagged_where_the_weight_is_the_same() -> None:
    old = version(1, {"bureau": 0.3}, {"bureau": "credit_bureau_v2"})
    new = version(2, {"bureau": 0.3}, {"bureau": "credit_bureau_v3"})
    assert flags(old, new) == (Flag("bureau", "source", "credit_bureau_v2", "credit_bureau_v3"),)
    assert flags(old, old) == ()


def test_features_that_come_and_go() -> None:
    old, new = version(1, {"a": 0.5, "b": 0.5}), version(2, {"a": 0.5, "c": 0.5})
    assert [(flag.feature, flag.kind) for flag in flags(old, new)] == [("b", "removed"), ("c", "added")]


def test_what_only_one_side_declares_is_flagged() -> None:
    known, unknown = version(1, {"a": 0.5}, {"a": "x"}), version(2, {})
    assert {(flag.kind, flag.new) for flag in flags(known, unknown)} == {("importance", None), ("source", None)}


def test_the_command_says_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "seatrial.yaml").write_text("project: bank\n")
    project = Project.open(tmp_path)
    project.prepare()
    with Store.open(project.store_url) as store:
        operations = Operations(project, store)
        serving = Serving(kind="url", url="http://127.0.0.1:9/")
        for weights, source in (({"income": 0.08, "age": 0.3}, "v2"), ({"income": 0.15, "age": 0.45}, "v3")):
            operations.register("credit", serving, lineage(weights, {"bureau": source}), actor="ann")

    def run(*words: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["--project", str(tmp_path), "model", "diff", "credit", "1", "2", *words])
        assert ended.value.code in (0, None)
        return capsys.readouterr().out

    assert json.loads(run("--json"))["flags"] == [
        {"feature": "bureau", "kind": "source", "old": "v2", "new": "v3", "relative": None},
        {"feature": "income", "kind": "importance", "old": 0.08, "new": 0.15, "relative": 0.875},
    ]
    assert "⚠ income: importance 0.08 → 0.15 (+87.5%)" in run()
