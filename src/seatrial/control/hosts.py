"""The model hosts that should run: started, adopted, restarted and stopped."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from typing import cast

from seatrial.control.project import Project
from seatrial.control.render import VersionKey
from seatrial.errors import Unavailable
from seatrial.gateway.routes import Endpoint
from seatrial.registry.version import ModelVersion
from seatrial.serving.process import HostProcess
from seatrial.serving.spec import ArtifactFormat, HostSpec
from seatrial.store.artifacts import ArtifactStore

READY_S = 60.0


class Hosts:
    """One host process a version, also in front of foreign URLs: the host is the adapter that checks every answer."""

    def __init__(self, project: Project, artifacts: ArtifactStore) -> None:
        self._project, self._artifacts = project, artifacts
        self._running: dict[VersionKey, HostProcess] = {}

    def ensure(self, versions: Iterable[ModelVersion]) -> dict[VersionKey, Endpoint]:
        """Start or adopt a host for each version; returns where all of them listen, ready or not."""
        for version in versions:
            key = (version.model, version.number)
            if key not in self._running or not self._running[key].alive():
                self._running[key] = self._launch(version)
        return self.endpoints()

    def wait(self, keys: Iterable[VersionKey], timeout_s: float = READY_S) -> None:
        """Until all of these answer. Raises Unavailable naming the first that does not."""
        deadline = time.monotonic() + timeout_s
        for model, number in keys:
            if not self._running[model, number].ready(max(0.0, deadline - time.monotonic())):
                raise Unavailable(
                    "ST0830", f"the host of {model} v{number} did not become ready within {timeout_s:g} s.",
                    remedy=f"See `seatrial logs {model}-{number}`.",
                )  # fmt: skip

    def endpoints(self) -> dict[VersionKey, Endpoint]:
        """Where every known host listens, whether it answers now or not: Envoy finds out by itself."""
        return {key: Endpoint(host.spec.host, host.port) for key, host in self._running.items()}

    def revive(self) -> list[str]:
        """Restart hosts that died, on their ports, so that no route changes; returns their names."""
        dead = [key for key, host in self._running.items() if not host.alive()]
        for key in dead:
            old = self._running[key]
            self._running[key] = HostProcess(replace(old.spec, port=old.port), old.directory)
            self._running[key].start()
        return [f"{model} v{number}" for model, number in dead]

    def keep_only(self, keys: Iterable[VersionKey]) -> None:
        """Stop the hosts of versions that nothing points to any more."""
        kept = set(keys)
        for key in [key for key in self._running if key not in kept]:
            self._running.pop(key).stop()

    def stop(self) -> None:
        self.keep_only(())

    def _launch(self, version: ModelVersion) -> HostProcess:
        directory = self._project.host_directory(version.model, version.number)
        process = HostProcess(self._spec(version), directory)
        process.ensure()
        return process

    def _spec(self, version: ModelVersion) -> HostSpec:
        serving = version.serving
        if serving.kind == "url":
            return HostSpec(model=version.model, version=str(version.number), kind="proxy", url=serving.url)
        assert serving.artifact is not None, "the registry refuses an artifact version without artifact"
        self._artifacts.verify(serving.artifact)
        return HostSpec(
            model=version.model,
            version=str(version.number),
            kind="artifact",
            artifact_dir=str(self._artifacts.path(serving.artifact)),
            format=cast(ArtifactFormat, serving.format),
            features=serving.features,
            output=serving.output,
            trust_pickle=serving.trust_pickle,
            trusted_types=serving.trusted_types,
        )
