"""What is read of MLflow's own words: URIs, MLmodel files, runs, and the answers of its model servers."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from seatrial.control.mlflow.scores import require_scores
from seatrial.control.mlflow.settings import MlflowSettings
from seatrial.errors import PlanError, SeatrialError, Unavailable, UsageError
from seatrial.governance.change_delta import delta
from seatrial.governance.change_rules import Rules
from seatrial.governance.materiality import triage
from seatrial.ids import Digest, ModelName, VersionNumber
from seatrial.integrations.mlflow.endpoint import output_of, probe, read_example
from seatrial.integrations.mlflow.flavor import Flavor, read_flavor
from seatrial.integrations.mlflow.lineage import lineage_of
from seatrial.integrations.mlflow.pin import Pinned, require_lineage, serving_of
from seatrial.integrations.mlflow.tracking import Tracking
from seatrial.integrations.mlflow.uri import ModelUri, parse_uri, require_pinned
from seatrial.registry.lifecycle import Stage
from seatrial.registry.lineage import ArtifactLineage
from seatrial.registry.version import ModelVersion, Serving
from seatrial.store.plans import parse_plan

MLMODEL = {
    "flavors": {
        "python_function": {"loader_module": "mlflow.sklearn", "model_path": "model.skops", "predict_fn": "predict"},
        "sklearn": {"pickled_model": "model.skops", "serialization_format": "skops", "sklearn_version": "1.9.1"},
    },
    "saved_input_example_info": {"artifact_path": "input_example.json"},
    "signature": {
        "inputs": '[{"type": "double", "name": "a"}, {"type": "string", "name": "b"}]',
        "outputs": '[{"type": "long"}]',
    },
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "model.skops").write_bytes(b"x")
    (tmp_path / "requirements.txt").write_text("scikit-learn\n")
    return tmp_path


def flavor(folder: Path, **changed: object) -> Flavor:
    (folder / "MLmodel").write_text(yaml.safe_dump({**MLMODEL, **changed}))
    return read_flavor(folder)


@pytest.mark.parametrize(
    ("text", "pinned"),
    [
        ("models:/credit/3", True), ("models:/m-5fd991d75dd1", True), ("runs:/0a1b/model", True),
        ("models:/credit@champion", False), ("models:/credit/latest", False),
    ],
)  # fmt: skip
def test_only_what_names_one_model_for_ever_is_released(text: str, pinned: bool) -> None:
    uri = parse_uri(text)
    assert (str(uri), uri.pinned) == (text, pinned)
    if pinned:
        assert require_pinned(uri) == uri
    else:
        with pytest.raises(UsageError, match=r"ST1531.*--pin"):
            require_pinned(uri)


@pytest.mark.parametrize("text", ["", "credit/3", "models:/", "models:/credit", "models:/credit/0", "models:/credit/x",
                                  "models:/credit@a b", "models:/@x", "runs:/0a1b", "s3://bucket/model"])  # fmt: skip
def test_what_names_no_model_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="ST1530"):
        parse_uri(text)


@given(st.text(max_size=30))
def test_any_text_is_a_uri_or_refused(text: str) -> None:
    with suppress(UsageError):
        assert parse_uri(str(uri := parse_uri(f"models:/{text}"))) == uri


def test_a_model_is_read_from_its_mlmodel(model: Path) -> None:
    found = flavor(model)
    assert (found.framework, found.file, found.format) == ("sklearn 1.9.1", "model.skops", "skops")
    assert found.columns == {"a": "number", "b": "string"}
    assert (found.output, found.probabilities, found.example) == ("labels", True, True)
    assert found.environment == ("requirements.txt",)


def test_scores_and_labels_are_told_apart(model: Path) -> None:
    python = {**MLMODEL["flavors"], "python_function": {"predict_fn": "predict_proba"}}  # type: ignore[dict-item]
    regression = {"outputs": '[{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1]}}]'}
    assert flavor(model, flavors=python).output == "scores"
    assert flavor(model, signature=regression).output == "scores"
    assert not flavor(model, signature=regression).probabilities
    assert flavor(model, signature=None).output == "unknown"


@pytest.mark.parametrize("text", ["", "[1", "flavors: 3", "a: b"])
def test_what_is_no_model_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "MLmodel").write_text(text)
    with pytest.raises(UsageError, match="ST1536"):
        read_flavor(tmp_path)


def pinned(found: Flavor, url: str = "") -> Pinned:
    return Pinned(
        ModelUri("version", "credit", "3"), "0a1b", Digest("sha256:" + "a" * 64), found, ArtifactLineage(), url
    )


def test_a_version_is_served_where_it_is_tagged_else_from_its_file(model: Path) -> None:
    found = flavor(model)
    assert serving_of(pinned(found, "http://127.0.0.1:9")).url == "http://127.0.0.1:9"
    own = serving_of(pinned(found))
    assert (own.format, own.features, own.output) == ("skops", ("a", "b"), "predict_proba")
    with pytest.raises(UsageError, match=r"ST1538.*signature"):
        serving_of(pinned(flavor(model, signature=None)))
    with pytest.raises(UsageError, match=r"ST1538.*pytorch.*seatrial.url"):
        serving_of(pinned(flavor(model, flavors={"pytorch": {"pytorch_version": "2.9"}, "python_function": {}})))


def test_an_unknown_origin_is_refused(model: Path) -> None:
    with pytest.raises(UsageError, match=r"ST1539.*mlflow.source.git.commit.*log_input"):
        require_lineage(pinned(flavor(model)))


def trained(model: Path, month: int, **tags: str) -> ModelVersion:
    """The version that one month's run makes."""
    from mlflow.entities import Dataset, DatasetInput, Metric, Param, Run, RunData, RunInfo, RunInputs, RunTag

    told = {
        "mlflow.source.git.commit": "1f0c2aa", "seatrial.data.start": f"2025-0{month}-01T00:00:00+00:00",
        "seatrial.data.end": f"2026-0{month}-01T00:00:00+00:00", "seatrial.data.target": "default within 12 months",
        "seatrial.data.population": "personal loans", "seatrial.model.algorithm": "logistic regression",
        "seatrial.model.importances": '{"a": 0.4, "b": 0.6}', **tags,
    }  # fmt: skip
    data = RunData(
        [Metric("auc", 0.838, 0, 0)], [Param("C", "0.5")], [RunTag(name, text) for name, text in told.items()]
    )
    schema = json.dumps({"mlflow_colspec": [{"name": "a"}, {"name": "b"}]})
    rows = Dataset("applications", f"{month:08d}", "local", "x", schema, json.dumps({"num_rows": 1000 + month}))
    run = Run(RunInfo("0a1b", "0", "ann", "FINISHED", 0, 1, "active"), data, RunInputs([DatasetInput(rows, [])]))
    found = flavor(model)
    digest = Digest("sha256:" + str(month) * 64)
    return ModelVersion(
        ModelName("credit"), VersionNumber(month), Stage.NONE, lineage_of(run, found, digest),
        Serving(kind="artifact", artifact=digest, format="skops", features=("a", "b")), "registered",
        datetime(2026, month, 2, tzinfo=UTC), "ann",
    )  # fmt: skip


