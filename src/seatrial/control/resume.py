"""Traffic without a store: the last routes that were in force, and the hosts they lead to, brought back from disk.

For a start while the store does not answer. No decision is taken and nothing is recorded; kill latches hold.
"""

from __future__ import annotations

import logging
from pathlib import Path

from seatrial.control.gateway import gateway_of
from seatrial.control.project import Project
from seatrial.errors import SeatrialError
from seatrial.gateway.kill import latched, read_latches
from seatrial.gateway.routes import RouteTable
from seatrial.serving.process import HostProcess
from seatrial.serving.spec import HostSpec
from seatrial.store.artifacts import ArtifactStore

log = logging.getLogger("seatrial.control")


def resume(project: Project) -> str:
    """What flows now, for people. Whatever fails is logged: this is the last thing that can be done."""
    try:
        return _resume(project)
    except (SeatrialError, OSError) as error:
        log.exception("traffic could not be brought back")
        return f"No traffic flows: {error}"


def _resume(project: Project) -> str:
    envoy, latches = gateway_of(project), read_latches(project.kill_latches)
    if not envoy.table().models:
        return "No traffic flows: no routes were ever in force."
    _bring_hosts_back(project, envoy.table())
    envoy.start(lambda last: latched(last, latches))
    envoy.apply(latched(envoy.table(), latches))  # one that was adopted may not know all latches
    return f"Traffic flows by the last routes that were in force (generation {envoy.table().generation})."


def _bring_hosts_back(project: Project, table: RouteTable) -> None:
    ports = {
        backend.endpoint.port
        for route in table.models
        for backend in (route.champion, route.canary, route.shadow, *route.fallbacks)
        if backend is not None
    }
    for file in sorted((project.state / "hosts").glob("*/spec.json")):
        try:
            spec = HostSpec.read(file)
            if spec.port in ports:
                _bring_host_back(project, spec, file.parent)
        except (SeatrialError, OSError):
            log.exception("the host in %s could not be brought back", file.parent)


def _bring_host_back(project: Project, spec: HostSpec, directory: Path) -> None:
    host = HostProcess(spec, directory)
    if host.adopt():
        return
    if spec.artifact_dir is not None:
        ArtifactStore(project.artifacts).verify(f"sha256:{Path(spec.artifact_dir).name}")
    host.ensure()
