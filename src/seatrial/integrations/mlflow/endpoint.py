"""An endpoint of ``mlflow models serve``: ``/ping``, ``/version`` and ``/invocations``, and nothing else.

Its answers carry neither version nor request id. What it answers with, scores or class labels, only an example shows.
Errors: ``ST1550`` nothing answers, ``ST1551`` something else does, ``ST1552`` it does not answer the example.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import httpx

from seatrial.errors import SeatrialError, Unavailable, UsageError
from seatrial.events.wire.mlflow import request
from seatrial.events.wire.types import ResponseSpec, WireError
from seatrial.integrations.mlflow.flavor import REMEDY, Output

TIMEOUT_S: Final = 30.0
_FORMS: Final = frozenset({"dataframe_split", "dataframe_records", "instances", "inputs"})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """``version``: of MLflow, as the server says. ``output``: *unknown* without an example."""

    url: str
    version: str
    output: Output

    @property
    def tags(self) -> dict[str, str]:
        """What the registry keeps beside an adopted version."""
        return {"mlflow.server": self.version, "mlflow.output": self.output}

    @property
    def remark(self) -> str:
        """What is to be known before metrics are chosen; empty if it answers with scores."""
        if self.output == "labels":
            return f"it answers with class labels: metrics of scores cannot be measured. {REMEDY}"
        if self.output == "unknown":
            return "what it answers with was not tried: give --example FILE (the model's serving_input_example.json)"
        return ""


def read_example(path: Path) -> dict[str, Any]:
    """A request of MLflow's, from a file that holds one, a row, or a list of rows. Raises UsageError (``ST1552``)."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _unreadable(path, str(error)) from None
    body = _payload(document)
    try:
        asked = request(body, ResponseSpec())
    except WireError as error:
        raise _unreadable(path, str(error)) from None
    if not asked.rows:
        raise _unreadable(path, "it has no rows")
    return body


def probe(url: str, example: Mapping[str, Any] | None = None) -> Endpoint:
    """What serves at a URL, and what it answers an example with."""
    url = url.rstrip("/")
    try:
        with httpx.Client(timeout=TIMEOUT_S, trust_env=False) as http:
            ping, version = http.get(f"{url}/ping"), http.get(f"{url}/version")
            if ping.status_code == version.status_code == HTTPStatus.OK:
                answer = None if example is None else http.post(f"{url}/invocations", json=example)
            else:
                raise UsageError(
                    "ST1551", f"mlflow: {url} is no `mlflow models serve`: /ping answers {ping.status_code}, /version "
                    f"{version.status_code}.",
                    remedy="Give the address of the model's server; any other server is adopted with --url.",
                )  # fmt: skip
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unavailable(
            "ST1550", f"mlflow: {url} does not answer: {type(error).__name__}: {error}.",
            remedy="Start it: mlflow models serve -m models:/NAME/3 --port PORT --env-manager local",
        ) from error  # fmt: skip
    return Endpoint(url, version.text.strip()[:40], "unknown" if answer is None else _output(url, answer))


def output_of(predictions: object) -> Output:
    """Whether predictions are scores or class labels: whole numbers, text and truth values are labels.

    >>> output_of([[0.2, 0.8]]), output_of([1, 0]), output_of(["yes"]), output_of([])
    ('scores', 'labels', 'labels', 'unknown')
    """
    values = list(_leaves(predictions))
    if not values:
        return "unknown"
    return "scores" if any(isinstance(value, float) for value in values) else "labels"


def _leaves(value: object) -> list[object]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        return [leaf for part in value for leaf in _leaves(part)]
    return [] if value is None else [value]


def _payload(document: object) -> dict[str, Any]:
    if isinstance(document, dict) and _FORMS & document.keys():
        return document
    if isinstance(document, dict) and {"columns", "data"} <= document.keys():
        return {"dataframe_split": document}
    return {"dataframe_records": document if isinstance(document, list) else [document]}


def _output(url: str, answer: httpx.Response) -> Output:
    try:
        found = output_of(answer.json()["predictions"])
    except (ValueError, KeyError, TypeError):
        found = "unknown"
    if answer.status_code != HTTPStatus.OK or found == "unknown":
        said = " ".join(answer.text.split())[:200]
        raise SeatrialError(
            "ST1552", f"mlflow: {url}/invocations answers the example with {answer.status_code}: {said}",
            remedy="Is the example one of this model's? Its serving_input_example.json in MLflow is.",
        )  # fmt: skip
    return found


def _unreadable(path: Path, why: str) -> UsageError:
    return UsageError(
        "ST1552", f"mlflow: '{path}' is no example: {why}.",
        remedy="A row as JSON, a list of rows, or a request as mlflow models serve takes it.",
    )  # fmt: skip
