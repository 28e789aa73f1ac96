"""The control plane as one process: the HTTP API in front, the controller's loop beside it."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from seatrial import processes
from seatrial.api.app import create_app
from seatrial.control.controller import Controller
from seatrial.control.gateway import gateway_of
from seatrial.control.operations import Operations
from seatrial.control.project import Project
from seatrial.serving.process import HostProcess
from seatrial.serving.spec import HostSpec
from seatrial.store.db import Store

PID_FILE = "control.pid"


def serve(project: Project) -> None:
    """Run until SIGTERM or SIGINT. Envoy and the model hosts go on afterwards: ``shutdown`` ends them."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    project.prepare()
    project.token()
    pid_file = project.run / PID_FILE
    with _ending_on_signals(), Store.open(project.store_url) as store:
        controller = Controller(project, store)
        stopping = threading.Event()
        loop = threading.Thread(target=_run, args=(controller, stopping), name="controller", daemon=True)
        app = create_app(Operations(project, store, controller), project, store, ready=controller.missing)
        address = project.config.api
        server = uvicorn.Server(
            uvicorn.Config(app, host=address.host, port=address.port, log_level="warning", access_log=False)
        )
        controller.start()
        try:
            pid_file.write_text(f"{os.getpid()} {processes.started(os.getpid())}\n")
            loop.start()
            server.run()
        finally:
            stopping.set()
            if loop.is_alive():
                loop.join(timeout=10)
            controller.stop()
            pid_file.unlink(missing_ok=True)


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


def _run(controller: Controller, stopping: threading.Event) -> None:
    controller.run(stopping)
    if not stopping.is_set():
        os.kill(os.getpid(), signal.SIGTERM)  # the loop ended because another controller took over: so does the API


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
