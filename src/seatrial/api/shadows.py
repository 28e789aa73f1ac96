"""Standing shadows of a model: versions that get copies beside the champion."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from seatrial.api.bodies import ShadowShare
from seatrial.api.deps import Operator, Wired
from seatrial.control.shadows.standing import shadows_document

router = APIRouter(prefix="/v1/models/{model}/shadows", tags=["models"])


@router.get("")
def list_shadows(model: str, wired: Wired) -> dict[str, Any]:
    """Who gets copies, of how many units."""
    with wired.store.read() as tx:
        return shadows_document(tx, model)


@router.put("/{version}")
def add_shadow(model: str, version: int, body: ShadowShare, wired: Wired, caller: Operator) -> dict[str, Any]:
    """A version gets copies of a share of the units' requests; its host answers first. Users never see its answers."""
    return wired.operations.add_shadow(model, version, body.share, actor=caller.name)


@router.delete("/{version}")
def remove_shadow(model: str, version: int, wired: Wired, caller: Operator) -> dict[str, Any]:
    """No more copies to this version."""
    return wired.operations.remove_shadow(model, version, actor=caller.name)
