"""Example bodies of each format's own documentation, read as they stand; what one format says, the others say too."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.events.wire import (
    Prediction,
    Request,
    ResponseSpec,
    WireError,
    WireFormat,
    is_scored,
    parse_request,
    parse_response,
)

JSON, CSV, LINES, BYTES = "application/json", "text/csv", "application/jsonlines", "application/octet-stream"
NONE = (None, None)


def asked(path: str, body: Any, kind: str = JSON, **options: Any) -> Request:
    return parse_request(path, kind, body if isinstance(body, str | bytes) else json.dumps(body), **options)


def answered(
    format: WireFormat, body: Any, rows: int | None = None, kind: str = JSON, **spec: str
) -> tuple[tuple[float | None, ...], tuple[str | None, ...]]:
    text = body if isinstance(body, str | bytes) else json.dumps(body)
    found = parse_response(format, kind, text, rows=rows, spec=ResponseSpec(**spec))
    return found.scores, found.labels


def refused(call: Any, *given: Any, **options: Any) -> str:
    with pytest.raises(WireError) as caught:
        call(*given, **options)
    return caught.value.kind


# MLflow: "Inference server specification"


def test_mlflow() -> None:
    split = {"dataframe_split": {"columns": ["x", "y"], "index": [0, 1], "data": [[1, "a"], [2, "b"]]}}
    records = {"dataframe_records": [{"x": 1, "y": "a"}, {"x": 2, "y": "b"}]}
    tensors = {"inputs": {"x": [1, 2], "y": ["a", "b"]}, "params": {"temperature": 0.5}}
    expected = ({"x": 1, "y": "a"}, {"x": 2, "y": "b"})
    for body in (split, records, tensors):
        assert asked("/invocations", body).features == expected
    assert asked("/invocations", "x,y\n1,a\n2,b\n", CSV).features == expected
    assert asked("/invocations", {"instances": [[6.8, 2.8], [6.0, 3.4]]}).vectors == ([6.8, 2.8], [6.0, 3.4])
    assert answered("mlflow", {"predictions": [0, 1]}, 2) == ((None, None), ("0", "1"))
    assert answered("mlflow", {"predictions": [{"0": 0.9, "1": 0.1}]}, 1, output="1") == ((0.1,), (None,))
    assert refused(answered, "mlflow", {"error_code": "BAD_REQUEST", "message": "no"}) == "no_predictions"
    assert refused(asked, "/invocations", b"PAR1", "application/vnd.apache.parquet") == "unsupported"
    assert refused(asked, "/invocations", b"ARROW1", "application/vnd.apache.arrow.file") == "unsupported"


# Open Inference Protocol: inference_rest.md and extension_binary_data.md


def test_the_open_inference_protocols_own_example() -> None:
    request = {
        "id": "42",
        "inputs": [
            {"name": "input0", "shape": [2, 2], "datatype": "UINT32", "data": [1, 2, 3, 4]},
            {"name": "input1", "shape": [3], "datatype": "BOOL", "data": [True]},
        ],
        "outputs": [{"name": "output0"}],
    }
    response = {
        "id": "42",
        "outputs": [
            {"name": "output0", "shape": [3, 2], "datatype": "FP32", "data": [1.0, 1.1, 2.0, 2.1, 3.0, 3.1]},
        ],
    }
    assert refused(asked, "/v2/models/mymodel/infer", request) == "schema", "its second tensor has one value of three"
    assert answered("oip-v2", response, 3)[0] == (1.1, 2.1, 3.1)


def test_kserve_iris() -> None:
    request = {
        "inputs": [
            {
                "name": "input-0", "shape": [2, 4], "datatype": "FP32",
                "data": [[6.8, 2.8, 4.8, 1.4], [6.0, 3.4, 4.5, 1.6]],
            }
        ]
    }  # fmt: skip
    read = asked("/v2/models/sklearn-v2-iris/infer", request)
    assert (read.rows, read.vectors) == (2, ([6.8, 2.8, 4.8, 1.4], [6.0, 3.4, 4.5, 1.6]))
    output = {"name": "output-1", "datatype": "INT64", "data": [1, 1], "parameters": {"content_type": "np"}}
    for shape in ([2], [2, 1]):
        body = {"model_name": "iris", "id": "9e3", "parameters": {}, "outputs": [{**output, "shape": shape}]}
        assert answered("oip-v2", body, 2) == ((None, None), ("1", "1"))


def binary(shape: list[int], values: int, datatype: str = "FP32") -> bytes:
    size = {"binary_data_size": 4 * values}
    head = {"inputs": [{"name": "x", "shape": shape, "datatype": datatype, "parameters": size}], "id": "b-1"}
    return json.dumps(head).encode() + struct.pack(f"<{values}f", *range(values))


def test_binary_tensors_are_counted_and_not_decoded() -> None:
    read = asked("/v2/models/m/infer", binary([2, 3], 6), BYTES)
    assert (read.format, read.rows, read.features, read.vectors, read.id) == ("oip-v2", 2, None, None, "b-1")
    assert asked("/score", binary([2, 3], 6), BYTES, format="oip-v2").rows == 2
    assert refused(asked, "/v2/models/m/infer", binary([2_000_000_000], 1), BYTES) == "schema", "nobody pays for that"
    assert refused(asked, "/v2/models/m/infer", binary([2_000_000_000, 0], 1), BYTES) == "schema"
    assert refused(asked, "/v2/models/m/infer", b"\x00\x01", BYTES) == "unsupported"
    assert refused(asked, "/score", binary([2, 3], 6), BYTES) == "unsupported"
    output = {"name": "y", "shape": [2], "datatype": "FP32", "parameters": {"binary_data_size": 8}}
    assert refused(answered, "oip-v2", json.dumps({"outputs": [output]}).encode() + b"12345678", 2, BYTES) == (
        "unsupported"
    )
    assert refused(answered, "oip-v2", {"outputs": [output]}, 2) == "unsupported", "also where the type says JSON"


def test_a_pointer_into_tensors_means_the_same_flat_and_nested() -> None:
    tensor = {"name": "p", "shape": [2, 3], "datatype": "FP32"}
    flat, nested = [0.1, 0.7, 0.2, 0.3, 0.3, 0.4], [[0.1, 0.7, 0.2], [0.3, 0.3, 0.4]]
    for data in (flat, nested):
        body = {"outputs": [{**tensor, "data": data}]}
        assert answered("oip-v2", body, 2) == ((None, None), ("1", "2"))
        assert answered("oip-v2", body, 2, score="/outputs/0/data/*/2") == ((0.2, 0.4), (None, None))


# TensorFlow Serving: api_rest; KServe: "V1 Inference Protocol"


def test_tensorflow_serving() -> None:
    path = "/v1/models/half_plus_three:predict"
    assert asked(path, {"instances": [1.0, 2.0, 5.0]}).vectors == ([1.0], [2.0], [5.0])
    assert answered("tf-v1", {"predictions": [2.5, 3.0, 4.5]}, 3)[0] == (2.5, 3.0, 4.5)
    row = {"tag": "foo", "signal": [1, 2, 3, 4, 5], "sensor": [[1, 2], [3, 4]]}
    columns = {"tag": ["foo"], "signal": [[1, 2, 3, 4, 5]], "sensor": [[[1, 2], [3, 4]]]}
    for body in ({"signature_name": "serving_default", "instances": [row]}, {"inputs": columns}):
        assert asked(path, body).features == (row,)
    assert answered("tf-v1", {"outputs": [[2.5], [3.0]]}, 2)[0] == (2.5, 3.0)
    both = {"outputs": {"score": [[0.25], [0.5]], "class": ["x", "y"]}}
    assert answered("tf-v1", both, 2) == ((0.25, 0.5), ("x", "y"))
    assert refused(answered, "tf-v1", {"error": "Malformed request"}) == "no_predictions"
    assert refused(asked, path, [1, 2]) == "schema"


def test_kserve_v1() -> None:
    body = {"instances": [[6.8, 2.8, 4.8, 1.4], [6.0, 3.4, 4.5, 1.6]]}
    assert asked("/v1/models/sklearn-iris:predict", body).rows == 2
    assert answered("tf-v1", {"predictions": [1, 1]}, 2) == ((None, None), ("1", "1"))


# Vertex AI: endpoints.predict, and the answers of its tabular models


def test_vertex() -> None:
    body = {"instances": [{"age": 39, "job": "clerk"}], "parameters": {}}
    path = "/v1/projects/p/locations/l/endpoints/7:predict"
    assert asked(path, body, format="vertex").features == ({"age": 39, "job": "clerk"},)
    assert asked(path, body).format == "tf-v1", "which reads it in the same way"
    around = {"deployedModelId": "123", "model": "projects/p/models/m", "modelVersionId": "1"}
    classes = {"classes": ["<=50K", ">50K"], "scores": [0.8, 0.2]}
    more = {"classes": ["a", "b", "c"], "scores": [0.2, 0.5, 0.3]}
    texts = {"ids": ["1", "2"], "displayNames": ["a", "b"], "confidences": [0.5, 0.75]}
    number = {"value": 3, "lower_bound": 2.5, "upper_bound": 3.5}
    assert answered("vertex", {"predictions": [classes, more], **around}, 2) == ((0.2, None), ("<=50K", "b"))
    assert answered("vertex", {"predictions": [texts, number], **around}, 2) == ((0.75, 3.0), ("b", None))
    assert refused(answered, "vertex", {"outputs": [1], **around}) == "no_predictions"
    assert refused(answered, "vertex", {"predictions": [{"classes": ["a"], "scores": [0.5, 0.5]}]}) == "schema"
    assert refused(answered, "vertex", {"predictions": [{"classes": ["a"], "scores": [None]}]}) == "schema"
    assert refused(asked, path, {"inputs": [1]}, format="vertex") == "schema"


# SageMaker: "Common data formats for inference"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"instances": [{"features": [1.5, 16.0, 14.0]}, {"features": [-2.0, 100.2, 15.2]}]}, JSON),
        (
            {"instances": [{"data": {"features": {"values": [1.5, 16.0, 14.0]}}}, {"features": [-2.0, 100.2, 15.2]}]},
            JSON,
        ),
        ('{"features": [1.5, 16.0, 14.0]}\n{"data": {"features": {"values": [-2.0, 100.2, 15.2]}}}\n', LINES),
        ("1.5,16.0,14.0\n-2.0,100.2,15.2\n", CSV),
    ],
)
def test_sagemaker_requests_say_the_same(body: Any, kind: str) -> None:
    read = asked("/invocations", body, kind, format="sagemaker")
    assert (read.rows, [list(row) for row in read.vectors or ()]) == (2, [[1.5, 16.0, 14.0], [-2.0, 100.2, 15.2]])


@pytest.mark.parametrize(
    ("body", "kind", "expected"),
    [
        ({"predictions": [{"score": 0.25, "predicted_label": 0}]}, JSON, ((0.25,), ("0",))),
        ({"predictions": [{"score": [0.1, 0.7, 0.2], "predicted_label": 1}]}, JSON, ((None,), ("1",))),
        (
            '{"score": 0.25, "predicted_label": 0}\n{"score": 0.5, "predicted_label": 1}\n',
            LINES,
            ((0.25, 0.5), ("0", "1")),
        ),
        ("0.25\n0.5\n", CSV, ((0.25, 0.5), NONE)),
        ("0.25,0.5", CSV, ((0.25, 0.5), NONE)),
        ("score\n0.25\n0.5\n", CSV, ((0.25, 0.5), NONE)),
        ("good\nbad\n", CSV, (NONE, ("good", "bad"))),
        ("0.75,0.25\n0.5,0.5\n", CSV, ((0.25, 0.5), NONE)),
        ([{"label": "POSITIVE", "score": 0.75}], JSON, ((0.75,), ("POSITIVE",))),
    ],
)
def test_sagemaker_answers(body: Any, kind: str, expected: Any) -> None:
    assert answered("sagemaker", body, len(expected[0]), kind) == expected


def test_sagemaker_answers_that_are_none() -> None:
    assert refused(answered, "sagemaker", "0.25\nnan\n", 2, CSV) == "nan"
    assert refused(answered, "sagemaker", "0.25\n\n", 2, CSV) == "row_count"
    assert refused(answered, "sagemaker", "0.25,1\n0.5\n", 2, CSV) == "schema"
    assert refused(answered, "sagemaker", "", 2, CSV) == "schema"
    assert refused(answered, "sagemaker", '{"score": 0.25}\noops\n', 2, LINES) == "non_json"
    assert answered("json", "0.75,0.25\n0.5,0.5\n", 2, CSV, score="/*/0")[0] == (0.75, 0.5)


def test_hugging_face_containers() -> None:
    assert asked("/invocations", {"inputs": ["good", "bad"]}, format="sagemaker").vectors == (["good"], ["bad"])
    assert asked("/invocations", {"inputs": {"question": "?", "context": "."}}, format="sagemaker").rows == 1


# Anything else


def test_json_services() -> None:
    assert asked("/predict", {"input": 4.0}).features == ({"input": 4.0},)  # LitServe's first example
    assert answered("json", {"output": 16.0}, 1)[0] == (16.0,)
    body = {"user_id": "u-1", "items": [{"price": 5}, {"price": 7}]}
    assert asked("/rank", body, spec=ResponseSpec(rows="/items")).features == ({"price": 5}, {"price": 7})
    assert asked("/invocations", body, spec=ResponseSpec(rows="/items")).format == "json", "declared before recognised"


def test_the_class_whose_probability_is_the_score_can_be_chosen() -> None:
    body = {"predictions": [[0.1, 0.7, 0.2], [0.3, 0.3, 0.4]]}
    assert answered("mlflow", body, 2) == ((None, None), ("1", "2"))
    assert answered("mlflow", body, 2, score="/predictions/*/1") == ((0.7, 0.3), (None, None))
    both = {"classes": ["x", "y"], **body}
    assert answered("json", both, 2, score="/predictions/*/0", label="/classes") == ((0.1, 0.3), ("x", "y"))


def test_streams_pictures_and_opaque_bodies_are_not_read() -> None:
    assert refused(answered, "json", "data: 1\n\n", 1, "text/event-stream; charset=utf-8") == "stream"
    for kind in ("image/png", "audio/wav", "multipart/form-data; boundary=x", "application/x-protobuf"):
        assert refused(answered, "json", b"\x89PNG", 1, kind) == "unsupported"
        assert refused(asked, "/predict", b"\x89PNG", kind) == "unsupported"
    assert asked("/predict", "anything", format="opaque").rows == 1
    assert refused(answered, "opaque", {"predictions": [float("nan")]}, 1) == "unsupported"
    assert refused(answered, "opaque", "data: 1\n\n", 1, "text/event-stream") == "stream"


@pytest.mark.parametrize(
    ("method", "path", "scored"),
    [
        ("POST", "/invocations", True),
        ("POST", "/v2/models/m/infer", True),
        ("POST", "/", True),
        ("GET", "/v2/health/ready", False),
        ("GET", "/invocations", False),
        ("POST", "/v2/models/m/generate", False),
        ("POST", "/v2/models/m/generate_stream?x=1", False),
        ("POST", "/v1/chat/completions", False),
        ("POST", "/openai/v1/embeddings/", False),
        ("POST", "/v1/models/m:explain", False),
        ("POST", "/v2/repository/models/m/load", False),
    ],
)
def test_what_is_scored(method: str, path: str, scored: bool) -> None:
    assert is_scored(method, path) == scored
    pointed = ResponseSpec(label="/choices/0/message/content")
    assert is_scored(method, path, pointed) == (method == "POST"), "a pointer says that there is something to read"


def test_truth_values_and_text_are_labels() -> None:
    assert answered("mlflow", {"predictions": [True, False]}, 2) == (NONE, ("true", "false"))
    tensor = {"name": "y", "shape": [2], "datatype": "BOOL", "data": [True, False]}
    assert answered("oip-v2", {"outputs": [tensor]}, 2) == (NONE, ("true", "false"))
    assert answered("json", {"label": "spam"}, 1) == ((None,), ("spam",))
    assert refused(answered, "json", {"score": "high"}, 1, score="/score") == "schema"


FLOATS = st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1, max_size=6)


@given(FLOATS)
def test_every_format_says_the_same_scores(scores: list[float]) -> None:
    n = len(scores)
    floats = tuple(map(float, scores))
    tensor = {"name": "p", "shape": [n], "datatype": "FP64", "data": scores}
    objects = [{"score": score} for score in scores]
    bodies: list[tuple[WireFormat, Any, str]] = [
        ("mlflow", {"predictions": scores}, JSON),
        ("tf-v1", {"outputs": {"score": scores, "label": ["x"] * n}}, JSON),
        ("vertex", {"predictions": [{"value": score} for score in scores]}, JSON),
        ("oip-v2", {"outputs": [tensor]}, JSON),
        ("json", {"outputs": [tensor]}, JSON),
        ("sagemaker", {"predictions": objects}, JSON),
        ("sagemaker", "\n".join(map(json.dumps, objects)), LINES),
        ("sagemaker", "\n".join(map(repr, floats)), CSV),
        ("json", scores, JSON),
    ]
    for format, body, kind in bodies:
        assert answered(format, body, n, kind)[0] == floats, (format, kind)


ROWS = st.lists(
    st.fixed_dictionaries({"a": st.integers(-9, 9), "b": st.text("xyzäö", min_size=1, max_size=3)}),
    min_size=2,
    max_size=4,
)


@given(ROWS)
def test_every_format_says_the_same_rows(rows: list[dict[str, Any]]) -> None:
    n = len(rows)
    a, b = [row["a"] for row in rows], [row["b"] for row in rows]
    pairs = [*zip(a, b, strict=True)]
    tensors = [
        {"name": "a", "shape": [n], "datatype": "INT64", "data": a},
        {"name": "b", "shape": [n, 1], "datatype": "BYTES", "data": b},
    ]
    for path, body, kind in [
        ("/invocations", {"dataframe_split": {"columns": ["a", "b"], "data": [[*pair] for pair in pairs]}}, JSON),
        ("/invocations", {"dataframe_records": rows}, JSON),
        ("/invocations", "a,b\n" + "".join(f"{x},{y}\n" for x, y in pairs), CSV),
        ("/v1/models/m:predict", {"inputs": {"a": a, "b": b}}, JSON),
        ("/v2/models/m/infer", {"inputs": tensors}, JSON),
        ("/score", "\n".join(map(json.dumps, rows)), LINES),
        ("/score", rows, JSON),
    ]:
        assert asked(path, body, kind).features == tuple(rows), (path, kind)


def test_a_prediction_has_as_many_entries_as_it_says() -> None:
    assert len(Prediction((0.5, None), (None, "x"))) == 2
