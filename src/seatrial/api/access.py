"""Who has access: granted, listed and revoked by admins."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter

from seatrial.api.bodies import Access
from seatrial.api.deps import Admin, Wired
from seatrial.control import access

router = APIRouter(prefix="/v1/access", tags=["access"])


@router.get("")
def list_access(wired: Wired, caller: Admin) -> dict[str, Any]:
    """Names, roles and ends; no tokens."""
    return access.listed(wired.store, _now())


@router.post("", status_code=201)
def grant(body: Access, wired: Wired, caller: Admin) -> dict[str, Any]:
    """Let somebody in, or give them a new role and a new token. The token is in this answer and nowhere else."""
    now = _now()
    granted = access.grant(wired.store, body.name, body.role, expires=body.expires, actor=caller.name, now=now)
    return access.grant_document(granted, now)


@router.delete("/{name}")
def revoke(name: str, wired: Wired, caller: Admin) -> dict[str, Any]:
    """End somebody's token and their sessions at once."""
    access.revoke(wired.store, name, actor=caller.name, now=_now())
    return {"schema": "seatrial.revoked.v1", "name": name}


def _now() -> datetime:
    """Tokens run out by the wall's clock, in a replay too."""
    return datetime.now(UTC)
