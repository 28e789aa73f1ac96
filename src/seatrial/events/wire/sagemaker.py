"""SageMaker's containers: ``POST /invocations`` with JSON, JSON Lines or CSV without a header, and the same back.

Source: Amazon SageMaker developer guide, "Common data formats for inference": ``instances`` of ``features``, or of
``data.features.values``; answers ``{"predictions": [{"score": ..., "predicted_label": ...}]}``, or one of these a line.
Hugging Face containers take ``inputs`` instead.
"""

from __future__ import annotations

from typing import Any

from seatrial.events.wire import plain
from seatrial.events.wire.bodies import as_rows, csv_columns, load_csv
from seatrial.events.wire.rows import listed
from seatrial.events.wire.types import Prediction, Request, ResponseSpec


def request(document: object, spec: ResponseSpec) -> Request:
    if isinstance(document, dict):
        document = next((document[form] for form in ("instances", "inputs") if form in document), document)
    return listed("sagemaker", [_instance(row) for row in as_rows(document)], "instances")


def csv_request(body: str | bytes) -> Request:
    """A CSV without a header: the columns have no names."""
    columns = csv_columns(load_csv(body))
    rows = tuple(zip(*columns, strict=True))
    return Request("sagemaker", len(rows), vectors=rows)


def answer(document: object, spec: ResponseSpec) -> Prediction:
    return plain.answer(document, spec)


def _instance(row: Any) -> Any:
    """The features of one instance, out of the objects they are wrapped in."""
    if isinstance(row, dict) and len(row) == 1:
        if isinstance(row.get("data"), dict) and "features" in row["data"]:
            row = row["data"]
        if "features" in row:
            inner = row["features"]
            return inner["values"] if isinstance(inner, dict) and isinstance(inner.get("values"), list) else inner
    return row
