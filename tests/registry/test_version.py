"""Models and versions: names, ways of serving, and where a version may come from."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import TypeAdapter

from seatrial.errors import UsageError
from seatrial.ids import Digest, ModelName, VersionNumber
from seatrial.registry.lifecycle import Stage
from seatrial.registry.lineage import ArtifactLineage, CodeRef, DataRef, ModelRef
from seatrial.registry.version import Model, ModelVersion, Serving, check_name

A, B = Digest("sha256:" + "a" * 64), Digest("sha256:" + "b" * 64)
LINEAGE = ArtifactLineage(
    CodeRef("1f0c2aa", dirty=False),
    DataRef(B, 1000, datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)),
    ModelRef(A, "sklearn", {"max_depth": 6, "layers": [64, 32], "bootstrap": True}, {"auc": 0.91}),
)


@pytest.mark.parametrize("name", ["fraud", "0", "fraud-eu-2", "a" * 63])
def test_good_names(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "-fraud", "Fraud", "fraud.eu", "fraud_eu", "fraud/eu", "a" * 64, "fraud\n", "é"])
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="not a model name"):
        Model(ModelName(name))


def test_a_unit_header_is_an_http_header() -> None:
    with pytest.raises(UsageError, match="HTTP header"):
        Model(ModelName("fraud"), unit_header="x unit")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"kind": "url"}, "not an http"),
        ({"kind": "url", "url": "ftp://host/m"}, "not an http"),
        ({"kind": "url", "url": "http:///m"}, "not an http"),
        ({"kind": "url", "url": "http://host/m", "artifact": A}, "both"),
        ({"kind": "artifact", "format": "skops"}, "digest and its format"),
        ({"kind": "artifact", "artifact": A}, "digest and its format"),
        ({"kind": "artifact", "artifact": A, "format": "skops", "url": "http://host/m"}, "both"),
        ({"kind": "artifact", "artifact": A, "format": "joblib"}, "--trust-pickle"),
        ({"kind": "url", "url": "http://host/m#part"}, "not an http"),
        (
            {"kind": "artifact", "artifact": A, "format": "onnx", "features": ("a", "b"), "dtypes": ("number",)},
            "ST0135",
        ),
        ({"kind": "artifact", "artifact": A, "format": "onnx", "features": ("a",), "dtypes": ("date",)}, "ST0136"),
    ],
)
def test_a_version_that_cannot_be_served_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Serving(**fields)


def test_pickle_is_served_when_it_is_trusted() -> None:
    assert Serving("artifact", artifact=A, format="joblib", trust_pickle=True).trust_pickle


def version(source: Any, lineage: ArtifactLineage | None, artifact: Digest = A) -> ModelVersion:
    serving = Serving("artifact", artifact=artifact, format="skops")
    now = datetime(2026, 3, 1, tzinfo=UTC)
    return ModelVersion(ModelName("fraud"), VersionNumber(3), Stage.NONE, lineage, serving, source, now, "ann")


def test_a_registered_version_has_its_lineage_and_an_adopted_one_need_not() -> None:
    assert version("registered", LINEAGE).name == "fraud v3"
    assert version("adopted", None).source == "adopted"
    with pytest.raises(UsageError, match="no data"):
        version("registered", ArtifactLineage(LINEAGE.code, None, LINEAGE.model))


def test_the_artifact_served_is_the_one_the_lineage_names() -> None:
    with pytest.raises(UsageError, match="is to be served"):
        version("registered", LINEAGE, artifact=B)


@pytest.mark.parametrize("value", [LINEAGE, version("registered", LINEAGE), Model(ModelName("fraud"), "risk", "block")])
def test_values_survive_json(value: object) -> None:
    adapter = TypeAdapter(type(value))
    assert adapter.validate_json(adapter.dump_json(value)) == value
