"""A project with a model in a rollout, operations that move no traffic, and a client without a network."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from seatrial.api.app import create_app
from seatrial.control import access
from seatrial.control.approvals import gate
from seatrial.control.launch import Launch, begin, can_start
from seatrial.control.operations import Operations, Switched
from seatrial.control.project import Project
from seatrial.control.recorder import record
from seatrial.control.states import state_from_json
from seatrial.control.way_home.target import taken_back
from seatrial.ids import Digest, RolloutId
from seatrial.registry.lineage import ArtifactLineage, CodeRef, DataRef, ModelRef
from seatrial.registry.people import Role
from seatrial.registry.version import Serving
from seatrial.rollout.start import by_hand
from seatrial.rollout.verdicts import Decision
from seatrial.store.db import Store
from seatrial.store.plans import parse_plan, plan_from_json
from seatrial.values import Duration

Headers = dict[str, str]

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
A, B = Digest("sha256:" + "a" * 64), Digest("sha256:" + "b" * 64)
LINEAGE = ArtifactLineage(CodeRef("1f0c2aa", dirty=False), DataRef(B, 1000), ModelRef(A, "sklearn"))
PLAN = """
name: quick
metrics:
  - {name: errors, kind: error_rate, margin: 1pp}
steps:
  - shadow: {share: 100%}
  - setWeight: 10%
  - pause: {duration: 2h}
"""


class Idle(Operations):
    """Operations without a running system: what is recorded is real, what moves traffic is only said to."""

    def _launch(self, asked: Launch) -> RolloutId:
        gate.require(self.project, self.store, self.approvals, asked, self.clock.now())
        with self.store.begin() as tx:
            rollout = begin(tx, asked, can_start(tx, asked, killed=()), NOW)
            gate.begun(tx, self.project, asked, rollout, self.clock.now())
        return rollout

    def by_hand(self, rollout: str, verb: Any, *, full: bool = False, reason: str = "", actor: str) -> Decision:
        with self.store.begin() as tx:
            stored = tx.rollouts.get(rollout)
            plan, state = plan_from_json(json.loads(stored.plan)), state_from_json(stored.state)
            later = NOW + timedelta(hours=stored.revision)
            decision, after = by_hand(plan, state, verb, full=full, reason=reason, actor=actor, now=later)
            record(tx, decision, after, revision=stored.revision, digest=None, store_decision=True)
        return decision

    def kill(self, model: str, *, mode: Any = "previous", reason: str, actor: str) -> Switched:
        return self._switched(model, mode, f"killed by {actor} in 1.2 ms: {reason}")

    def rollback(self, model: str, *, reason: str = "", actor: str, **how: Any) -> Switched:
        return self._switched(model, "v1", f"rolled back by {actor} in 1.2 ms: {reason}")

    def undo(self, rollout: str, *, reason: str = "", actor: str, **how: Any) -> Switched:
        with self.store.read() as tx:
            done, model = taken_back(tx, rollout), tx.rollouts.get(rollout).model
        if done:
            return Switched(model, "", 0.0, 7, {"v1": 1.0}, done, changed=False)
        return self.rollback(model, reason=reason, actor=actor)

    def _switched(self, model: str, to: str, text: str) -> Switched:
        with self.store.read() as tx:
            tx.models.get_model(model)
        return Switched(model, to, 1.25, 7, {"v1": 1.0}, f"{model} {text}")


def call(app: Any, method: str, path: str, **given: Any) -> httpx.Response:
    """One request to an ASGI application, without a network. Errors of the server are answers."""

    async def request() -> httpx.Response:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8700") as client:
            return await client.request(method, path, **given)

    return asyncio.run(request())


class Api:
    """The application with a token at hand."""

    def __init__(self, operations: Idle, project: Project, store: Store) -> None:
        self.operations, self.project, self.store = operations, project, store
        self.missing = ""
        self.token = {"authorization": f"Bearer {project.token()}"}
        self.serve_as()

    def serve_as(self, *hosts: str, **address: Any) -> None:
        """Build the application anew; ``address``: other settings of ``api:``."""
        config = replace(self.project.config, api=replace(self.project.config.api, **address))
        self.app = create_app(
            self.operations,
            replace(self.project, config=config),
            self.store,
            ready=lambda: self.missing,
            hosts=frozenset(hosts),
        )

    def person(self, name: str, role: str, *, expires: Duration | None = None, now: datetime | None = None) -> Headers:
        """Grant access; the headers that show it."""
        now = now or datetime.now(UTC)
        granted = access.grant(self.store, name, Role(role), expires=expires, actor="root", now=now)
        return {"authorization": f"Bearer {granted.token}"}

    def call(self, method: str, path: str, **given: Any) -> httpx.Response:
        return call(self.app, method, path, **given)

    def get(self, path: str, **given: Any) -> httpx.Response:
        return call(self.app, "GET", path, **given)

    def post(self, path: str, body: object = None, **given: Any) -> httpx.Response:
        headers = {**self.token, **given.pop("headers", {})}
        return call(self.app, "POST", path, json={} if body is None else body, headers=headers, **given)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "seatrial.yaml").write_text("project: shop\n")
    project = Project.open(tmp_path)
    project.prepare()
    return project


@pytest.fixture
def api(project: Project) -> Iterator[Api]:
    """Model fraud: v1 serves, v2 is registered."""
    with Store.open(project.store_url) as store:
        operations = Idle(project, store)
        operations.adopt("fraud", "http://127.0.0.1:9/", actor="ann")
        operations.register("fraud", Serving(kind="url", url="http://127.0.0.1:9/"), LINEAGE, actor="ann")
        yield Api(operations, project, store)


@pytest.fixture
def rollout(api: Api) -> str:
    return api.operations.start_rollout("fraud", 2, parse_plan(PLAN), actor="ann")
