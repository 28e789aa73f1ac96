"""The application: guard, routes, errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fastapi import FastAPI

from seatrial import __version__
from seatrial.api import (
    access,
    alerts,
    approvals,
    changes,
    ci,
    drills,
    errors,
    events,
    incident_analysis,
    incidents,
    mlflow,
    models,
    ops,
    outcomes,
    pages,
    recalls,
    retraining,
    reviews,
    rollouts,
    shadow,
    shadows,
)
from seatrial.api.credentials import Credentials
from seatrial.api.deps import Services
from seatrial.api.limits import Limits
from seatrial.api.security import Guard
from seatrial.api.sessions import Sessions
from seatrial.control.documents.catalog import instance
from seatrial.control.project import Project
from seatrial.ids import Digest
from seatrial.registry.people import Person
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
        docs_url=None,
        redoc_url=None,
    )
    address = project.config.api
    credentials = Credentials(project.token(), _finder(store))
    sessions = Sessions(project.session_key(), credentials, instance(project))
    wired = app.state.services = Services(operations, project, store, ready)
    app.state.sessions, app.state.credentials = sessions, credentials
    app.add_middleware(
        Guard,
        credentials=credentials,
        sessions=sessions,
        hosts=hosts | {address.host, *address.names} - WILDCARDS,
        open_reads=address.reads_are_open,
    )
    app.add_middleware(Limits)
    routers = (
        models.router,
        rollouts.router,
        shadow.router,
        outcomes.router,
        events.router,
        access.router,
        alerts.router,
        approvals.router,
        changes.router,
        ci.router,
        incident_analysis.router,
        incidents.router,
        recalls.router,
        retraining.router,
        drills.router,
        reviews.router,
        shadows.router,
        mlflow.router,
        ops.router,
    )
    for router in routers:
        app.include_router(router, responses=errors.RESPONSES)
    errors.install(app)
    pages.install(app, wired)
    return app


def _finder(store: Store) -> Callable[[Digest], Person | None]:
    def find(digest: Digest) -> Person | None:
        with store.read() as tx:
            return tx.people.find(digest)

    return find
