"""The application: guard, routes, errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fastapi import FastAPI

from seatrial import __version__
from seatrial.api import errors, models, ops, outcomes, rollouts
from seatrial.api.deps import Services
from seatrial.api.security import Guard
from seatrial.control.project import Project
from seatrial.store.db import Store

if TYPE_CHECKING:
    from seatrial.control.operations import Operations

WILDCARDS = frozenset({"0.0.0.0", "::"})


def create_app(
    operations: Operations,
    project: Project,
    store: Store,
    *,
    ready: Callable[[], str] = str,
    hosts: frozenset[str] = frozenset(),
) -> FastAPI:
    """The API of one project.

    ``ready`` says what is still missing before traffic flows (empty: nothing). ``hosts``: further names this server is
    reached by, beside loopback and the configured address.
    """
    app = FastAPI(
        title="seatrial",
        version=__version__,
        summary=f"Progressive delivery for machine-learning models: project {project.config.project}",
        redoc_url=None,
    )
    app.state.services = Services(operations, project, store, ready)
    app.add_middleware(Guard, token=project.token(), hosts=hosts | {project.config.api.host} - WILDCARDS)
    for router in (models.router, rollouts.router, outcomes.router, ops.router):
        app.include_router(router)
    errors.install(app)
    return app
