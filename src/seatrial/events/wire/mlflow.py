"""MLflow's scoring server: ``POST /invocations``.

Source: MLflow, "Deploy MLflow Model as a Local Inference Server", section on the inference server specification.
"""

from __future__ import annotations

from typing import Any

from seatrial.events.wire.answers import by_row, summarise
from seatrial.events.wire.bodies import csv_columns, kind_of, load_csv
from seatrial.events.wire.rows import listed, named
from seatrial.events.wire.types import Prediction, Request, ResponseSpec, WireError, bad_schema
from seatrial.registry.contract import WireFormat

_FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")


def request(document: object, spec: ResponseSpec) -> Request:
    if not isinstance(document, dict):
        bad_schema(f"an MLflow request is a JSON object, not {kind_of(document)}")
    forms = [form for form in _FORMS if form in document]
    if len(forms) != 1:
        bad_schema(f"an MLflow request has exactly one of {', '.join(_FORMS)}; this one has {forms or 'none'}")
    content = document[forms[0]]
    if forms[0] == "dataframe_split":
        return _split(content)
    if forms[0] == "dataframe_records":
        return named("mlflow", _records(content))
    return listed("mlflow", content, forms[0])


def csv_request(format: WireFormat, body: str | bytes) -> Request:
    """A CSV whose first line names the columns."""
    header, *lines = load_csv(body)
    columns = csv_columns(lines)
    return named(format, [dict(zip(header, row, strict=True)) for row in zip(*columns, strict=True)])


def answer(document: object, spec: ResponseSpec) -> Prediction:
    if not isinstance(document, dict) or "predictions" not in document:
        raise WireError("no_predictions", "the answer is not an object with 'predictions'")
    return summarise(by_row(document["predictions"], spec), spec)


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
    return named("mlflow", [dict(zip(names, row, strict=True)) for row in data])


def _records(content: object) -> list[dict[str, Any]]:
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        bad_schema("dataframe_records is a list of objects")
    return content
