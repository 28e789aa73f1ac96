"""Open Inference Protocol, version 2, REST: ``POST /v2/models/NAME[/versions/V]/infer``.

Source: kserve/open-inference-protocol, ``specification/protocol/inference_rest.md``; its binary tensor extension in
Triton's ``extension_binary_data.md``. Binary tensors are counted, not decoded.
"""

from __future__ import annotations

import json
import math
from typing import Any, Final, TypeGuard

from seatrial.events.wire.answers import merge, summarise
from seatrial.events.wire.bodies import scalar
from seatrial.events.wire.types import Prediction, Request, ResponseSpec, WireError, bad_schema

_MAX_RANK: Final = 32
_SIZES: Final = {
    "BOOL": 1, "UINT8": 1, "INT8": 1, "UINT16": 2, "INT16": 2, "FP16": 2, "BF16": 2, "UINT32": 4, "INT32": 4,
    "FP32": 4, "UINT64": 8, "INT64": 8, "FP64": 8, "BYTES": 4,
}  # fmt: skip
"""Bytes that an element takes at least; one of BYTES has its length before it."""


def is_tensors(value: object) -> TypeGuard[list[dict[str, Any]]]:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(t, dict) and {"name", "shape", "datatype"} <= t.keys() for t in value)
    )


def request(document: object, spec: ResponseSpec) -> Request:
    inputs = _inputs(document)
    columns = {str(tensor["name"]): _rows(tensor) for tensor in inputs}
    if len(columns) != len(inputs):
        bad_schema("two input tensors have the same name")
    (count,) = _one({len(values) for values in columns.values()})
    identity = _id(document)
    if len(columns) == 1:
        (vectors,) = columns.values()
        if any(len(vector) != 1 for vector in vectors):
            return Request("oip-v2", count, vectors=tuple(vectors), id=identity)
    rows = tuple({name: scalar(values[i]) for name, values in columns.items()} for i in range(count))
    return Request("oip-v2", count, features=rows, id=identity)


def binary_request(body: bytes) -> Request:
    """A JSON object with the tensors' bytes behind it: the rows are counted by the shapes.

    A shape that needs more bytes than there are is a ``schema`` error: a number nobody pays for is not believed.
    """
    text = body.decode("latin-1")
    try:
        document, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        raise WireError("unsupported", "a binary body does not begin with the JSON of its tensors") from None
    inputs = _inputs(document)
    (count,) = _one({_binary_count(tensor, len(body) - end) for tensor in inputs})
    return Request("oip-v2", count, id=_id(document))


def answer(document: object, spec: ResponseSpec) -> Prediction:
    outputs = document.get("outputs") if isinstance(document, dict) else None
    if not outputs:
        raise WireError("no_predictions", "the answer has no 'outputs'")
    if not is_tensors(outputs):
        bad_schema("every output is a tensor with name, shape, datatype and data")
    chosen = [tensor for tensor in outputs if spec.output in (None, tensor["name"])]
    if not chosen:
        raise WireError("no_predictions", f"the answer has no output named {spec.output!r}")
    scored = next((tensor for tensor in chosen if _is_real(tensor)), None)
    labelled = next((tensor for tensor in chosen if not _is_real(tensor)), None)
    tensors = [tensor for tensor in (scored, labelled) if tensor is not None]
    return merge([summarise(map(scalar, _rows(tensor)), spec, numbers=tensor is scored) for tensor in tensors])


def nested(document: object) -> object:
    """The answer with the data of each output by row, so that a pointer means the same whether it was flat or not."""
    outputs = document.get("outputs") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not is_tensors(outputs):
        return document
    return {**document, "outputs": [{**tensor, "data": [*map(scalar, _rows(tensor))]} for tensor in outputs]}


def _inputs(document: object) -> list[dict[str, Any]]:
    inputs = document.get("inputs") if isinstance(document, dict) else None
    if not is_tensors(inputs):
        bad_schema("an Open Inference request has 'inputs': a list of tensors with name, shape, datatype and data")
    return inputs


def _id(document: object) -> str | None:
    identity = document.get("id") if isinstance(document, dict) else None
    return identity if isinstance(identity, str) else None


def _one(counts: set[int]) -> set[int]:
    if len(counts) != 1:
        bad_schema("the input tensors do not have the same first dimension")
    return counts


def _is_real(tensor: dict[str, Any]) -> bool:
    return str(tensor["datatype"]).upper().startswith(("FP", "BF"))


def _shape(tensor: dict[str, Any]) -> list[int]:
    shape = tensor["shape"]
    if not (isinstance(shape, list) and 0 < len(shape) <= _MAX_RANK and all(type(n) is int and n >= 0 for n in shape)):
        bad_schema(f"tensor {tensor['name']!r} has the shape {str(shape)[:60]}, not a list of whole numbers")
    return shape


def _binary_count(tensor: dict[str, Any], available: int) -> int:
    if "data" in tensor:
        return len(_rows(tensor))
    shape = _shape(tensor)
    size = math.prod(shape) * _SIZES.get(str(tensor["datatype"]).upper(), 1)
    if size > available or not (size or not shape[0]):
        bad_schema(f"tensor {tensor['name']!r} has fewer bytes than the shape {str(shape)[:60]} needs")
    return shape[0]


def _rows(tensor: dict[str, Any]) -> list[list[Any]]:
    """Rows along the first axis; ``data`` may be nested or flat in row-major order."""
    name, data = tensor["name"], tensor.get("data")
    if not isinstance(data, list):
        raise WireError("unsupported", f"tensor {name!r} has no JSON 'data'")
    shape = _shape(tensor)
    for _ in shape[1:]:
        if any(isinstance(value, list) for value in data):
            if not all(isinstance(value, list) for value in data):
                bad_schema(f"tensor {name!r} is nested unevenly")
            data = [value for part in data for value in part]
    if any(isinstance(value, list) for value in data):
        bad_schema(f"tensor {name!r} is nested deeper than its shape")
    width = math.prod(shape[1:])
    if len(data) != shape[0] * width or not (width or not shape[0]):
        bad_schema(f"tensor {name!r} has {len(data)} values, which do not fill the shape {str(shape)[:60]}")
    return [data[i : i + width] for i in range(0, len(data), width or 1)]
