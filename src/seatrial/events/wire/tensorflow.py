"""TensorFlow Serving's REST predict API, which KServe calls v1, and Vertex AI's, which has its words.

Sources: tensorflow.org/tfx/serving/api_rest (row format ``instances``, columnar format ``inputs``); KServe, "V1
Inference Protocol"; Vertex AI, ``projects.locations.endpoints.predict`` (of whose answer ``predictions`` is read).
"""

from __future__ import annotations

from seatrial.events.wire.answers import by_row, summarise
from seatrial.events.wire.bodies import kind_of
from seatrial.events.wire.rows import listed
from seatrial.events.wire.types import Prediction, Request, ResponseSpec, WireError, bad_schema


def request(document: object, spec: ResponseSpec) -> Request:
    if isinstance(document, dict):
        for form in ("instances", "inputs"):
            if form in document:
                return listed("tf-v1", document[form], form)
    bad_schema(f"the request is not an object with 'instances' or 'inputs' but {kind_of(document)}")


def answer(document: object, spec: ResponseSpec) -> Prediction:
    if isinstance(document, dict):
        for form in ("predictions", "outputs"):
            if form in document:
                return summarise(by_row(document[form], spec), spec)
    raise WireError("no_predictions", "the answer is not an object with 'predictions' or 'outputs'")


def vertex_request(document: object, spec: ResponseSpec) -> Request:
    if not isinstance(document, dict) or "instances" not in document:
        bad_schema("a Vertex AI request is an object with 'instances'")
    return listed("vertex", document["instances"], "instances")


def vertex_answer(document: object, spec: ResponseSpec) -> Prediction:
    if not isinstance(document, dict) or "predictions" not in document:
        raise WireError("no_predictions", "the answer is not an object with 'predictions'")
    return summarise(by_row(document["predictions"], spec), spec)
