"""Wire formats: every documented shape is read, and no body can raise anything but WireError."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.events.wire import (
    FORMATS,
    Prediction,
    ResponseSpec,
    WireError,
    WireFormat,
    detect_format,
    parse_request,
    parse_response,
)

JSON = "application/json"
ROW_A, ROW_B = {"amount": 12.5, "country": "DE"}, {"amount": 3.0, "country": None}


def request(path: str, body: Any, **options: Any) -> Any:
    return parse_request(path, JSON, json.dumps(body), **options)


def response(format: WireFormat, body: Any, rows: int | None = None, **spec: str) -> Prediction:
    return parse_response(format, JSON, json.dumps(body), rows=rows, spec=ResponseSpec(**spec))


def kind(format: WireFormat, body: Any, rows: int | None = None, **spec: str) -> str:
    with pytest.raises(WireError) as caught:
        response(format, body, rows, **spec)
    return caught.value.kind


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": ["amount", "country"], "data": [[12.5, "DE"], [3.0, None]]}},
        {"dataframe_split": {"index": [7, 9], "columns": ["amount", "country"], "data": [[12.5, "DE"], [3.0, None]]}},
        {"dataframe_records": [ROW_A, ROW_B]},
        {"instances": [ROW_A, ROW_B]},
        {"inputs": {"amount": [12.5, 3.0], "country": ["DE", None]}, "params": {"x": 1}},
    ],
)
def test_the_json_forms_of_mlflow_say_the_same(body: Any) -> None:
    parsed = request("/invocations", body)
    assert (parsed.format, parsed.rows, parsed.features) == ("mlflow", 2, (ROW_A, ROW_B))


def test_mlflow_csv_is_typed_by_column_as_pandas_does() -> None:
    parsed = parse_request("/invocations", "text/csv; charset=utf-8", "id,amount,zip\n1,2.5,01a\n2,,17\n")
    assert parsed.features == ({"id": 1, "amount": 2.5, "zip": "01a"}, {"id": 2, "amount": None, "zip": "17"})


def test_rows_without_names_stay_vectors() -> None:
    parsed = request("/invocations", {"inputs": [[1.0, 2.0], [3.0, 4.0]]})
    assert parsed.features is None
    assert parsed.vectors == ([1.0, 2.0], [3.0, 4.0])
    assert request("/v1/models/m:predict", {"instances": [1, 2, 3]}).vectors == ([1], [2], [3])
    assert request("/invocations", {"inputs": {"amount": 1.0, "country": "DE"}}).features == (
        {"amount": 1.0, "country": "DE"},
    )


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"instances": [], "inputs": []},
        {"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}},
        {"dataframe_split": {"columns": ["a"], "data": [1]}},
        {"dataframe_records": [1]},
        {"inputs": {"a": [1, 2], "b": [1]}},
        {"inputs": 3},
    ],
)
def test_a_request_of_the_wrong_shape_is_refused(body: Any) -> None:
    with pytest.raises(WireError) as caught:
        request("/invocations", body)
    assert caught.value.kind == "schema"


def test_bodies_that_cannot_be_read_say_so() -> None:
    for content_type, body, expected in [
        (JSON, b"\xff\xfe{", "non_json"),
        (JSON, "", "non_json"),
        (JSON, "[" * 100_000, "non_json"),
        (JSON, "9" * 5_000, "non_json"),
        ("application/x-parquet", b"PAR1", "unsupported"),
        ("text/csv", "a,b\n1\n", "schema"),
    ]:
        with pytest.raises(WireError) as caught:
            parse_request("/invocations", content_type, body)
        assert caught.value.kind == expected


def tensor(name: str, shape: list[int], data: list[Any], datatype: str = "FP64") -> dict[str, Any]:
    return {"name": name, "shape": shape, "datatype": datatype, "data": data}


def test_tensors_are_reshaped_whether_flat_or_nested() -> None:
    path = "/v2/models/credit/versions/3/infer"
    flat = request(path, {"id": "q1", "inputs": [tensor("x", [2, 3], [1, 2, 3, 4, 5, 6])]})
    nested = request(path, {"id": "q1", "inputs": [tensor("x", [2, 3], [[1, 2, 3], [4, 5, 6]])]})
    assert flat == nested
    assert (flat.format, flat.rows, flat.id, flat.vectors) == ("oip-v2", 2, "q1", ([1, 2, 3], [4, 5, 6]))


def test_several_tensors_are_named_columns() -> None:
    columns = [tensor("amount", [2, 1], [[12.5], [3.0]]), tensor("country", [2], ["DE", None], "BYTES")]
    assert request("/v2/models/credit/infer", {"inputs": columns}).features == (ROW_A, ROW_B)


@pytest.mark.parametrize(
    ("shape", "data"),
    [
        ([2, 2], [1, 2, 3]),
        ([2], [[1], [2, 3]]),
        ([10**12, 0], []),
        ([-1], [1]),
        ([], [1]),
        ([True], [1]),
        ([2], [1, [2]]),
    ],
)
def test_a_tensor_that_does_not_fill_its_shape_is_refused(shape: list[int], data: list[Any]) -> None:
    with pytest.raises(WireError) as caught:
        request("/v2/models/m/infer", {"inputs": [tensor("x", shape, data)]})
    assert caught.value.kind == "schema"


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/models/credit/invocations?x=1", {}, "mlflow"),
        ("/v2/models/credit/infer", {}, "oip-v2"),
        ("/v1/models/credit/versions/2:predict", {}, "tf-v1"),
        ("/score", {"dataframe_split": {}}, "mlflow"),
        ("/score", {"instances": []}, "tf-v1"),
        ("/score", {"inputs": [tensor("x", [1], [1])]}, "oip-v2"),
        ("/score", {"items": []}, "json"),
        ("/score", [1], "json"),
    ],
)
def test_the_format_is_known_by_path_and_then_by_shape(path: str, body: Any, expected: str) -> None:
    assert detect_format(path, body) == expected


def test_any_json_service_is_read_by_pointers() -> None:
    spec = ResponseSpec(rows="/batch/items", score="/items/*/risk", label="/items/*/class")
    asked = request("/score", {"batch": {"items": [ROW_A, ROW_B]}}, spec=spec)
    assert asked.features == (ROW_A, ROW_B)
    answer = {"items": [{"risk": 1, "class": "bad"}, {"risk": 0.25, "class": "good"}]}
    parsed = parse_response("json", JSON, json.dumps(answer), rows=2, spec=spec)
    assert parsed == Prediction((1.0, 0.25), ("bad", "good"))
    assert response("json", {"a/b": {"~": 0.5}}, 1, score="/a~1b/~0").scores == (0.5,)
    with pytest.raises(ValueError, match="write '/risk'"):
        ResponseSpec(score="risk")


@pytest.mark.parametrize(
    ("format", "body", "scores", "labels"),
    [
        ("mlflow", {"predictions": [0.25, 0.5]}, (0.25, 0.5), (None, None)),
        ("mlflow", {"predictions": [[0.75, 0.25], [0.5, 0.5]]}, (0.25, 0.5), (None, None)),
        ("mlflow", {"predictions": [[0.25], [0.5]]}, (0.25, 0.5), (None, None)),
        ("mlflow", {"predictions": [1, 0]}, (None, None), ("1", "0")),
        ("mlflow", {"predictions": [1, 0.5]}, (1.0, 0.5), (None, None)),
        ("mlflow", {"predictions": ["good", True]}, (None, None), ("good", "true")),
        ("mlflow", {"predictions": [{"label": "x", "score": 0.5}, {"label": "y", "score": 1}]}, (0.5, 1.0), ("x", "y")),
        ("mlflow", {"predictions": [[0.1, 0.7, 0.2], [-4.0, 9.0, 2.0]]}, (None, None), ("1", None)),
        ("tf-v1", {"predictions": [[0.75, 0.25], [0.5, 0.5]]}, (0.25, 0.5), (None, None)),
        ("tf-v1", {"outputs": [0.25, 0.5]}, (0.25, 0.5), (None, None)),
        ("tf-v1", {"outputs": {"score": [[0.25], [0.5]], "label": ["x", "y"]}}, (0.25, 0.5), ("x", "y")),
        ("json", {"output": [0.25, 0.5]}, (0.25, 0.5), (None, None)),
        ("json", {"score": 0.25}, (0.25,), (None,)),
        ("json", {"prediction": "good", "took_ms": 3}, (None,), ("good",)),
        ("json", [0.25, 0.5], (0.25, 0.5), (None, None)),
    ],
)
def test_usual_responses(format: WireFormat, body: Any, scores: Any, labels: Any) -> None:
    assert response(format, body, len(scores)) == Prediction(scores, labels)


def test_tensors_in_a_response() -> None:
    proba = tensor("predict_proba", [2, 2], [0.75, 0.25, 0.5, 0.5])
    label = tensor("predict", [2], [0, 1], "INT64")
    assert response("oip-v2", {"outputs": [proba]}, 2) == Prediction((0.25, 0.5), (None, None))
    assert response("oip-v2", {"outputs": [label]}, 2) == Prediction((None, None), ("0", "1"))
    assert response("oip-v2", {"outputs": [label, proba]}, 2) == Prediction((0.25, 0.5), ("0", "1"))
    assert response("oip-v2", {"outputs": [label, proba]}, 2, output="predict").scores == (None, None)
    assert response("oip-v2", {"outputs": [tensor("p", [1], [1], "FP32")]}, 1).scores == (1.0,)


@pytest.mark.parametrize(
    ("format", "body", "rows", "expected"),
    [
        ("mlflow", {"predictions": [0.5]}, 2, "row_count"),
        ("mlflow", {"predictions": [None]}, 1, "nan"),
        ("mlflow", {"predictions": [[0.5, None]]}, 1, "nan"),
        ("mlflow", {"predictions": [[[1.0], [float("nan")], 2]]}, 1, "nan"),
        ("mlflow", {"predictions": [float("nan")]}, 1, "nan"),
        ("mlflow", {"predictions": [float("-inf"), 1.0]}, 2, "nan"),
        ("mlflow", {"predictions": ["NaN"]}, 1, "nan"),
        ("mlflow", {"predictions": [10**400]}, 1, "nan"),
        ("mlflow", {"predictions": []}, 1, "no_predictions"),
        ("mlflow", {"predictions": []}, None, "no_predictions"),
        ("mlflow", {"predictions": [[]]}, 1, "no_predictions"),
        ("mlflow", {"error_code": "BAD_REQUEST", "message": "no"}, 1, "no_predictions"),
        ("mlflow", [0.5], 1, "no_predictions"),
        ("mlflow", {"predictions": [{"a": 1, "b": 2}]}, 1, "no_predictions"),
        ("oip-v2", {"outputs": [tensor("p", [2], [0.5, None])]}, 2, "nan"),
        ("oip-v2", {"outputs": [tensor("p", [2], ["0.5", 1.0])]}, 2, "schema"),
        ("oip-v2", {"outputs": [tensor("p", [2, 1], [0.5, 0.5])]}, 1, "row_count"),
        ("oip-v2", {"outputs": [tensor("p", [1], [0.5]), tensor("l", [2], [1, 1], "INT64")]}, 1, "row_count"),
        ("oip-v2", {"outputs": [{"name": "p", "shape": [1], "datatype": "FP32"}]}, 1, "unsupported"),
        ("oip-v2", {"outputs": []}, 1, "no_predictions"),
        ("oip-v2", {"error": "boom"}, 1, "no_predictions"),
        ("json", {"status": "ok", "took": 3}, 1, "no_predictions"),
        ("json", {"score": None}, 1, "nan"),
    ],
)
def test_an_answer_that_is_no_valid_prediction_has_a_kind(
    format: WireFormat, body: Any, rows: Any, expected: str
) -> None:
    assert kind(format, body, rows) == expected


def test_an_empty_batch_has_an_empty_answer() -> None:
    assert request("/invocations", {"instances": []}).rows == 0
    assert response("mlflow", {"predictions": []}, 0) == Prediction((), ())


def test_labels_can_always_be_stored_as_text() -> None:
    (label,) = parse_response("mlflow", JSON, '{"predictions": ["\\ud800x"]}', rows=1).labels
    assert label is not None
    assert label.encode("utf-8")


FORMS = ["dataframe_split", "dataframe_records", "instances", "inputs", "outputs", "predictions"]
FIELDS = ["columns", "data", "name", "shape", "datatype", "score", "label", "output", "id", "x"]
KEYS = st.sampled_from([*FORMS, *FIELDS])
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=4)
    | st.sampled_from(["FP32", "INT64", "BYTES", "NaN", 10**400, 0, 1, 2])
)
TENSORS = st.fixed_dictionaries(
    {
        "name": LEAVES,
        "shape": st.lists(st.integers(-1, 3) | LEAVES, max_size=3) | LEAVES,
        "datatype": st.sampled_from(["FP32", "INT64", "BYTES"]) | LEAVES,
        "data": st.lists(LEAVES | st.lists(LEAVES, max_size=3), max_size=6) | LEAVES,
    }
)
DOCUMENTS = st.recursive(
    LEAVES | TENSORS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)
HEADS = st.lists(TENSORS).map(lambda tensors: json.dumps({"inputs": tensors}).encode())
BINARY = st.builds(bytes.__add__, HEADS, st.binary())
BODIES = st.binary(max_size=40) | DOCUMENTS.map(json.dumps) | BINARY
PATHS = st.sampled_from(["/invocations", "/v2/models/m/infer", "/v1/models/m:predict", "/score"])
TYPES = st.sampled_from(
    [None, JSON, "text/csv", "application/jsonlines", "text/event-stream", "application/octet-stream", ";", "\x00"]
)
SPECS = st.builds(
    ResponseSpec,
    score=st.sampled_from([None, "", "/predictions", "/predictions/*/score", "/*/x", "/0"]),
    label=st.sampled_from([None, "/predictions/*/label", "/-"]),
    rows=st.sampled_from([None, "/instances", "/inputs/*/data"]),
    output=st.sampled_from([None, "x", "score"]),
)


@given(PATHS, TYPES, BODIES, st.sampled_from([None, *FORMATS]), SPECS)
def test_no_request_body_raises_anything_but_a_wire_error(
    path: str, content_type: str | None, body: Any, format: Any, spec: ResponseSpec
) -> None:
    try:
        parsed = parse_request(path, content_type, body, format=format, spec=spec)
    except WireError:
        return
    rows = parsed.features if parsed.features is not None else parsed.vectors
    if rows is None:
        assert parsed.format == "opaque" or content_type == "application/octet-stream"
        assert parsed.rows <= max(1, len(body) * 8)
    else:
        assert parsed.rows == len(rows)


@given(st.sampled_from(FORMATS), TYPES, BODIES, st.none() | st.integers(0, 3), SPECS)
def test_no_response_body_raises_anything_but_a_wire_error(
    format: Any, content_type: str | None, body: Any, rows: int | None, spec: ResponseSpec
) -> None:
    try:
        parsed = parse_response(format, content_type, body, rows=rows, spec=spec)
    except WireError:
        return
    assert len(parsed.scores) == len(parsed.labels)
    assert rows is None or rows == len(parsed)
    assert all(score is None or abs(score) < float("inf") for score in parsed.scores)
