"""Hosts of what stands in for a model's versions: what they are told to serve, and where those that run listen."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from seatrial.control.project import Project
from seatrial.control.render import HostKey
from seatrial.errors import SeatrialError
from seatrial.gateway.routes import Endpoint
from seatrial.ids import ModelName
from seatrial.registry.fallback import StandIn, host_name
from seatrial.registry.version import Model
from seatrial.serving.spec import HostSpec
from seatrial.store.artifacts import ArtifactStore


@dataclass(frozen=True, slots=True)
class Wanted:
    """One stand-in that must be up. ``features``: names of the champion's columns, for requests without names."""

    model: Model
    stand_in: StandIn
    features: tuple[str, ...] = ()


def stand_in_spec(project: Project, artifacts: ArtifactStore, wanted: Wanted) -> HostSpec:
    """Raises IntegrityError or NotFound for a scorecard that is not what was reviewed."""
    name, level = wanted.stand_in
    model = wanted.model
    if level == "rules":
        digest = model.safety.fallback.rules
        assert digest is not None, "there are no rules without a scorecard"
        artifacts.verify(digest)
        return HostSpec(
            model=model.name, version=name, kind="rules", artifact_dir=str(artifacts.path(digest)),
            features=wanted.features,
        )  # fmt: skip
    if level == "review":
        return HostSpec(model=model.name, version=name, kind="review", queue_dir=str(project.review(model.name)))
    return HostSpec(model=model.name, version=name, kind="banner")


def recorded_endpoints(project: Project) -> dict[HostKey, Endpoint]:
    """Where the hosts of this project listen, by their own files: those that have died, too."""
    found: dict[HostKey, Endpoint] = {}
    for file in sorted((project.state / "hosts").glob("*/spec.json")):
        with suppress(SeatrialError, OSError):
            spec = HostSpec.read(file)
            if file.with_name("host.pid").exists() and spec.port:
                found[ModelName(spec.model), host_name(spec.version)] = Endpoint(spec.host, spec.port)
    return found
