"""What may be loaded: data freely, foreign types by name, pickles only with trust."""

from __future__ import annotations

import importlib.util
import os.path
import warnings
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

from seatrial.errors import NotFound, SeatrialError, UsageError
from seatrial.serving.loaders import artifact_file, load, onnx_model
from seatrial.serving.spec import ArtifactFormat, HostSpec

FRAME = pd.DataFrame({"amount": [1.0, 2.0, 3.0, 4.0] * 5, "country": ["DE", "FR", "DE", "IT"] * 5})
LABELS = np.array([0, 0, 1, 1] * 5)


def pipeline() -> Pipeline:
    encode = ColumnTransformer([("text", OneHotEncoder(), ["country"])], remainder="passthrough")
    return Pipeline([("encode", encode), ("model", LogisticRegression())]).fit(FRAME, LABELS)


def spec(folder: Path, format: ArtifactFormat = "skops", **changes: Any) -> HostSpec:
    return HostSpec("credit", "3", artifact_dir=str(folder), format=format, features=("amount", "country"), **changes)


def test_a_skops_pipeline_loads_and_its_text_columns_are_known(tmp_path: Path) -> None:
    model = pipeline()
    skops.io.dump(model, tmp_path / "model.skops")
    loaded = load(spec(tmp_path))
    assert loaded.wants_frame
    assert loaded.categories == {"country": ("DE", "FR", "IT")}
    assert np.array_equal(loaded.predict(FRAME), model.predict_proba(FRAME))


def test_types_that_are_not_trusted_are_named_with_the_remedy(tmp_path: Path) -> None:
    model = FunctionTransformer(os.path.basename).fit(FRAME)
    skops.io.dump(model, tmp_path / "model.skops")
    with pytest.raises(SeatrialError, match=r"ST0756 model credit/3.*posixpath.basename.*trusted type"):
        load(spec(tmp_path))


def test_ordinary_gradient_boosting_needs_no_trust(tmp_path: Path) -> None:
    steps = make_pipeline(SimpleImputer(), HistGradientBoostingClassifier(max_iter=2))
    skops.io.dump(steps.fit(FRAME[["amount"]], LABELS), tmp_path / "model.skops")
    assert load(spec(tmp_path)).predict(FRAME[["amount"]]).shape == (20, 2)


def test_a_pickle_needs_trust_and_is_not_opened_without(tmp_path: Path) -> None:
    joblib.dump(pipeline(), tmp_path / "model.joblib")
    with pytest.raises(UsageError, match=r"ST0757.*pickle.*--trust-pickle"):
        load(spec(tmp_path, "joblib"))
    assert load(spec(tmp_path, "joblib", trust_pickle=True)).predict(FRAME).shape == (20, 2)


def test_a_model_fitted_on_an_array_gets_one_without_warnings(tmp_path: Path) -> None:
    skops.io.dump(Ridge().fit([[1.0, 2.0], [2.0, 3.0]], [1.0, 2.0]), tmp_path / "model.skops")
    loaded = load(spec(tmp_path, output="predict"))
    assert not loaded.wants_frame
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert loaded.predict(np.ones((3, 2))).shape == (3,)


def test_an_output_the_model_does_not_have_is_refused(tmp_path: Path) -> None:
    skops.io.dump(Ridge().fit([[1.0, 2.0], [2.0, 3.0]], [1.0, 2.0]), tmp_path / "model.skops")
    with pytest.raises(SeatrialError, match=r"a Ridge has no predict_proba.*output 'predict'"):
        load(spec(tmp_path))


def test_the_model_file_must_be_the_only_one(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no \*\.skops"):
        artifact_file(spec(tmp_path))
    (tmp_path / "a.skops").touch()
    assert artifact_file(spec(tmp_path)) == tmp_path / "a.skops"
    (tmp_path / "b.skops").touch()
    with pytest.raises(NotFound, match="2 files"):
        artifact_file(spec(tmp_path))
    (tmp_path / "5e884898").touch()
    assert artifact_file(spec(tmp_path / "5e884898")) == tmp_path / "5e884898"


@pytest.mark.skipif(importlib.util.find_spec("onnxruntime") is not None, reason="the ONNX runtime is installed")
def test_onnx_without_its_runtime_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").touch()
    with pytest.raises(UsageError, match=r"pip install 'seatrial\[onnx\]'"):
        load(spec(tmp_path, "onnx"))


class Entry:
    def __init__(self, name: str, type: str = "tensor(float)") -> None:
        self.name, self.type = name, type


class Session:
    """The part of an ONNX session that a host uses; it echoes what it was fed."""

    def __init__(self, inputs: list[Entry], answer: Any) -> None:
        self.inputs, self.answer, self.fed = inputs, answer, {}  # type: ignore[var-annotated]

    def get_inputs(self) -> list[Entry]:
        return self.inputs

    def get_outputs(self) -> list[Entry]:
        return [Entry("label"), Entry("probabilities")]

    def run(self, names: list[str], feed: dict[str, Any]) -> list[Any]:
        self.fed, self.names = feed, names
        return [self.answer]


def test_an_onnx_graph_is_fed_as_it_declares(tmp_path: Path) -> None:
    columns = Session([Entry("amount"), Entry("country", "tensor(string)")], [{0: 0.25, 1: 0.75}])
    assert onnx_model(columns, spec(tmp_path, "onnx")).predict(FRAME[:1]).tolist() == [[0.25, 0.75]]
    assert columns.names == ["probabilities"]
    assert {name: (value.shape, value.dtype.kind) for name, value in columns.fed.items()} == {
        "amount": ((1, 1), "f"),
        "country": ((1, 1), "O"),
    }
    matrix = Session([Entry("x")], np.array([[1.5]]))
    assert onnx_model(matrix, spec(tmp_path, "onnx", output="predict")).predict(np.ones((1, 2))).tolist() == [1.5]
    assert matrix.names == ["label"]
    assert matrix.fed["x"].shape == (1, 2)
