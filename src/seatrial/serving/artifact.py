"""A local artifact behind the prediction protocols: MLflow, Open Inference Protocol v2, TensorFlow Serving."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from seatrial import __version__
from seatrial.events.wire import Request, WireError, WireFormat, inflated, parse_request
from seatrial.serving.asgi import JSON_TYPE, Call, Reply, reply_error, reply_json
from seatrial.serving.batching import Batcher, Busy
from seatrial.serving.columns import Columns, FeatureError, Rows
from seatrial.serving.loaders import LoadedModel, load, quiet_name_warnings
from seatrial.serving.spec import HostSpec

log = logging.getLogger(__name__)

_MODEL = r"/v2/models/(?P<model>[^/]+)(?:/versions/(?P<version>[^/]+))?"
_TF = re.compile(r"/v1/models/(?P<model>[^/:]+)(?:/versions/(?P<version>[^/:]+))?:predict")
_INFER, _READY, _METADATA = re.compile(_MODEL + "/infer"), re.compile(_MODEL + "/ready"), re.compile(_MODEL)
_SPOKEN: dict[str, tuple[WireFormat, ...]] = {
    "/invocations": ("mlflow", "sagemaker", "json"),
    "infer": ("oip-v2",),
    "predict": ("tf-v1", "vertex"),
}
_DATATYPES = {"f": "FP64", "i": "INT64", "u": "INT64", "b": "BOOL"}
_OIP_KINDS = {"number": "FP64", "integer": "INT64", "boolean": "BOOL", "string": "BYTES", "known text": "BYTES"}


class InvalidPrediction(RuntimeError):
    """The model answered, but not with one finite answer per row."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Answers of one request: ``values`` is a list with one entry per row; ``datatype`` as in Open Inference."""

    values: list[Any]
    datatype: str


