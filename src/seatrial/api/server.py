"""The control plane as one process: the HTTP API in front, the controller's loop beside it."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import uvicorn

from seatrial import processes
from seatrial.api.app import create_app
from seatrial.api.protocol import PromptHttp
from seatrial.api.stream import Pulse
from seatrial.control.alerting.delivery import Courier
from seatrial.control.alerting.lookout import Lookout
from seatrial.control.controller import LEASE_TTL, Controller
from seatrial.control.disk import disk_told
from seatrial.control.gateway import gateway_of
from seatrial.control.mlflow.watch import MlflowWatch
from seatrial.control.operations import Operations
from seatrial.control.project import Address, Project
from seatrial.control.resume import resume
from seatrial.control.retraining.workers import Retraining
from seatrial.control.tenure import PID_FILE, directory_held, wait_for_lease
from seatrial.control.traffic import STORE_DOWN
from seatrial.errors import Unavailable
from seatrial.gateway.files import write_atomically
from seatrial.gateway.reserve import keep
from seatrial.serving.process import HostProcess
from seatrial.serving.spec import HostSpec
from seatrial.store.db import Store

CONNECTIONS = 512
"""At once; more are answered 503 rather than taking the files that the controller needs open."""

SWITCH_S = 0.0005
"""While the capture log is read, a rollback gets the interpreter back ten times as soon as by default (seconds)."""


def serve(project: Project, *, standby: bool = False, lease_ttl: timedelta = LEASE_TTL) -> None:
    """Run until SIGTERM or SIGINT. Envoy and the model hosts go on afterwards: ``shutdown`` ends them.

    A ``standby`` waits until no other controller runs. Raises LeaseLost when another one has taken over.
    """
    os.umask(0o077)  # whatever is made from here on, also by Envoy and the hosts, is this user's alone
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    sys.setswitchinterval(SWITCH_S)
    with _ending_on_signals(), _begun(project, standby, lease_ttl) as (controller, listener):
        operations = Operations(project, controller.store, controller)
        beside = (
            Courier(project, controller.store), Lookout(controller), MlflowWatch(operations), Retraining(operations),
        )  # fmt: skip
        stopping = threading.Event()
        app = create_app(operations, project, controller.store, ready=controller.missing)
        server = Server(
            uvicorn.Config(
                app, http=PromptHttp, ws="none", log_level="warning", access_log=False, server_header=False,
                limit_concurrency=CONNECTIONS,
            ),
            app.state.desk.pulse,
        )  # fmt: skip
        loop = threading.Thread(target=_run, args=(controller, stopping, server), name="controller", daemon=True)
        try:
            controller.start()
            for part in beside:
                part.start()
            loop.start()
            server.run(sockets=[listener])
        finally:
            stopping.set()
            if loop.is_alive():
                loop.join(timeout=10)
            for part in beside:
                part.stop()
            controller.stop()
        if controller.lost is not None:
            raise controller.lost


@contextmanager
def _begun(project: Project, standby: bool, lease_ttl: timedelta) -> Iterator[tuple[Controller, socket.socket]]:
    """A controller that has the project's directory and its lease, and the socket of the API, not listening yet.

    All that could keep it from running is found here, before anything is changed. Where only the store does not answer,
    traffic is brought back by the last routes before this gives up.
    """
    pid_file = project.run / PID_FILE
    with ExitStack() as held:
        with disk_told(project):
            project.prepare()
            project.token()
            held.enter_context(directory_held(project, wait=standby))
            reserve = project.run / "reserve"
            keep(reserve)
            write_atomically(pid_file, f"{os.getpid()} {processes.started(os.getpid())}\n", reserve=reserve)
            held.callback(pid_file.unlink, missing_ok=True)
            listener = held.enter_context(_bound(project.config.api))
            try:
                store = held.enter_context(Store.open(project.store_url))
                controller = Controller(project, store, lease_ttl=lease_ttl)
                if standby:
                    wait_for_lease(controller)
                controller.take_lease()
            except STORE_DOWN as error:
                raise type(error)(error.code, error.message, remedy=f"{error.remedy} {resume(project)}") from error
        yield controller, listener


def _bound(address: Address) -> socket.socket:
    """The API's port is ours; nobody can connect before the server listens."""
    listener = socket.socket(socket.AF_INET6 if ":" in address.host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address.host, address.port))
    except OSError as error:
        listener.close()
        raise Unavailable(
            "ST0833",
            f"the API's port {address.port} on {address.host} cannot be taken: {error.strerror}.",
            remedy=f"Stop the other program (`lsof -i :{address.port}`), or set api.port in seatrial.yaml.",
        ) from error
    return listener


class Server(uvicorn.Server):
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
    with suppress(OSError):
        pid_file.unlink()
    return stopped
