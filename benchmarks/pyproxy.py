"""A gateway as one writes it in an afternoon: uvicorn and aiohttp, the same split, mirror and capture as seatrial's.

``python -m benchmarks.pyproxy PORT CHAMPION CANARY SHADOW MIRRORED LOG``: ports, mirrored points, capture log or ``-``.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import uuid
from typing import Any

import aiohttp
import uvicorn

from seatrial.gateway.assignment import assign

CANARY = 1000


class Proxy:
    """An ASGI application."""

    def __init__(self, champion: int, canary: int, shadow: int, mirrored: int, log: str) -> None:
        self._ports = {"champion": champion, "canary": canary, "shadow": shadow}
        self._mirrored = mirrored
        self._log = None if log == "-" else open(log, "a", buffering=1 << 16)  # noqa: SIM115 - for the process's life
        self._session: aiohttp.ClientSession | None = None
        self._copies: set[asyncio.Task[Any]] = set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body = await _body(receive)
        unit = next((value.decode() for name, value in scope["headers"] if name == b"x-unit-id"), "")
        point, request = assign("bench", unit), uuid.uuid4().hex
        arm = "canary" if point < CANARY else "champion"
        if arm == "champion" and point < CANARY + self._mirrored:
            copy = asyncio.create_task(self._ask("shadow", scope["path"], body, unit, request))
            self._copies.add(copy)
            copy.add_done_callback(self._copies.discard)
        status, answer = await self._ask(arm, scope["path"], body, unit, request)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
        headers += [(b"x-seatrial-version", arm.encode()), (b"x-seatrial-id", request.encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    async def _ask(self, arm: str, path: str, body: bytes, unit: str, request: str) -> tuple[int, bytes]:
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=256))
        began = time.time()
        url = f"http://127.0.0.1:{self._ports[arm]}{path.removeprefix('/models/bench')}"
        headers = {"content-type": "application/json", "x-seatrial-id": request}
        async with self._session.post(url, data=body, headers=headers) as answer:
            data = await answer.read()
        if self._log is not None:
            line = {"t": began, "id": request, "unit": unit, "arm": arm, "code": answer.status, "path": path}
            line |= {"us": int((time.time() - began) * 1e6), "req": body.decode(), "resp": data.decode()}
            self._log.write(json.dumps(line) + "\n")
        return answer.status, data


async def _body(receive: Any) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


if __name__ == "__main__":
    port, champion, canary, shadow, mirrored = map(int, sys.argv[1:6])
    app = Proxy(champion, canary, shadow, mirrored, sys.argv[6])
    uvicorn.run(app, port=port, log_level="error", access_log=False)
