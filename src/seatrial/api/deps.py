"""What every route needs, kept on the application."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

from seatrial.api.security import actor
from seatrial.control.project import Project
from seatrial.store.db import Store

if TYPE_CHECKING:
    from seatrial.control.operations import Operations


@dataclass(frozen=True, slots=True)
class Services:
    """``ready`` says what is still missing before traffic flows; empty when nothing is."""

    operations: Operations
    project: Project
    store: Store
    ready: Callable[[], str]


def services(request: Request) -> Services:
    found: Services = request.app.state.services
    return found


Wired = Annotated[Services, Depends(services)]
Actor = Annotated[str, Depends(actor)]
