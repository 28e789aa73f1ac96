"""What a registered version needs to be served: its spec, from the registry and the artifact store."""

from __future__ import annotations

from typing import cast

from seatrial.registry.version import ModelVersion
from seatrial.serving.spec import ArtifactFormat, HostSpec
from seatrial.store.artifacts import ArtifactStore


def host_spec(version: ModelVersion, artifacts: ArtifactStore, *, memory_mb: int | None = None) -> HostSpec:
    """The host of a version; ``memory_mb`` limits its address space."""
    serving = version.serving
    if serving.kind == "url":
        return HostSpec(model=version.model, version=str(version.number), kind="proxy", url=serving.url)
    assert serving.artifact is not None, "the registry refuses an artifact version without artifact"
    return HostSpec(
        model=version.model,
        version=str(version.number),
        kind="artifact",
        artifact_dir=str(artifacts.path(serving.artifact)),
        format=cast(ArtifactFormat, serving.format),
        features=serving.features,
        dtypes=serving.dtypes,
        output=serving.output,
        trust_pickle=serving.trust_pickle,
        trusted_types=serving.trusted_types,
        memory_limit_mb=memory_mb,
    )
