"""Models and versions, and the three switches of a model: rollback, kill, revive."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from seatrial.api.bodies import Adoption, Registration, Switch, read_lineage, read_serving
from seatrial.api.deps import Actor, Wired
from seatrial.control import catalog, views

router = APIRouter(prefix="/v1/models", tags=["models"])


@router.get("")
def list_models(wired: Wired) -> dict[str, Any]:
    with wired.store.read() as tx:
        return catalog.models(tx, wired.project)


@router.get("/{model}")
def show_model(model: str, wired: Wired) -> dict[str, Any]:
    with wired.store.read() as tx:
        return catalog.model(tx, wired.project, model)


@router.post("/{model}/adopt", status_code=201)
def adopt(model: str, body: Adoption, wired: Wired, actor: Actor) -> dict[str, Any]:
    """Make what already serves at a URL the first champion."""
    version = wired.operations.adopt(
        model, body.url, unit_header=body.unit_header, actor=actor, owner=body.owner, purpose=body.purpose
    )
    return views.version_document(version)


@router.post("/{model}/versions", status_code=201)
def register(model: str, body: Registration, wired: Wired, actor: Actor) -> dict[str, Any]:
    """Add a version with its lineage; its artifact is in the project's store already, by digest."""
    version = wired.operations.register(
        model,
        read_serving(body.serving),
        read_lineage(body.lineage),
        tags=body.tags,
        actor=actor,
        unit_header=body.unit_header,
    )
    return views.version_document(version)


@router.post("/{model}/rollback")
def rollback(model: str, body: Switch, wired: Wired, actor: Actor) -> dict[str, Any]:
    """Abort the model's rollout, or bring the previous champion back; answers what was measured."""
    return views.switched_document(wired.operations.rollback(model, reason=body.reason, actor=actor))


@router.post("/{model}/kill")
def kill(model: str, body: Switch, wired: Wired, actor: Actor) -> dict[str, Any]:
    """Take the model out at once, until it is revived."""
    return views.switched_document(wired.operations.kill(model, mode=body.mode, reason=body.reason, actor=actor))


@router.post("/{model}/revive")
def revive(model: str, body: Switch, wired: Wired, actor: Actor) -> dict[str, Any]:
    return views.switched_document(wired.operations.revive(model, reason=body.reason, actor=actor))
