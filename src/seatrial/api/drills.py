"""Drills: the calendar, a drill step by step, and its review."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from fastapi import APIRouter

from seatrial.api.deps import Operator, Wired
from seatrial.control.drills.calendar import drills_document
from seatrial.control.drills.documents import drill_document, evidence_of
from seatrial.governance.drills.review import Review
from seatrial.values import to_camel

router = APIRouter(prefix="/v1/drills", tags=["drills"])

_CONFIG: dict[str, Any] = {"extra": "forbid", "alias_generator": to_camel, "populate_by_name": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class Drilling:
    """The model, and bodies of requests to ask; what users sent last if there are none."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    model: str
    requests: list[Any] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """Why a drill is aborted."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    reason: str = "by hand"


@router.get("")
def list_drills(wired: Wired) -> dict[str, Any]:
    """Which model is due when, all drills, and the times to 0%."""
    with wired.store.read() as tx:
        return drills_document(tx, wired.project, wired.operations.clock.now())


@router.post("", status_code=201)
def begin(body: Drilling, wired: Wired, caller: Operator) -> dict[str, Any]:
    """A new drill, or the one that the model is in. Nothing in traffic changes yet."""
    return wired.operations.drills.begin(body.model, body.requests, actor=caller.name)


@router.get("/{drill}")
def show(drill: str, wired: Wired) -> dict[str, Any]:
    with wired.store.read() as tx:
        return drill_document(tx.drills.get(drill))


@router.get("/{drill}/evidence")
def evidence(drill: str, wired: Wired) -> dict[str, Any]:
    """All that its verdict rests on."""
    with wired.store.read() as tx:
        return evidence_of(tx.drills.get(drill))


@router.post("/{drill}/steps/{number}")
def step(drill: str, number: int, wired: Wired, caller: Operator) -> dict[str, Any]:
    """Take the step of this number, if it is its turn."""
    return wired.operations.drills.step(drill, number, actor=caller.name)


@router.post("/{drill}/abort")
def abort(drill: str, body: Ending, wired: Wired, caller: Operator) -> dict[str, Any]:
    """End it at whatever step it is, and put everything back."""
    return wired.operations.drills.abort(drill, reason=body.reason, actor=caller.name)


@router.put("/{drill}/review")
def review(drill: str, body: Review, wired: Wired, caller: Operator) -> dict[str, Any]:
    """Fill in what people learned."""
    return wired.operations.drills.review(drill, body, actor=caller.name)


@router.post("/{drill}/close")
def close(drill: str, wired: Wired, caller: Operator) -> dict[str, Any]:
    """Close a review that is complete."""
    return wired.operations.drills.close(drill, actor=caller.name)
