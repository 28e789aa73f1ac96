"""Recalls: what a faulty version answered, and what was done about it since."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar

from fastapi import APIRouter, Query

from seatrial.api.deps import Operator, Wired
from seatrial.control.analyses import recall
from seatrial.control.clock import aware
from seatrial.store.recalls import MarkKind
from seatrial.values import to_camel

router = APIRouter(prefix="/v1/recalls", tags=["recalls"])

_CONFIG: dict[str, Any] = {"extra": "forbid", "alias_generator": to_camel, "populate_by_name": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalling:
    """A version that was faulty within [since, until)."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    model: str
    version: int
    since: str
    until: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Marking:
    """What was done about ``requests``, or about all of them if there are none."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _CONFIG

    kind: MarkKind
    note: str
    requests: tuple[str, ...] = ()


@router.get("")
def list_recalls(wired: Wired, model: str | None = None) -> dict[str, Any]:
    """All of them, oldest first."""
    with wired.store.read() as tx:
        return recall.listed(tx, model)


@router.post("", status_code=201)
def open_recall(body: Recalling, wired: Wired, caller: Operator) -> dict[str, Any]:
    """List what the version answered, and keep track of it from now on."""
    start, end = _moments(body)
    return recall.open_recall(
        wired.project, wired.operations.store, body.model, body.version, start, end,
        reason=body.reason, actor=caller.name, now=wired.operations.clock.now(),
    )  # fmt: skip


@router.get("/{number}")
def show(number: str, wired: Wired, waiting: Annotated[MarkKind | None, Query()] = None) -> dict[str, Any]:
    """One, with its list as the log has it now. ``waiting``: only predictions without this mark."""
    return recall.shown(wired.project, wired.store, number, waiting=waiting)


@router.post("/{number}/marks")
def mark(number: str, body: Marking, wired: Wired, caller: Operator) -> dict[str, Any]:
    """People were notified, or predictions were read again by a person."""
    return recall.mark(
        wired.project, wired.operations.store, number, body.kind, body.requests,
        note=body.note, actor=caller.name, now=wired.operations.clock.now(),
    )  # fmt: skip


def _moments(body: Recalling) -> tuple[datetime, datetime]:
    return aware(body.since), aware(body.until)
