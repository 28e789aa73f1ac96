"""A model of MLflow, pinned: copied once into the project's artifacts, and from then on known by its content."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from seatrial.errors import NotFound, UsageError
from seatrial.ids import Digest
from seatrial.integrations.mlflow.flavor import REMEDY, Flavor, read_flavor
from seatrial.integrations.mlflow.lineage import lacks, lineage_of
from seatrial.integrations.mlflow.tracking import Tracking
from seatrial.integrations.mlflow.uri import ModelUri, require_pinned
from seatrial.registry.lineage import ArtifactLineage
from seatrial.registry.version import Serving
from seatrial.store.artifacts import ArtifactStore

URL_TAG = "seatrial.url"
"""Tag of a version in MLflow: where somebody serves it."""


@dataclass(frozen=True, slots=True)
class Pinned:
    """One model for ever: ``digest`` of all its files as they were. ``url``: where it is served, if MLflow says so."""

    uri: ModelUri
    run: str
    digest: Digest
    flavor: Flavor
    lineage: ArtifactLineage
    url: str = ""

    @property
    def tags(self) -> dict[str, str]:
        """What the registry keeps beside the lineage."""
        said = {
            "mlflow.uri": str(self.uri), "mlflow.run": self.run, "mlflow.digest": self.digest,
            "mlflow.output": self.flavor.output, "mlflow.environment": ", ".join(self.flavor.environment),
            "mlflow.signature": ", ".join(f"{name} {kind}" for name, kind in self.flavor.columns.items()),
            "mlflow.example": "yes" if self.flavor.example else "",
        }  # fmt: skip
        return {name: value for name, value in said.items() if value}


def resolve(tracking: Tracking, uri: ModelUri) -> ModelUri:
    """The version that an alias or *latest* names now. Raises NotFound (``ST1534``)."""
    if uri.kind == "alias":
        number = tracking.aliases_of(uri.name).get(uri.part)
        if number is None:
            raise NotFound(
                "ST1534", f"mlflow: '{uri.name}' has no alias '{uri.part}'.", remedy="Set it, or name a version."
            )
        return ModelUri("version", uri.name, str(number))
    if uri.kind == "latest":
        versions = tracking.versions(uri.name)
        if not versions:
            raise NotFound("ST1534", f"mlflow: '{uri.name}' has no version.", remedy="Register one there first.")
        return ModelUri("version", uri.name, str(versions[-1].number))
    return uri


def pin(tracking: Tracking, artifacts: ArtifactStore, uri: ModelUri) -> Pinned:
    """Copy a model and read where it came from. Raises UsageError for a name that moves (``ST1531``)."""
    require_pinned(uri)
    run, url, location = _found(tracking, uri)
    with tempfile.TemporaryDirectory(prefix="seatrial-mlflow-") as scratch:
        folder = tracking.download(location, Path(scratch))
        flavor = read_flavor(folder)
        digest = artifacts.put_tree(folder)
    return Pinned(uri, run, digest, flavor, lineage_of(tracking.run(run) if run else None, flavor, digest), url)


def serving_of(pinned: Pinned, *, trust_pickle: bool = False) -> Serving:
    """How it answers: where MLflow says that it is served, else from its file by a host of this project.

    Raises UsageError (``ST1538``) for what no host here can serve.
    """
    flavor = pinned.flavor
    if pinned.url:
        return Serving(kind="url", url=pinned.url)
    if not flavor.format or not flavor.columns:
        what = "its signature names no columns" if flavor.format else f"{flavor.framework} is not served here"
        raise UsageError(
            "ST1538", f"mlflow: {pinned.uri} has no tag {URL_TAG}, and {what}.",
            remedy=f"Serve it (`mlflow models serve -m {pinned.uri}`) and tag the version {URL_TAG}=http://...",
        )  # fmt: skip
    return Serving(
        kind="artifact", artifact=pinned.digest, format=flavor.format, features=tuple(flavor.columns),
        dtypes=tuple(flavor.columns.values()), output="predict_proba" if flavor.probabilities else "predict",
        trust_pickle=trust_pickle and flavor.format == "joblib",
    )  # fmt: skip


def require_lineage(pinned: Pinned) -> ArtifactLineage:
    """Raises UsageError (``ST1539``) that says what the run lacks."""
    if lacking := lacks(pinned.lineage):
        raise UsageError(
            "ST1539", f"mlflow: {pinned.uri}: its run does not have {lacking}.",
            remedy="Log it to the run, then ask again; a version of unknown origin is not released.",
        )  # fmt: skip
    return pinned.lineage


def warning(pinned: Pinned) -> str:
    """What a reader of the shadow's agreement should know; empty where nothing is in the way."""
    if pinned.url and pinned.flavor.output == "labels":
        return f"{pinned.uri} answers with class labels: metrics of scores cannot be measured. {REMEDY}"
    return ""


def _found(tracking: Tracking, uri: ModelUri) -> tuple[str, str, str]:
    """The run, the URL and the location of the artifacts."""
    if uri.kind == "version":
        version = tracking.version(uri.name, int(uri.part))
        return version.run, version.tags.get(URL_TAG, ""), tracking.location(uri)
    if uri.kind == "run":
        return uri.name, "", tracking.logged_by(tracking.run(uri.name), uri.part)
    location, logged_by = tracking.logged_model(uri.name)
    return logged_by, "", location
