"""Wire formats: what a request asked and what a response answered, as rows and predictions.

The reader is total: for any bytes it returns a value or raises ``WireError``, so a hostile body can never stop the
collector or a model host. Rows are matched by position.

Formats: ``mlflow`` (POST /invocations), ``oip-v2`` (Open Inference Protocol, REST), ``tf-v1`` (TensorFlow Serving,
KServe v1, Vertex) and ``json`` (any other JSON service, read by JSON Pointers).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from seatrial.events.bodies import (
    WireError,
    WireErrorKind,
    as_rows,
    bad_schema,
    finite,
    is_number,
    is_real,
    is_tensors,
    kind_of,
    load_json,
    load_text,
    media_type,
    point,
    scalar,
    tensor_rows,
)

__all__ = [
    "FORMATS",
    "Prediction",
    "Request",
    "ResponseSpec",
    "WireError",
    "WireErrorKind",
    "WireFormat",
    "detect_format",
    "parse_request",
    "parse_response",
]

WireFormat = Literal["mlflow", "oip-v2", "tf-v1", "json"]
FORMATS: tuple[str, ...] = get_args(WireFormat)

_SCORE_NAMES = ("score", "scores", "probability", "probabilities", "predict_proba")
_LABEL_NAMES = ("label", "labels", "class", "classes")
_ANSWER_NAMES = ("predictions", "prediction", "outputs", "output", "result", "results")
_NOT_FINITE = frozenset({"NaN", "nan", "Infinity", "-Infinity", "inf", "-inf"})  # as protobuf JSON and pandas write it
_MLFLOW_FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")


@dataclass(frozen=True, slots=True)
class ResponseSpec:
    """Where a response keeps its answer when the format leaves room.

    ``score``, ``label``: JSON Pointers into the response (``*`` stands for every element: ``/items/*/score``).
    ``rows``: JSON Pointer into the *request* to the list of rows. ``output``: name of the output tensor or column.
    """

    score: str | None = None
    label: str | None = None
    rows: str | None = None
    output: str | None = None

    def __post_init__(self) -> None:
        for pointer in (self.score, self.label, self.rows):
            if pointer and not pointer.startswith("/"):
                raise ValueError(f"{pointer!r} is not a JSON Pointer: write '/{pointer}'")


@dataclass(frozen=True, slots=True)
class Request:
    """The rows of a prediction request.

    ``features`` has one mapping per row when the columns are named; ``vectors`` one sequence per row when they are not.
    ``id`` is the request id of the Open Inference Protocol, to be echoed.
    """

    format: WireFormat
    rows: int
    features: tuple[Mapping[str, object], ...] | None = None
    vectors: tuple[Sequence[object], ...] | None = None
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Prediction:
    """One entry per row: a number to rank by, a class label, or both; neither where a row has no scalar summary."""

    scores: tuple[float | None, ...]
    labels: tuple[str | None, ...]

    def __len__(self) -> int:
        return len(self.scores)


DEFAULT = ResponseSpec()


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
        if is_tensors(body.get("inputs")):
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
    """Read the rows of a request; ``format`` overrides detection.

    Raises ``WireError``: ``non_json``, ``unsupported`` (binary tensors, parquet), ``schema``.
    """
    kind = media_type(content_type)
    if kind == "text/csv":
        return _named(format or "mlflow", _csv_rows(load_text(body)))
    if kind in ("application/octet-stream", "application/x-parquet", "application/vnd.apache.parquet"):
        raise WireError("unsupported", f"request bodies of type {kind} are not read")
    document = load_json(body)
    format = format or detect_format(path, document)
    if format == "json":
        return _json_request(document, spec)
    if not isinstance(document, dict):
        bad_schema(f"a {format} request is a JSON object, not {kind_of(document)}")
    if format == "oip-v2":
        return _oip_request(document)
    return _mlflow_request(document) if format == "mlflow" else _tf_request(document)


def parse_response(
    format: WireFormat,
    content_type: str | None,
    body: str | bytes,
    *,
    rows: int | None,
    spec: ResponseSpec = DEFAULT,
) -> Prediction:
    """Read the predictions of a successful response and check them; ``rows`` is what the request asked, if known.

    Numbers become scores; text, booleans and whole numbers become labels. ``[p0, p1]`` is the probability of the
    second class. More than two probabilities become the label of the largest; other vectors have no summary.

    Raises ``WireError``: ``non_json``, ``unsupported``, ``schema``, ``no_predictions``, ``nan``, ``row_count``.
    """
    if media_type(content_type) == "application/octet-stream":
        raise WireError("unsupported", "binary tensors are not read; ask for JSON outputs")
    document = load_json(body)
    prediction = _outputs(format, document, spec)
    if not len(prediction) and rows != 0:
        raise WireError("no_predictions", "the response has an empty list of predictions")
    if rows is not None and len(prediction) != rows:
        raise WireError("row_count", f"{rows} rows were asked and {len(prediction)} predictions came back")
    return prediction


# Requests


def _mlflow_request(document: dict[str, Any]) -> Request:
    forms = [form for form in _MLFLOW_FORMS if form in document]
    if len(forms) != 1:
        bad_schema(f"an MLflow request has exactly one of {', '.join(_MLFLOW_FORMS)}; this one has {forms or 'none'}")
    content = document[forms[0]]
    if forms[0] == "dataframe_split":
        return _split(content)
    if forms[0] == "dataframe_records":
        return _named("mlflow", _records(content, "dataframe_records"))
    return _tensor_rows("mlflow", content, forms[0])


def _tf_request(document: dict[str, Any]) -> Request:
    for form in ("instances", "inputs"):
        if form in document:
            return _tensor_rows("tf-v1", document[form], form)
    bad_schema("the request has neither 'instances' nor 'inputs'")


def _split(content: object) -> Request:
    if not isinstance(content, dict) or not isinstance(content.get("data"), list):
        bad_schema("dataframe_split needs 'columns' and a list 'data'")
    data, columns = content["data"], content.get("columns")
    if not all(isinstance(row, list) for row in data):
        bad_schema("dataframe_split: every row of 'data' is a list")
    if columns is None:
        return Request("mlflow", len(data), vectors=tuple(data))
    if not isinstance(columns, list):
        bad_schema("dataframe_split: 'columns' is a list of names")
    names = [str(column) for column in columns]
    if any(len(row) != len(names) for row in data):
        bad_schema(f"dataframe_split has {len(names)} columns and a row of another length")
    return _named("mlflow", [dict(zip(names, row, strict=True)) for row in data])


def _tensor_rows(format: WireFormat, content: object, form: str) -> Request:
    """Rows of a list (one entry a row) or of a mapping of columns."""
    if isinstance(content, list):
        if content and all(isinstance(row, dict) for row in content):
            return _named(format, content)
        return Request(format, len(content), vectors=tuple(_as_vector(row) for row in content))
    if isinstance(content, dict) and content:
        return _named(format, _columnar(content, form))
    bad_schema(f"{form!r} is a list of rows or a mapping of columns, not {kind_of(content)}")


def _columnar(columns: dict[str, Any], form: str) -> list[dict[str, object]]:
    lists = [isinstance(values, list) for values in columns.values()]
    if not any(lists):
        return [columns]
    if not all(lists) or len({len(values) for values in columns.values()}) != 1:
        bad_schema(f"the columns of {form!r} are not lists of one length")
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _oip_request(document: dict[str, Any]) -> Request:
    inputs = document.get("inputs")
    if not is_tensors(inputs):
        bad_schema("an Open Inference request has 'inputs': a list of tensors with name, shape, datatype and data")
    columns = {str(tensor["name"]): tensor_rows(tensor) for tensor in inputs}
    if len(columns) != len(inputs):
        bad_schema("two input tensors have the same name")
    counts = {len(values) for values in columns.values()}
    if len(counts) != 1:
        bad_schema("the input tensors do not have the same first dimension")
    identity = document.get("id")
    request_id = identity if isinstance(identity, str) else None
    (count,) = counts
    if len(columns) == 1:
        (vectors,) = columns.values()
        if any(len(vector) != 1 for vector in vectors):
            return Request("oip-v2", count, vectors=tuple(vectors), id=request_id)
    rows = tuple({name: scalar(values[i]) for name, values in columns.items()} for i in range(count))
    return Request("oip-v2", count, features=rows, id=request_id)


def _json_request(document: object, spec: ResponseSpec) -> Request:
    rows = as_rows(point(document, spec.rows, "schema") if spec.rows else document)
    return _tensor_rows("json", rows, "rows")


def _csv_rows(text: str) -> list[dict[str, object]]:
    """Rows of a CSV with a header; a column is numeric when every cell that is not empty is a number, as in pandas."""
    try:
        lines = [line for line in csv.reader(io.StringIO(text, newline="")) if line]
    except csv.Error as error:
        raise WireError("schema", f"the CSV does not parse: {error}") from None
    if not lines:
        bad_schema("the CSV is empty; its first line names the columns")
    header, data = lines[0], lines[1:]
    if any(len(row) != len(header) for row in data):
        bad_schema(f"the CSV has {len(header)} columns and a row of another length")
    columns = [_csv_column([row[j] for row in data]) for j in range(len(header))]
    return [dict(zip(header, row, strict=True)) for row in zip(*columns, strict=True)]


def _csv_column(cells: list[str]) -> Sequence[object]:
    for convert in (int, float):
        try:
            return [convert(cell) if cell else None for cell in cells]
        except ValueError:
            continue
    return [cell or None for cell in cells]


def _named(format: WireFormat, rows: Sequence[Mapping[str, object]]) -> Request:
    return Request(format, len(rows), features=tuple(rows))


def _records(content: object, form: str) -> list[dict[str, object]]:
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        bad_schema(f"{form} is a list of objects")
    return content


def _as_vector(row: object) -> list[Any]:
    return row if isinstance(row, list) else [row]


# Responses


def _outputs(format: WireFormat, document: object, spec: ResponseSpec) -> Prediction:
    if spec.score is not None or spec.label is not None:
        return _pointed(document, spec)
    if format == "json":
        return _undeclared(document, spec)
    if not isinstance(document, dict):
        raise WireError("no_predictions", f"a {format} response is a JSON object, not {kind_of(document)}")
    if format == "oip-v2":
        return _oip_response(document, spec)
    for name in ("predictions", "outputs") if format == "tf-v1" else ("predictions",):
        if name in document:
            return _summarise(_answers(document[name], spec), spec)
    raise WireError("no_predictions", "the response has no 'predictions'")


def _pointed(document: object, spec: ResponseSpec) -> Prediction:
    """Answers at declared pointers; a whole number at ``score`` is a score, because the plan says so."""
    columns = []
    if spec.score is not None:
        answers = as_rows(point(document, spec.score, "no_predictions"))
        columns.append(_summarise(answers, spec, numbers=True))
    if spec.label is not None:
        labels = tuple(map(_label, as_rows(point(document, spec.label, "no_predictions"))))
        columns.append(Prediction((None,) * len(labels), labels))
    return _merge(columns)


def _undeclared(document: object, spec: ResponseSpec) -> Prediction:
    """The usual shapes of a JSON service: a list, a number, an object with one of the usual names."""
    if isinstance(document, dict):
        name = next((name for name in _ANSWER_NAMES if name in document), None)
        document = document if name is None else document[name]
    return _summarise(_answers(document, spec), spec)


def _oip_response(document: dict[str, Any], spec: ResponseSpec) -> Prediction:
    outputs = document.get("outputs")
    if not outputs:
        raise WireError("no_predictions", "the response has no 'outputs'")
    if not is_tensors(outputs):
        bad_schema("every output is a tensor with name, shape, datatype and data")
    chosen = [tensor for tensor in outputs if spec.output in (None, tensor["name"])]
    if not chosen:
        raise WireError("no_predictions", f"the response has no output named {spec.output!r}")
    scored = next((tensor for tensor in chosen if is_real(tensor)), None)
    labelled = next((tensor for tensor in chosen if not is_real(tensor)), None)
    tensors = [tensor for tensor in (scored, labelled) if tensor is not None]
    return _merge([_summarise(map(scalar, tensor_rows(tensor)), spec, numbers=tensor is scored) for tensor in tensors])


def _merge(columns: Sequence[Prediction]) -> Prediction:
    """Scores of the first column, labels of the last."""
    first, last = columns[0], columns[-1]
    if len(first) != len(last):
        raise WireError("row_count", f"{len(first)} scores and {len(last)} labels came back")
    return Prediction(first.scores, last.labels)


def _answers(value: object, spec: ResponseSpec) -> list[Any]:
    """One answer per row. Of a mapping of columns the declared one is taken, or its rows are made."""
    if isinstance(value, dict):
        if spec.output is not None and spec.output in value:
            return as_rows(value[spec.output])
        columns = {name: column for name, column in value.items() if isinstance(column, list)}
        if columns:
            return list(_columnar(columns, "outputs"))
    return as_rows(value)


def _summarise(answers: Iterable[object], spec: ResponseSpec, *, numbers: bool = False) -> Prediction:
    """Scores and labels, one answer a row. ``numbers``: a whole number is a score, not a class label."""
    answers = list(answers)
    cells = [_mapping_cell(answer, spec) if isinstance(answer, dict) else _cell(answer) for answer in answers]
    if numbers and any(isinstance(answer, str | bool) for answer in answers):
        bad_schema("a score is a number, not text")
    if not numbers and all(isinstance(score, int) for score, _ in cells):
        return Prediction((None,) * len(cells), tuple(str(score) for score, _ in cells))
    scores = tuple(None if score is None else float(score) for score, _ in cells)
    return Prediction(scores, tuple(label for _, label in cells))


_Cell = tuple[int | float | None, str | None]


def _mapping_cell(answer: dict[str, Any], spec: ResponseSpec) -> _Cell:
    if spec.output is not None and spec.output in answer:
        return _cell(answer[spec.output])
    score = next((answer[name] for name in _SCORE_NAMES if name in answer), None)
    label = next((answer[name] for name in _LABEL_NAMES if name in answer), None)
    if score is not None or label is not None:
        number, text = _cell(score) if score is not None else (None, None)
        number = None if number is None else float(number)  # named a score, so a whole number is one too
        return number, text if label is None else _label(_unwrap(label))
    name = next((name for name in (*_SCORE_NAMES, *_LABEL_NAMES, *_ANSWER_NAMES) if name in answer), None)
    if name is None and len(answer) == 1:
        (name,) = answer
    if name is None:
        raise WireError("no_predictions", f"none of {sorted(answer)[:8]} is known as a prediction; declare 'output'")
    return _cell(answer[name])


def _cell(answer: object) -> _Cell:
    answer = _unwrap(answer)
    if isinstance(answer, list):
        return _vector_cell(answer)
    return (finite(answer), None) if is_number(answer) else (None, _label(answer))


def _unwrap(answer: object) -> object:
    while isinstance(answer, list) and len(answer) == 1:
        answer = answer[0]
    return answer


def _vector_cell(answer: list[Any]) -> _Cell:
    if not answer:
        raise WireError("no_predictions", "a row has an empty list as its prediction")
    _check_finite(answer)
    if not all(is_number(value) for value in answer):
        return None, None
    if len(answer) == 2:
        return float(answer[1]), None
    if min(answer) >= -1e-9 and abs(sum(answer) - 1) < 1e-3:
        return None, str(max(range(len(answer)), key=answer.__getitem__))
    return None, None


def _label(value: object) -> str:
    if isinstance(value, str):
        if value in _NOT_FINITE:
            raise WireError("nan", f"a prediction is {value}")
        return value.encode("utf-8", "replace").decode("utf-8")  # a lone surrogate could not be stored
    if isinstance(value, bool):
        return str(value).lower()
    if value is None or is_number(value):
        return str(finite(value))
    bad_schema(f"a prediction is {kind_of(value)}")


def _check_finite(values: list[Any]) -> None:
    """No null, NaN or infinity anywhere in nested lists (objects inside are the model's own business)."""
    pending: list[Any] = [values]
    while pending:
        value = pending.pop()
        if isinstance(value, list):
            pending.extend(value)
        elif not isinstance(value, bool | dict):
            _label(value) if isinstance(value, str) else finite(value)
