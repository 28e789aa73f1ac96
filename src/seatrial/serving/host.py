"""The application of a model host: what every host answers itself, and the backend for all the rest.

``GET /-/host`` says who this is and whether it is ready; ``POST /-/host`` makes it read its spec again. Both are for
the controller: what comes through the gateway carries an id, and goes to the backend like everything else.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Protocol

from seatrial.errors import SeatrialError
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
    """What stands behind a host. ``ready`` is asked by health checks and must be cheap.

    ``reread``: from the next call on bodies are read by this spec, which differs in nothing else.
    """

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def ready(self) -> bool: ...

    def reread(self, spec: HostSpec) -> None: ...

    async def handle(self, call: Call) -> Reply: ...


def backend(spec: HostSpec) -> Backend:
    """The backend of a spec; imports only what this kind needs."""
    if spec.kind == "proxy":
        from seatrial.serving.proxy import Proxy

        return Proxy(spec)
    if spec.kind == "rules":
        from seatrial.serving.rules_host import RulesHost

        return RulesHost(spec)
    if spec.kind == "review":
        from seatrial.serving.review_host import ReviewHost

        return ReviewHost(spec)
    if spec.kind == "banner":
        from seatrial.serving.banner_host import BannerHost

        return BannerHost(spec)
    from seatrial.serving.artifact import Artifact

    return Artifact(spec)


class Host:
    """The ASGI application. ``file``: where its spec was read from, if it may be read again."""

    def __init__(self, spec: HostSpec, backend: Backend, file: Path | None = None) -> None:
        self._spec, self._backend, self._file = spec, backend, file
        self._digest = spec.digest()
        self._limit = int(spec.max_body_mb * 2**20)
        self._busy = 0
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
        await send_reply(send, receive, reply, self._always)

    async def _reply(self, call: Call) -> Reply:
        if call.path == INFO_PATH and call.header(b"x-seatrial-id") is None:  # clients come through the gateway
            taken = call.method != "POST" or self._reread()
            return reply_json(200 if taken else 409, await self.info())
        if self._spec.limit is not None and self._busy >= self._spec.limit:
            return reply_error(503, f"the host is scaled down to {self._spec.limit} requests at once")
        self._busy += 1
        try:
            return await self._backend.handle(call)
        finally:
            self._busy -= 1

    def _reread(self) -> bool:
        """Take the way of reading from the spec's file. False if anything else in it is new: that takes a restart."""
        try:
            spec = self._spec if self._file is None else HostSpec.read(self._file)
        except (OSError, SeatrialError) as error:
            log.warning("the spec does not read", extra={"error": str(error)})
            return False
        if spec.read_as(self._spec.reading) != self._spec:
            return False
        self._backend.reread(spec)
        self._spec, self._digest = spec, spec.digest()
        return True

    async def info(self) -> dict[str, object]:
        return {
            "model": self._spec.model,
            "version": self._spec.version,
            "kind": self._spec.kind,
            "digest": self._digest,
            "pid": os.getpid(),
            "ready": await self._backend.ready(),
        }
