"""The team's own serving app, older than seatrial: what ``seatrial model adopt --url`` is pointed at.

    python -m seatrial.demo.app --model delay.skops --port 8801 --features release.json

``POST /invocations`` takes ``{"dataframe_records": [...]}`` with raw flight records and answers
``{"predictions": [probability of late arrival, ...], "features": [the record as the model used it, ...]}``;
a request it cannot use is 400 with ``{"error": ...}``. ``GET /ping`` answers when the app is ready.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn
from sklearn.pipeline import Pipeline
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from seatrial.demo import train
from seatrial.demo.features import FeatureService, Record, frame
from seatrial.demo.flights import CATEGORIES, NUMBERS, WEATHER

QUIET_SECONDS = 0.001
"""A batch is scored when no request has joined it for so long: scikit-learn takes 5 ms for a call with 1 row or 50."""

BATCH_REQUESTS = 64
"""A batch of so many requests does not wait for more."""


class Batcher:
    """Scores the rows of all requests that arrive close together in one call of ``predict``."""

    def __init__(self, predict: Callable[[list[Record]], list[float]]) -> None:
        self._predict = predict
        self._waiting: list[tuple[list[Record], asyncio.Future[list[float]]]] = []

    async def score(self, rows: list[Record]) -> list[float]:
        answer: asyncio.Future[list[float]] = asyncio.get_running_loop().create_future()
        self._waiting.append((rows, answer))
        if len(self._waiting) == 1:
            self._look_again(seen=1)
        return await answer

    def _look_again(self, seen: int) -> None:
        asyncio.get_running_loop().call_later(QUIET_SECONDS, self._flush_if_quiet, seen)

    def _flush_if_quiet(self, seen: int) -> None:
        if seen < len(self._waiting) < BATCH_REQUESTS:
            self._look_again(len(self._waiting))
        else:
            self._flush()

    def _flush(self) -> None:
        batch, self._waiting = self._waiting, []
        try:
            scores = self._predict([row for rows, _ in batch for row in rows])
        except Exception as error:
            for _, answer in batch:
                if not answer.done():
                    answer.set_exception(error)
            return
        position = 0
        for rows, answer in batch:
            if not answer.done():  # the client may have gone
                answer.set_result(scores[position : position + len(rows)])
            position += len(rows)


def create_app(pipeline: Pipeline, service: FeatureService) -> Starlette:
    """The app around one fitted pipeline and one feature service."""

    def predict(rows: list[Record]) -> list[float]:
        return [float(p) for p in pipeline.predict_proba(frame(rows))[:, 1]] if rows else []

    batcher = Batcher(predict)

    async def invocations(request: Request) -> JSONResponse:
        try:
            records = parse(await request.body())
        except ValueError as error:
            return JSONResponse({"error": str(error)}, status_code=400)
        used = service.apply(records)
        return JSONResponse({"predictions": await batcher.score(used), "features": used})

    async def ping(request: Request) -> JSONResponse:
        return JSONResponse({"status": "ok", "release": service.release})

    return Starlette(routes=[Route("/invocations", invocations, methods=["POST"]), Route("/ping", ping)])


def parse(body: bytes) -> list[Record]:
    """The records of a request; ``ValueError`` says what is wrong with them.

    Every value is checked here, because one bad row would fail the whole batch it is scored in.
    """
    content: Any = json.loads(body)
    records = content.get("dataframe_records") if isinstance(content, dict) else None
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise ValueError('expected {"dataframe_records": [{...}, ...]}')
    for index, record in enumerate(records):
        if wrong := [name for name in CATEGORIES if not isinstance(record.get(name), str)]:
            raise ValueError(f"record {index}: {', '.join(wrong)} must be text")
        if wrong := [name for name in NUMBERS if not _is_number(record, name)]:
            raise ValueError(f"record {index}: {', '.join(wrong)} must be a number")
    return records


def _is_number(record: Record, name: str) -> bool:
    """The field is there and a number of ordinary size (so neither NaN nor infinite); only the weather may be null."""
    value = record.get(name, "")
    return (type(value) in (int, float) and abs(value) < 1e9) or (value is None and name in WEATHER)


def main(arguments: list[str] | None = None) -> None:
    options = argparse.ArgumentParser(prog="python -m seatrial.demo.app", description="Serve the flight delay model.")
    options.add_argument("--model", type=Path, required=True, help="a skops file written by seatrial.demo.train")
    options.add_argument("--port", type=int, required=True)
    options.add_argument("--features", type=Path, required=True, help='release file, {"release": "minutes"}')
    given = options.parse_args(arguments)
    service = FeatureService(given.features)
    app = create_app(train.load(given.model), service)
    # One thread: for a handful of rows, waking the others costs more than they save.
    with threadpool_limits(limits=1, user_api="openmp"):
        uvicorn.run(app, host="127.0.0.1", port=given.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
