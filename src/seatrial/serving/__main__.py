"""``python -m seatrial.serving SPEC.json``: run one model host until SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

import uvicorn
import uvloop

from seatrial.errors import SeatrialError
from seatrial.serving.host import Backend, Host, backend
from seatrial.serving.logs import log_json
from seatrial.serving.spec import HostSpec

log = logging.getLogger("seatrial.serving")

_KEEP_ALIVE_S = 3900  # longer than Envoy keeps an idle upstream connection (1 h), so it is never reused while closing
_GRACE_S = 10


def main(arguments: list[str]) -> int:
    """Exit code 0 after SIGTERM, 1 when the version cannot be served, 2 for a wrong call."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m seatrial.serving SPEC.json\n")
        return 2
    file = Path(arguments[0])
    try:
        spec = HostSpec.read(file)
    except (OSError, SeatrialError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    log_json(model=spec.model, version=spec.version)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    _limit_resources(spec)
    sys.setswitchinterval(0.001)  # while a model predicts, the event loop still gets its turn within a millisecond
    for number in (signal.SIGTERM, signal.SIGINT):  # the server takes them over, finishes what it has, and raises again
        signal.signal(number, lambda *_: _finish(True))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        _finish(runner.run(_serve(spec, file)))


async def _serve(spec: HostSpec, file: Path) -> bool:
    """Take requests at once, so that liveness answers while the model loads; true unless the version cannot start."""
    behind = backend(spec)
    config = uvicorn.Config(
        Host(spec, behind, file),
        host=spec.host,
        port=spec.port,
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_GRACE_S,
    )
    server = uvicorn.Server(config)
    starting = asyncio.create_task(_start(behind, server))
    await server.serve()
    started = starting.result() if starting.done() else True
    starting.cancel()
    await behind.close()
    return started


async def _start(behind: Backend, server: uvicorn.Server) -> bool:
    try:
        await behind.start()
    except Exception as error:
        known = isinstance(error, SeatrialError)
        log.error("cannot serve", extra={"error": str(error) if known else repr(error)}, exc_info=not known)
        server.should_exit = True
        return False
    gc.collect()
    gc.freeze()  # what loading left stays for good; walking it again and again would pause requests
    log.info("ready", extra={"pid": os.getpid()})
    return True


def _limit_resources(spec: HostSpec) -> None:
    """Set by the host itself, before it loads a model: a hook between fork and exec is unsafe in a threaded parent."""
    try:
        import resource
    except ImportError:  # not on this platform
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if spec.memory_limit_mb is not None:
        size = spec.memory_limit_mb * 2**20
        with contextlib.suppress(OSError, ValueError):  # macOS does not limit address space
            resource.setrlimit(resource.RLIMIT_AS, (size, size))


def _finish(started: bool) -> NoReturn:
    """Leave without joining threads: a model that hangs, or is still loading, would hold the process for ever."""
    log.info("stopped")
    logging.shutdown()
    os._exit(0 if started else 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
