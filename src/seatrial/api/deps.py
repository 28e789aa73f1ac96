"""What every route needs, kept on the application."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

from seatrial.api.security import Principal, require
from seatrial.control.project import Project
from seatrial.registry.people import Role
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

Reporter = Annotated[Principal, Depends(require(Role.REPORTER))]
Operator = Annotated[Principal, Depends(require(Role.OPERATOR))]
Approver = Annotated[Principal, Depends(require(Role.APPROVER))]
Admin = Annotated[Principal, Depends(require(Role.ADMIN))]
