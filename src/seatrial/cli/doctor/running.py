"""What runs: ports, control plane, gateway, and the log between them."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from seatrial import __version__
from seatrial.cli.doctor.finding import Finding, error, fine
from seatrial.errors import SeatrialError

if TYPE_CHECKING:
    from seatrial.control.project import Address, Project

PATIENCE_S = 5.0
"""A program on our port that takes the connection and says nothing is not ours."""

LARGE_LOG_BYTES = 1 << 30
"""The control plane reads the log as it is written and deletes what it has read: this much means that it does not."""


def ports(project: Project) -> Iterator[Finding]:
    """Each port is free, or held by this project's own server."""
    yield _port("api", project.config.api, lambda: _control(project) is not None)
    yield _port("gateway", project.config.gateway, lambda: _gateway_answers(project))


def control_plane(project: Project) -> Iterator[Finding]:
    """The gateway goes on without the control plane, so nobody notices that nothing is decided any more."""
    running = _control(project)
    if running is None:
        if _gateway_answers(project):
            yield error(
                "control plane", "traffic flows, but the control plane does not run: nothing is judged or brought home",
                "`seatrial up` starts it, and takes the looks that were missed. Why it ended: `seatrial logs`.",
            )  # fmt: skip
    elif running != __version__:
        yield error(
            "version", f"the control plane that runs is {running or 'an older release'}, installed is {__version__}",
            "`seatrial down && seatrial up` starts the new one; no traffic flows for these seconds.",
        )  # fmt: skip


def capture_log(project: Project) -> Iterator[Finding]:
    size = sum(path.stat().st_size for path in (project.gateway / "log").glob("*.jsonl*"))
    if size > LARGE_LOG_BYTES:
        yield error(
            "capture log", f"{size / (1 << 30):.1f} GiB of requests wait in {project.gateway / 'log'}",
            "Nobody reads them: is the control plane up, and does `seatrial logs` show why it cannot keep up?",
        )  # fmt: skip


def can_bind(address: Address) -> bool:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address.host, address.port))
        except OSError:
            return False
    return True


def _port(name: str, address: Address, ours: Callable[[], bool]) -> Finding:
    label, where = f"{name} port", f"{address.host}:{address.port}"
    if can_bind(address):
        return fine(label, f"{where} is free: not running")
    if ours():
        return fine(label, f"{where} is ours: running")
    return error(
        label, f"{where} is taken by another program or project",
        f"Stop it (`lsof -i :{address.port}` names it), or set {name}.port in seatrial.yaml.",
    )  # fmt: skip


def _control(project: Project) -> str | None:
    """The version of this project's control plane, if it runs (empty from a release that does not say)."""
    from seatrial.cli.client import HEALTH, Client

    client = Client(project, timeout_s=PATIENCE_S)
    try:
        return str(client.get(HEALTH).get("version", "")) if client.running() else None
    except SeatrialError:
        return None


def _gateway_answers(project: Project) -> bool:
    from seatrial.control.way_home.emergency import gateway_of

    try:
        return gateway_of(project).healthy()
    except SeatrialError:
        return False
