"""The control plane as one process: the HTTP API in front, the controller's loop beside it."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import uvicorn

from seatrial import processes
from seatrial.api.app import create_app
from seatrial.api.protocol import PromptHttp
from seatrial.api.stream import Pulse
from seatrial.control.controller import LEASE_TTL, Controller
from seatrial.control.delivery import Courier
from seatrial.control.gateway import gateway_of
from seatrial.control.lookout import Lookout
from seatrial.control.operations import Operations
from seatrial.control.project import Project
from seatrial.control.tenure import PID_FILE, directory_held, wait_for_lease
from seatrial.serving.process import HostProcess
from seatrial.serving.spec import HostSpec
from seatrial.store.db import Store

CONNECTIONS = 512
"""At once; more are answered 503 rather than taking the files that the controller needs open."""


def serve(project: Project, *, standby: bool = False, lease_ttl: timedelta = LEASE_TTL) -> None:
    """Run until SIGTERM or SIGINT. Envoy and the model hosts go on afterwards: ``shutdown`` ends them.

    A ``standby`` waits until no other controller runs. Raises LeaseLost when another one has taken over.
    """
    os.umask(0o077)  # whatever is made from here on, also by Envoy and the hosts, is this user's alone
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    project.prepare()
    project.token()
    pid_file = project.run / PID_FILE
    with _ending_on_signals(), directory_held(project, wait=standby), Store.open(project.store_url) as store:
        controller = Controller(project, store, lease_ttl=lease_ttl)
        beside = (Courier(project, controller.store), Lookout(controller))
        stopping = threading.Event()
        app = create_app(Operations(project, store, controller), project, controller.store, ready=controller.missing)
        address = project.config.api
        server = _Server(
            uvicorn.Config(
                app, host=address.host, port=address.port, http=PromptHttp, ws="none", log_level="warning",
                access_log=False, server_header=False, limit_concurrency=CONNECTIONS,
            ),
            app.state.desk.pulse,
        )  # fmt: skip
        loop = threading.Thread(target=_run, args=(controller, stopping, server), name="controller", daemon=True)
        try:
            pid_file.write_text(f"{os.getpid()} {processes.started(os.getpid())}\n")
            if standby:
                wait_for_lease(controller)
            controller.start()
            for part in beside:
                part.start()
            loop.start()
            server.run()
        finally:
            stopping.set()
            if loop.is_alive():
                loop.join(timeout=10)
            for part in beside:
                part.stop()
            controller.stop()
            pid_file.unlink(missing_ok=True)
        if controller.lost is not None:
            raise controller.lost


class _Server(uvicorn.Server):
    """Ends the streams of open pages before it waits for calls that are under way: those would go on for ever."""

    def __init__(self, config: uvicorn.Config, pulse: Pulse) -> None:
        super().__init__(config)
        self._pulse = pulse

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._pulse.close()
        await super().shutdown(sockets)


@contextmanager
def _ending_on_signals() -> Iterator[None]:
    """SIGTERM and SIGINT end the block as an exception would, so that everything is released on the way out.

    uvicorn takes these signals for itself and raises them again when it is done, which would end the process there.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _leave) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(number: int, frame: object) -> None:
    raise SystemExit(0)


def _run(controller: Controller, stopping: threading.Event, server: uvicorn.Server) -> None:
    controller.run(stopping)
    server.should_exit = True  # where another controller took over, this one's API ends as well


def shutdown(project: Project, *, grace_s: float = 10.0) -> list[str]:
    """Stop the control plane, then Envoy, then every model host of this project; returns what was stopped."""
    stopped = []
    if _stop_control(project.run / PID_FILE, grace_s):
        stopped.append("control plane")
    envoy = gateway_of(project)
    if envoy.pid is not None:
        envoy.stop()
        stopped.append("gateway")
    for spec in sorted((project.state / "hosts").glob("*/spec.json")):
        if HostProcess(HostSpec.read(spec), spec.parent).stop():
            stopped.append(f"host {spec.parent.name}")
    return stopped


def _stop_control(pid_file: Path, grace_s: float) -> bool:
    """End the control plane whose pid is recorded; False if none runs."""
    try:
        pid, since = pid_file.read_text().split()
    except (FileNotFoundError, ValueError):
        return False
    stopped = processes.stop(int(pid), since, grace_s=grace_s)
    pid_file.unlink(missing_ok=True)
    return stopped
