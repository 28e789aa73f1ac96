"""The control plane as one process: the HTTP API in front, the controller's loop beside it."""

from __future__ import annotations

import logging
import os
import signal
import threading
from pathlib import Path

import uvicorn

from seatrial import processes
from seatrial.api.app import create_app
from seatrial.control.controller import Controller
from seatrial.control.operations import Operations
from seatrial.control.project import Project
from seatrial.gateway.envoy import Envoy
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
    with Store.open(project.store_url) as store:
        controller = Controller(project, store)
        stopping = threading.Event()
        loop = threading.Thread(target=_run, args=(controller, stopping), name="controller", daemon=True)
        app = create_app(Operations(project, store, controller), project, store)
        address = project.config.api
        server = uvicorn.Server(
            uvicorn.Config(app, host=address.host, port=address.port, log_level="warning", access_log=False)
        )
        controller.start()
        pid_file.write_text(f"{os.getpid()} {processes.started(os.getpid())}\n")
        loop.start()
        try:
            server.run()
        finally:
            stopping.set()
            loop.join(timeout=10)
            controller.stop()
            pid_file.unlink(missing_ok=True)


def _run(controller: Controller, stopping: threading.Event) -> None:
    controller.run(stopping)
    if not stopping.is_set():
        os.kill(os.getpid(), signal.SIGTERM)  # the loop ended because another controller took over: so does the API


def shutdown(project: Project, *, grace_s: float = 10.0) -> list[str]:
    """Stop the control plane, then Envoy, then every model host of this project; returns what was stopped."""
    stopped = []
    if _stop_control(project.run / PID_FILE, grace_s):
        stopped.append("control plane")
    envoy = Envoy(project.gateway, project.config.gateway.port, host=project.config.gateway.host)
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
