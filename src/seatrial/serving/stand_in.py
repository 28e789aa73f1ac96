"""What hosts have in common that answer without a version of the model: health, paths, and answers in its formats."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Protocol

from seatrial.events.wire import Request, ResponseSpec, WireError, inflated, is_scored, parse_request, parse_response
from seatrial.serving.asgi import Call, Reply, reply_error, reply_json
from seatrial.serving.spec import HostSpec


class Answering(Protocol):
    """``answer`` is given a prediction request, and nothing else."""

    spec: HostSpec

    async def ready(self) -> bool: ...

    async def answer(self, call: Call) -> Reply: ...


async def handle(host: Answering, call: Call) -> Reply:
    """Any call of a host: predictions are answered, health is told, and there is nothing else."""
    if is_scored(call.method, call.path, host.spec.response):
        return await host.answer(call)
    if call.path in ("/ping", "/health", "/v2/health/live", "/v2/health/ready"):
        ready = await host.ready()
        return reply_json(200, {"ready": True}) if ready else reply_error(503, "the host is not ready")
    return reply_error(404, f"nothing is served at {call.method} {call.path}: {host.spec.version} stands in")


def asked(spec: HostSpec, call: Call) -> Request:
    """The rows of a request, as the model would read them. Raises ``WireError``."""
    wire = None if spec.wire == "opaque" else spec.wire
    return parse_request(
        call.path, call.header(b"content-type"), inflated(call.body), format=wire, spec=spec.response
    )  # fmt: skip


def encoded(spec: HostSpec, request: Request, values: Sequence[Any]) -> bytes:
    """One value a row, in the model's own format. Raises ``WireError`` where that is no valid prediction of the model.

    The answer is read back as the log will read it, so whatever the contract declares, it holds.
    """
    text = json.dumps(_document(spec, request, values), separators=(",", ":"), allow_nan=False).encode()
    parse_response(request.format, "application/json", text, rows=request.rows, spec=spec.response)
    return text


def _document(spec: HostSpec, request: Request, values: Sequence[Any]) -> object:
    if spec.response.points and request.format != "oip-v2":
        return _pointed(spec.response, values)
    if request.format == "oip-v2":
        identity = {} if request.id is None else {"id": request.id}
        output = _tensor(_output_name(spec.response), values)
        return {"model_name": spec.model, "model_version": spec.version, **identity, "outputs": [output]}
    if spec.response.output is not None:
        return {"predictions": [{spec.response.output: value} for value in values]}
    return {"predictions": [*values]}


def _tensor(name: str, values: Sequence[Any]) -> dict[str, Any]:
    if values and isinstance(values[0], list):
        data = [value for row in values for value in row]
        return {"name": name, "shape": [len(values), len(values[0])], "datatype": "FP64", "data": data}
    kind = "BYTES" if values and isinstance(values[0], str) else "FP64"
    return {"name": name, "shape": [len(values)], "datatype": kind, "data": [*values]}


def _output_name(spec: ResponseSpec) -> str:
    """The declared tensor, or the one that a pointer names first."""
    pointer = spec.score or spec.label
    return spec.output or (pointer.split("/")[1] if pointer else "predict")


def _pointed(spec: ResponseSpec, values: Sequence[Any]) -> object:
    """A document with the values where the contract points to."""
    document: object = None
    for pointer in (spec.score, spec.label):
        if pointer is not None:
            document = _merged(document, _placed(pointer.split("/")[1:], [*values]))
    if document is None:
        raise WireError("schema", "rules give one value a row, and the contract declares ranked lists")
    return document


def _placed(tokens: list[str], values: list[Any]) -> object:
    if not tokens:
        return values[0] if len(values) == 1 else values
    token, *rest = (tokens[0].replace("~1", "/").replace("~0", "~"), *tokens[1:])
    if token == "*":
        return [_placed(rest, [value]) for value in values]
    return {token: _placed(rest, values)}


def _merged(one: object, other: object) -> object:
    if isinstance(one, dict) and isinstance(other, dict):
        return {key: _merged(one.get(key), other.get(key)) for key in {**one, **other}}
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [_merged(first, second) for first, second in zip(one, other, strict=True)]
    return one if other is None else other
