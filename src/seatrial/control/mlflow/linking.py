"""Linking a model to a registered model of MLflow, and making versions of what MLflow has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.control.project import Project
from seatrial.integrations.mlflow.pin import Pinned, pin, require_lineage, resolve, serving_of, warning
from seatrial.integrations.mlflow.tracking import Tracking
from seatrial.integrations.mlflow.uri import ModelUri, parse_uri, require_pinned
from seatrial.registry.version import ModelVersion, Serving
from seatrial.store.artifacts import ArtifactStore
from seatrial.store.db import Store, Transaction

if TYPE_CHECKING:
    from datetime import datetime

    from seatrial.control.operations import Operations


def tracking_of(project: Project) -> Tracking:
    """The MLflow server of a project. Raises UsageError (``ST1532``) where none is named."""
    settings = project.config.mlflow
    return Tracking(settings.tracking_uri, settings.registry_uri)


def link(
    project: Project, store: Store, tracking: Tracking, model: str, registered: str, *,
    champion: int | None = None, actor: str, now: datetime,
) -> int | None:  # fmt: skip
    """Link a model. Its champion is the version there that is said, or that ``@champion`` names; returned if known.

    Raises NotFound for a model that either side does not have, Conflict (``ST1540``, ``ST1541``) where one is taken.
    """
    aliases = tracking.aliases_of(registered)
    number = champion or aliases.get(project.config.mlflow.published["champion"] or "")
    run = "" if number is None else tracking.version(registered, number).run
    with store.begin() as tx:
        tx.models.get_model(model)
        tx.mlflow.link(model, registered, actor=actor, now=now)
        serves = tx.models.pointers(model).get("champion")
        known = tx.mlflow.numbers(registered)
        if serves is None or serves in known.values():
            return next((there for there, here in known.items() if here == serves), None)
        if number is not None:
            tx.mlflow.bind(registered, number, model, serves, run)
            tx.audit.append(actor, "mlflow.bind", f"{model}/{serves}", {"mlflow": f"{registered}/{number}"}, now)
        return number


def unlinked(tx: Transaction, project: Project) -> list[tuple[str, str]]:
    """Models of seatrial.yaml that are here and not linked yet, with their registered models."""
    linked: dict[str, str] = {known.model: known.registered for known in tx.mlflow.links()}
    here = {model.name for model in tx.models.list_models()}
    wanted = project.config.mlflow.models
    return [(model, name) for model, name in wanted.items() if model in here and linked.get(model) != name]


def register(
    operations: Operations, tracking: Tracking, model: str, text: str, *,
    resolved: bool = False, url: str = "", actor: str,
) -> tuple[ModelVersion, str]:  # fmt: skip
    """A version of what a URI of MLflow names, with what its run says; and a remark on it, empty most often.

    ``resolved``: an alias is looked up now, and the version it names is kept. ``url``: where it is served, in the place
    of what its tag says. The same version again is the version that it was.
    Raises UsageError for a name that moves (``ST1531``), for what cannot be served (``ST1538``), and for a run that
    does not say where its model came from (``ST1539``).
    """
    uri = parse_uri(text)
    uri = resolve(tracking, uri) if resolved else require_pinned(uri)
    if (known := _known(operations.store, model, uri)) is not None:
        return known, ""
    pinned = pin(tracking, ArtifactStore(operations.project.artifacts), uri)
    version = operations.register(
        model, _serving(operations.project, pinned, url), require_lineage(pinned), tags=pinned.tags, actor=actor
    )
    _bind(operations.store, version, uri, pinned.run)
    return version, warning(pinned)


def _serving(project: Project, pinned: Pinned, url: str) -> Serving:
    if url:
        return Serving(kind="url", url=url)
    return serving_of(pinned, trust_pickle=project.config.mlflow.trust_pickle)


def _known(store: Store, model: str, uri: ModelUri) -> ModelVersion | None:
    """The version that this URI was made into before, also by a process that did not live to write down the rest."""
    with store.read() as tx:
        if all(known.name != model for known in tx.models.list_models()):
            return None
        versions = tx.models.list_versions(model)
        number = tx.mlflow.numbers(uri.name).get(int(uri.part)) if uri.kind == "version" else None
    found = [one for one in versions if one.number == number or one.tags.get("mlflow.uri") == str(uri)]
    if not found:
        return None
    _bind(store, found[-1], uri, found[-1].tags.get("mlflow.run", ""))
    return found[-1]


def _bind(store: Store, version: ModelVersion, uri: ModelUri, run: str) -> None:
    if uri.kind == "version":
        with store.begin() as tx:
            tx.mlflow.bind(uri.name, int(uri.part), version.model, version.number, run)
