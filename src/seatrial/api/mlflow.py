"""MLflow: what is published there, what is asked there, and models that are linked to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from fastapi import APIRouter

from seatrial.api.deps import Admin, Operator, Wired
from seatrial.control.documents import views
from seatrial.control.mlflow.documents import status_document
from seatrial.control.mlflow.linking import link, register, tracking_of
from seatrial.values import to_camel

router = APIRouter(tags=["mlflow"])

_CONFIG: dict[str, Any] = {"extra": "forbid", "alias_generator": to_camel, "populate_by_name": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class MlflowLink:
    """``champion``: the version there that the champion is; by MLflow's own alias if None."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    registered: str
    champion: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MlflowVersion:
    """``pin``: an alias is looked up now, and the version that it names is kept. ``url``: where it is served."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    uri: str
    pin: bool = False
    url: str = ""


@router.get("/v1/mlflow")
def mlflow_status(wired: Wired) -> dict[str, Any]:
    """What is published of each linked model and what waits; the latest requests."""
    with wired.store.read() as tx:
        return status_document(tx, wired.project)


@router.post("/v1/mlflow/sync")
def mlflow_sync(wired: Wired, caller: Operator, full: bool = False) -> dict[str, Any]:
    """Look at MLflow now; with ``full`` every tag is written anew."""
    wired.operations.running()
    return wired.operations.mlflow.round(full=full).document()


@router.put("/v1/models/{model}/mlflow")
def mlflow_link(model: str, body: MlflowLink, wired: Wired, caller: Admin) -> dict[str, Any]:
    """Link a model to a registered model of MLflow: whoever may move aliases there may ask for rollouts of it."""
    tracking = tracking_of(wired.project)
    now = wired.operations.clock.now()
    number = link(
        wired.project, wired.operations.store, tracking, model, body.registered,
        champion=body.champion, actor=caller.name, now=now,
    )  # fmt: skip
    return linked_document(model, body.registered, number)


@router.post("/v1/models/{model}/mlflow/versions", status_code=201)
def mlflow_register(model: str, body: MlflowVersion, wired: Wired, caller: Operator) -> dict[str, Any]:
    """A version of what a URI of MLflow names, with the lineage that its run tells."""
    tracking = tracking_of(wired.project)
    version, remark = register(
        wired.operations, tracking, model, body.uri, resolved=body.pin, url=body.url, actor=caller.name
    )
    return {**views.version_document(version), "remark": remark or None}


def linked_document(model: str, registered: str, champion: int | None) -> dict[str, Any]:
    """``seatrial.mlflow-link.v1``"""
    return {"schema": "seatrial.mlflow-link.v1", "model": model, "registered": registered, "champion": champion}