class Artifact:
    """Loads in the background, answers when warm, predicts in batches."""

    def __init__(self, spec: HostSpec) -> None:
        self.spec = spec
        self._columns = Columns(spec.features, spec.dtypes)
        self._model: LoadedModel | None = None
        self._warm = False
        self._datatype = "FP64"
        self._batcher: Batcher[Rows, Answer | InvalidPrediction] = Batcher(
            self._predict,
            size=lambda rows: rows.count,
            key=lambda rows: rows.signature,
            max_batch=spec.max_batch,
            max_wait_s=spec.max_wait_ms / 1000,
        )

    async def start(self) -> None:
        """Load and warm up. Raises what loading raises, and what predicting the declared example raises."""
        await asyncio.to_thread(self._load)

    async def close(self) -> None:
        self._batcher.close()

    async def ready(self) -> bool:
        return self._warm and not self._batcher.stalled(self.spec.timeout_s)

    def reread(self, spec: HostSpec) -> None:
        self.spec = spec

    async def handle(self, call: Call) -> Reply:
        found = _INFER.fullmatch(call.path) or _TF.fullmatch(call.path)
        if found or call.path == "/invocations":
            if call.method != "POST":
                return reply_error(405, f"{call.path} takes POST")
            spoken = _SPOKEN["/invocations" if found is None else call.path.rpartition("/")[2].rpartition(":")[2]]
            return self._unknown_model(found) or self._other_format(spoken) or await self._answer(call)
        return await self._describe(call)

    def _other_format(self, spoken: tuple[WireFormat, ...]) -> Reply | None:
        """An error for a path whose format is not the agreed one: the log would not understand the answer."""
        agreed = self.spec.wire
        if agreed in (None, "opaque", *spoken):
            return None
        return reply_error(400, f"the model {self.spec.model} speaks {agreed}, and this is the path of {spoken[0]}")

    async def _describe(self, call: Call) -> Reply:
        if call.path in ("/ping", "/health"):
            return (
                reply_json(200, {"status": "ok"}) if await self.ready() else reply_error(503, "the model is not ready")
            )
        if call.path == "/v2/health/live":
            return reply_json(200, {"live": True})
        if call.path == "/v2/health/ready":
            ready = await self.ready()
            return reply_json(200 if ready else 503, {"ready": ready})
        if call.path == "/v2":
            return reply_json(200, {"name": "seatrial", "version": __version__, "extensions": []})
        found = _READY.fullmatch(call.path)
        if found:
            ready = await self.ready()
            return self._unknown_model(found) or reply_json(
                200 if ready else 503, {"name": self.spec.model, "ready": ready}
            )
        found = _METADATA.fullmatch(call.path)
        if found:
            return self._unknown_model(found) or reply_json(200, self._metadata())
        return reply_error(404, f"nothing is served at {call.path}")

    def _unknown_model(self, found: re.Match[str] | None) -> Reply | None:
        if found is None or (found["model"], found["version"] or self.spec.version) == (
            self.spec.model,
            self.spec.version,
        ):
            return None
        return reply_error(404, f"this host serves {self.spec.model}/{self.spec.version}")

    def _metadata(self) -> dict[str, Any]:
        inputs = [
            {"name": name, "datatype": _OIP_KINDS.get(kind, "FP64"), "shape": [-1, 1]}
            for name, kind in zip(self._columns.features, self._columns.kinds, strict=True)
        ]
        shape = [-1, -1] if self.spec.output == "predict_proba" else [-1]
        return {
            "name": self.spec.model,
            "versions": [self.spec.version],
            "platform": f"seatrial_{self.spec.format}",
            "inputs": inputs,
            "outputs": [{"name": self.spec.output, "datatype": self._datatype, "shape": shape}],
        }

    async def _answer(self, call: Call) -> Reply:
        if not self._warm:
            return reply_error(503, f"{self.spec.model}/{self.spec.version} is still loading")
        try:
            wire = None if self.spec.wire == "opaque" else self.spec.wire
            kind = call.header(b"content-type")
            request = parse_request(call.path, kind, inflated(call.body), format=wire, spec=self.spec.response)
            if request.features is None and request.vectors is None:
                return reply_error(415, "binary tensors are not read; send their data as JSON")
            rows = self._columns.rows(request)
        except (WireError, FeatureError) as error:
            return reply_error(400, str(error))
        try:
            answer = await self._submit(rows)
        except TimeoutError:
            return reply_error(504, f"the model did not answer within {self.spec.timeout_s:g} s")
        except Busy as error:
            return reply_error(503, str(error))
        except Exception as error:
            log.warning("prediction failed", extra={"error": f"{type(error).__name__}: {error}"})
            return reply_error(500, f"the model failed: {type(error).__name__}: {str(error)[:500]}")
        return Reply(200, self._encode(request, answer), self._headers(rows))

    async def _submit(self, rows: Rows) -> Answer:
        if not rows.count:
            return Answer([], "FP64")
        async with asyncio.timeout(self.spec.timeout_s):
            answer = await self._batcher.submit(rows)
        if isinstance(answer, InvalidPrediction):
            raise answer
        return answer

    def _headers(self, rows: Rows) -> list[tuple[bytes, bytes]]:
        used = self._columns.as_used(rows, self.spec.emit_features)
        return [JSON_TYPE] if used is None else [JSON_TYPE, (b"x-seatrial-features", used.encode("ascii"))]

    def _encode(self, request: Request, answer: Answer) -> bytes:
        if request.format != "oip-v2":
            return _dump({"predictions": answer.values})
        nested = bool(answer.values) and isinstance(answer.values[0], list)
        shape = [len(answer.values), len(answer.values[0])] if nested else [len(answer.values)]
        data = [value for row in answer.values for value in row] if nested else answer.values
        output = {"name": self.spec.output, "shape": shape, "datatype": answer.datatype, "data": data}
        identity = {} if request.id is None else {"id": request.id}
        return _dump(
            {"model_name": self.spec.model, "model_version": self.spec.version, **identity, "outputs": [output]}
        )

    # What follows runs in the worker thread.

    def _predict(self, batch: Sequence[Rows]) -> list[Answer | InvalidPrediction]:
        import numpy as np

        assert self._model is not None
        data = self._columns.frame(batch) if self._model.wants_frame else self._columns.array(batch)
        count = sum(rows.count for rows in batch)
        output = np.asarray(self._model.predict(data))
        if output.ndim not in (1, 2) or len(output) != count:
            raise InvalidPrediction(f"{count} rows went in and an array of shape {output.shape} came back")
        if output.ndim == 2 and output.shape[1] == 0:
            raise InvalidPrediction("the answer has no columns")
        return _slices(output, [rows.count for rows in batch])

    def _load(self) -> None:
        quiet_name_warnings()
        model = load(self.spec)
        self._columns = Columns(self.spec.features, self.spec.dtypes, tuple(model.categories))
        self._model = model
        self._warm_up(model)
        self._warm = True

    def _warm_up(self, model: LoadedModel) -> None:
        """The first call pays for lazy imports. A declared example must be answered; an invented one may fail."""
        if self.spec.example is not None:
            row = dict(self.spec.example)
        else:
            row = {name: _invented(self._columns, name, model) for name in self.spec.features}
        try:
            (answer,) = self._predict([self._columns.rows(Request("json", 1, features=(row,)))])
            if isinstance(answer, InvalidPrediction):
                raise answer
            self._datatype = answer.datatype
        except Exception as error:
            if self.spec.example is not None:
                raise
            log.info("no warm-up: the invented row was refused", extra={"error": f"{type(error).__name__}: {error}"})


def _slices(output: Any, counts: Sequence[int]) -> list[Answer | InvalidPrediction]:
    """One answer per request; a request with a value that is missing or not finite gets an error of its own."""
    import numpy as np

    datatype = _DATATYPES.get(output.dtype.kind, "BYTES")
    fine = np.isfinite(output) if output.dtype.kind == "f" else None
    every = fine is not None and bool(fine.all())
    answers: list[Answer | InvalidPrediction] = []
    start = 0
    for count in counts:
        part = output[start : start + count]
        valid = every or (_usable(part) if fine is None else bool(fine[start : start + count].all()))
        answers.append(Answer(part.tolist(), datatype) if valid else InvalidPrediction("a prediction is not finite"))
        start += count
    return answers


def _usable(part: Any) -> bool:
    return part.dtype.kind != "O" or all(value is not None and value == value for value in part.ravel().tolist())


def _invented(columns: Columns, name: str, model: LoadedModel) -> object:
    if name in model.categories:
        return model.categories[name][0]
    kind = dict(zip(columns.features, columns.kinds, strict=True))[name]
    values: dict[str, object] = {"string": "", "boolean": False, "integer": 0}
    return values.get(kind, 0.0)


def _dump(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":"), default=str).encode()
