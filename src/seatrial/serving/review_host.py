"""The last resort where somebody waits for a decision: the request is on disk before it is answered 202."""

from __future__ import annotations

import asyncio
import base64
import logging
import uuid
from datetime import UTC, datetime
from pathlib import Path

from seatrial.serving import stand_in
from seatrial.serving.asgi import Call, Reply, reply_error, reply_json
from seatrial.serving.review_queue import Asked, ReviewQueue
from seatrial.serving.spec import HostSpec

log = logging.getLogger(__name__)

PROBE_HEADER = b"x-seatrial-probe"


class ReviewHost:
    """Takes requests for people. Those that come together are synced together: syncing is slow."""

    def __init__(self, spec: HostSpec) -> None:
        self.spec = spec
        self._queue = ReviewQueue(Path(spec.queue_dir or ""))
        self._waiting: list[tuple[Asked, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Raises OSError where the queue's directory cannot be made."""
        await asyncio.to_thread(self._queue.directory.mkdir, parents=True, exist_ok=True, mode=0o700)

    async def close(self) -> None:
        if self._writing is not None:
            await self._writing

    async def ready(self) -> bool:
        return self._queue.directory.is_dir()

    def reread(self, spec: HostSpec) -> None:
        self.spec = spec

    async def handle(self, call: Call) -> Reply:
        return await stand_in.handle(self, call)

    async def answer(self, call: Call) -> Reply:
        """202 with the id to ask for; 503 where it could not be kept, and then nobody is told that it was."""
        asked = _asked(call)
        if call.header(PROBE_HEADER) is None:
            try:
                await self._kept(asked)
            except OSError as error:
                log.error("not kept", extra={"error": str(error)})
                return reply_error(503, f"the request could not be kept for review: {error.strerror}")
        return reply_json(202, {"decision": "pending", "review": asked.id, "level": "review", "model": self.spec.model})

    async def _kept(self, asked: Asked) -> None:
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, written))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        await written

    async def _write(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                await asyncio.to_thread(self._queue.put, [asked for asked, _ in batch])
            except OSError as error:
                for _, written in batch:
                    if not written.done():
                        written.set_exception(error)
            else:
                for _, written in batch:
                    if not written.done():
                        written.set_result(None)


def _asked(call: Call) -> Asked:
    """The gateway's own id, under which the request is in the log and an outcome is reported."""
    try:
        body, encoded = call.body.decode(), False
    except UnicodeDecodeError:
        body, encoded = base64.b64encode(call.body).decode("ascii"), True
    return Asked(
        id=call.header(b"x-seatrial-id") or str(uuid.uuid4()),
        time=datetime.now(UTC),
        path=call.path,
        type=call.header(b"content-type") or "",
        body=body,
        encoded=encoded,
        unit=call.header(b"x-seatrial-unit"),
    )
