"""The entrance: which format a call is in, and its body read by that format."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from seatrial.events.wire import mlflow, oip, plain, sagemaker, tensorflow
from seatrial.events.wire.answers import pointed
from seatrial.events.wire.bodies import is_binary, is_csv, is_lines, load_csv, load_json, load_lines, media_type
from seatrial.events.wire.types import DEFAULT, Prediction, Request, ResponseSpec, WireError, WireErrorKind
from seatrial.registry.contract import WireFormat

EVENT_STREAM: Final = "text/event-stream"

_NOT_SCORED: Final = (
    "/generate", "/generate_stream", "/infer_stream", "/completions", "/v1/responses", "/v1/messages", "/v1/embeddings",
    ":explain", "/explain", "/feedback", "/load", "/unload", "/repository/index",
)  # fmt: skip


class _Format(NamedTuple):
    """How a JSON document of a format is read."""

    request: Callable[[object, ResponseSpec], Request]
    answer: Callable[[object, ResponseSpec], Prediction]


_FORMATS: Final[dict[WireFormat, _Format]] = {
    "mlflow": _Format(mlflow.request, mlflow.answer),
    "oip-v2": _Format(oip.request, oip.answer),
    "tf-v1": _Format(tensorflow.request, tensorflow.answer),
    "vertex": _Format(tensorflow.vertex_request, tensorflow.vertex_answer),
    "sagemaker": _Format(sagemaker.request, sagemaker.answer),
    "json": _Format(plain.request, plain.answer),
}


def is_scored(method: str, path: str, spec: ResponseSpec = DEFAULT) -> bool:
    """Whether an answer to this call is a prediction to be checked.

    Text generation, explanations and a server's own housekeeping are not, unless the contract points into the answer.
    """
    return method == "POST" and (spec.points or not path.partition("?")[0].rstrip("/").endswith(_NOT_SCORED))


def detect_format(path: str, body: object = None) -> WireFormat:
    """The format of a request by path, then by the shape of its parsed body; ``json`` when nothing else fits."""
    bare = path.partition("?")[0].rstrip("/")
    if bare.endswith("/infer") and "/v2/models/" in bare:
        return "oip-v2"
    if bare.endswith(":predict"):
        return "tf-v1"
    if bare.endswith("/invocations"):
        return "mlflow"
    if isinstance(body, dict):
        if "dataframe_split" in body or "dataframe_records" in body:
            return "mlflow"
        if isinstance(body.get("instances"), list):
            return "tf-v1"
        if oip.is_tensors(body.get("inputs")):
            return "oip-v2"
    return "json"


def parse_request(
    path: str,
    content_type: str | None,
    body: str | bytes,
    *,
    format: WireFormat | None = None,
    spec: ResponseSpec = DEFAULT,
) -> Request:
    """Read the rows of a request; ``format`` overrides detection. A pointer to the rows means *json*.

    Raises ``WireError``: ``non_json``, ``unsupported`` (pictures, Parquet), ``schema``.
    """
    kind = media_type(content_type)
    if format is None and spec.rows is not None:
        format = "json"
    if format == "opaque":
        return Request("opaque", 1)
    if is_csv(kind):
        return sagemaker.csv_request(body) if format == "sagemaker" else mlflow.csv_request(format or "mlflow", body)
    if is_binary(kind):
        if (format or detect_format(path)) == "oip-v2" and isinstance(body, bytes):
            return oip.binary_request(body)
        raise WireError("unsupported", f"request bodies of type {kind} are not read")
    if is_lines(kind):
        return _FORMATS[format or "sagemaker"].request(load_lines(body), spec)
    document = load_json(body)
    return _FORMATS[format or detect_format(path, document)].request(document, spec)


def parse_response(
    format: WireFormat,
    content_type: str | None,
    body: str | bytes,
    *,
    rows: int | None,
    spec: ResponseSpec = DEFAULT,
) -> Prediction:
    """Read the predictions of a successful response and check them; ``rows`` is what the request asked, if known.

    Raises ``WireError``. Of its kinds ``unsupported`` and ``stream`` say nothing about the model; ``non_json``,
    ``schema``, ``no_predictions``, ``nan`` and ``row_count`` say that this is no valid prediction.
    """
    prediction = _answer(format, media_type(content_type), body, rows, spec)
    if not len(prediction) and rows != 0:
        raise WireError("no_predictions", "the answer has an empty list of predictions")
    if rows is not None and len(prediction) != rows:
        raise WireError("row_count", f"{rows} rows were asked and {len(prediction)} predictions came back")
    return prediction


def unread(format: WireFormat, content_type: str | None) -> WireErrorKind | None:
    """Why an answer of this type is not read at all, if so."""
    kind = media_type(content_type)
    if kind == EVENT_STREAM:
        return "stream"
    return "unsupported" if format == "opaque" or is_binary(kind) else None


def _answer(format: WireFormat, kind: str, body: str | bytes, rows: int | None, spec: ResponseSpec) -> Prediction:
    if (why := unread(format, kind)) is not None:
        raise WireError(why, f"answers of type {kind or format} are passed on, not read")
    if is_csv(kind):
        return _read("json", plain.csv_answer(load_csv(body), rows), spec)
    if is_lines(kind):
        return _read("json", load_lines(body), spec)
    return _read(format, load_json(body), spec)


def _read(format: WireFormat, document: object, spec: ResponseSpec) -> Prediction:
    if spec.points:
        return pointed(oip.nested(document) if format == "oip-v2" else document, spec)
    return _FORMATS[format].answer(document, spec)
