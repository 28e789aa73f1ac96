"""The application of a model host: what every host answers itself, and the backend for all the rest.

``/-/host`` says who this is and whether it is ready. ``/v2/health/live`` and ``/v2/health/ready`` are the portable
health checks; a proxy answers those itself too, and forwards everything else.
"""

from __future__ import annotations

import logging
import os
from typing import Protocol

from seatrial.serving.asgi import (
    Call,
    Disconnected,
    Headers,
    Receive,
    Reply,
    Scope,
    Send,
    TooLarge,
    read_call,
    reply_error,
    reply_json,
    send_reply,
)
from seatrial.serving.spec import HostSpec

log = logging.getLogger(__name__)

INFO_PATH = "/-/host"


class Backend(Protocol):
    """What stands behind a host. ``ready`` is asked by health checks and must be cheap."""

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def ready(self) -> bool: ...

    async def handle(self, call: Call) -> Reply: ...


def backend(spec: HostSpec) -> Backend:
    """The backend of a spec; imports only what this kind needs."""
    if spec.kind == "proxy":
        from seatrial.serving.proxy import Proxy

        return Proxy(spec)
    from seatrial.serving.artifact import Artifact

    return Artifact(spec)


class Host:
    """The ASGI application."""

    def __init__(self, spec: HostSpec, backend: Backend) -> None:
        self._spec, self._backend = spec, backend
        self._digest = spec.digest()
        self._limit = int(spec.max_body_mb * 2**20)
        self._always: Headers = [(b"x-seatrial-host-version", spec.version.encode("ascii"))]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            call = await read_call(scope, receive, self._limit)
            reply = await self._reply(call)
        except Disconnected:
            return
        except TooLarge:
            reply = reply_error(413, f"the body is larger than {self._spec.max_body_mb:g} MB")
        except Exception as error:
            log.exception("request failed", extra={"path": scope["path"]})
            reply = reply_error(500, f"the host failed: {type(error).__name__}")
        await send_reply(send, reply, self._always)

    async def _reply(self, call: Call) -> Reply:
        if call.path == INFO_PATH:
            return reply_json(200, await self.info())
        if call.path == "/v2/health/live":
            return reply_json(200, {"live": True})
        if call.path == "/v2/health/ready":
            ready = await self._backend.ready()
            return reply_json(200 if ready else 503, {"ready": ready})
        return await self._backend.handle(call)

    async def info(self) -> dict[str, object]:
        return {
            "model": self._spec.model,
            "version": self._spec.version,
            "kind": self._spec.kind,
            "digest": self._digest,
            "pid": os.getpid(),
            "ready": await self._backend.ready(),
        }