def test_the_next_month_of_the_same_run_is_no_material_change(model: Path) -> None:
    first = trained(model, 1)
    found = triage(delta(first, trained(model, 2)), Rules())
    assert (found.reasons, found.kind) == ((), "nonMaterial")
    assert any(note.startswith("data rows: 1,001 → 1,002") for note in found.notes)
    assert first.lineage is not None
    assert first.lineage.model is not None
    assert first.lineage.model.hyperparameters == {"C": 0.5}, "a number, which can be held to bounds"
    other = trained(model, 2, **{"seatrial.model.importances": '{"a": 0.9, "b": 0.1}'})
    assert {reason.rule for reason in triage(delta(first, other), Rules()).reasons} == {"importance"}
    silent = trained(model, 2, **{"seatrial.model.algorithm": ""})
    assert [reason.rule for reason in triage(delta(first, silent), Rules()).reasons] == ["unknown", "change"]
    with pytest.raises(UsageError, match=r"ST1556.*weighs no features"):
        trained(model, 2, **{"seatrial.model.importances": "0.4"})


PLAN = """
name: p
deadline: 30d
metrics:
  - {name: errors, kind: error_rate, margin: 10%}
  - {name: log_loss, kind: loss, loss: log_loss, outcome: y, horizon: 1h, margin: 5%}
steps:
  - setWeight: 20%
  - pause: {duration: 2d}
"""


def test_metrics_of_scores_are_refused_for_labels() -> None:
    def version(output: str) -> ModelVersion:
        from livesystem import T0

        serving = Serving(kind="url", url="http://127.0.0.1:9")
        name, number = ModelName("credit"), VersionNumber(1)
        return ModelVersion(name, number, Stage.NONE, None, serving, "adopted", T0, "ann", {"mlflow.output": output})

    plan = parse_plan(PLAN)
    require_scores(plan, [version("scores"), version("unknown")])
    with pytest.raises(PlanError, match=r"ST1553.*log_loss.*pyfunc_predict_fn='predict_proba'"):
        require_scores(plan, [version("scores"), version("labels")])


def test_an_example_is_a_row_or_rows_or_a_request(tmp_path: Path) -> None:
    path = tmp_path / "example.json"
    for document, form in [
        ({"a": 1}, "dataframe_records"), ([{"a": 1}], "dataframe_records"), ({"inputs": [[1]]}, "inputs"),
        ({"columns": ["a"], "data": [[1]]}, "dataframe_split"),
    ]:  # fmt: skip
        path.write_text(json.dumps(document))
        assert [*read_example(path)] == [form]
    for wrong in ("{", "[]", '{"inputs": 3}', "[1]"):
        path.write_text(wrong)
        with pytest.raises(UsageError, match="ST1552"):
            read_example(path)


def test_answers_are_scores_or_labels() -> None:
    assert output_of([{"0": 0.1, "1": 0.9}]) == output_of([0.0]) == "scores"
    assert output_of([True]) == output_of([[1], [0]]) == output_of({"label": ["a"]}) == "labels"


def test_nothing_that_answers_is_said() -> None:
    with pytest.raises(Unavailable, match=r"ST1550.*mlflow models serve"):
        probe("http://127.0.0.1:9")


def test_the_settings_are_checked() -> None:
    assert MlflowSettings(aliases={"challenger": None}).published["challenger"] is None
    assert MlflowSettings(plan="a.yaml", plans={"credit": "b.yaml"}).plan_of("credit") == "b.yaml"
    for wrong in ({"champion": "latest"}, {"champion": "v3"}, {"champion": "a b"}, {"champion": "previous"}):
        with pytest.raises(ValueError, match="@"):
            MlflowSettings(aliases=wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="two models"):
        MlflowSettings(models={"a": "x", "b": "x"})


def test_mlflow_that_is_nowhere_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match=r"ST1532.*MLFLOW_TRACKING_URI"):
        Tracking()
    away = Tracking("http://ann:secret@127.0.0.1:9")
    with pytest.raises(Unavailable, match="ST1533") as error:
        away.aliases()
    assert isinstance(error.value, SeatrialError)
    assert "secret" not in str(error.value), "also in the words of MLflow's own client"
