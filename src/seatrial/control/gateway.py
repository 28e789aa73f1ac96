"""The project's Envoy, with the settings it always has: whoever makes the object stands for the same gateway."""

from __future__ import annotations

from seatrial.control.project import Project
from seatrial.gateway.envoy import Envoy

FLUSH_MS = {"wall": 200, "replay": 50}
"""How long Envoy may keep log lines to itself. A replay waits for every line, so it asks for them sooner."""


def gateway_of(project: Project) -> Envoy:
    """The project's gateway, running or not."""
    address, clock = project.config.gateway, project.config.clock
    return Envoy(project.gateway, address.port, host=address.host, flush_ms=FLUSH_MS[clock])
