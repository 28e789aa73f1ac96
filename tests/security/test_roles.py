"""Every call that changes something names a role; docs/security.md has the same table; each role is where it ends."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute
from hypothesis import given
from hypothesis import strategies as st

from seatrial.api.approvals import ROLES as FORMS
from seatrial.api.buttons import ROLES
from seatrial.api.security import Needs
from seatrial.registry.people import Role

DOC = Path(__file__).parents[2] / "docs" / "security.md"
SAFE = {"GET", "HEAD"}
FOR_ALL = {("POST", "/login"), ("POST", "/logout")}
BY_BUTTON = {("POST", f"/{noun}/{{name}}/{{verb}}") for noun in ("rollouts", "models", "approvals")}
"""Forms of the pages: their role is that of the button, held to the API's own below."""

BELOW = {
    Role.REPORTER: [Role.VIEWER],
    Role.VIEWER: [Role.REPORTER],
    Role.OPERATOR: [Role.VIEWER, Role.REPORTER],
    Role.APPROVER: [Role.OPERATOR],
    Role.ADMIN: [Role.APPROVER],
}
FILL = {
    "model": "fraud", "rollout": "fraud", "verb": "pause", "name": "ann", "version": "2", "incident": "i-0001",
    "review": "q-1", "drill": "d-0001", "number": "1", "run": "ci-0001",
    "request": "a-0001", "test_set": "s-0001", "ticket": "v-0001", "trigger": "inputs",
}  # fmt: skip


def _needs(route: APIRoute) -> Role | None:
    """The role of a route, wherever in its dependencies it is named."""
    pending, found = [route.dependant], []
    while pending:
        dependant = pending.pop()
        found += [dependant.call.role] if isinstance(dependant.call, Needs) else []
        pending += dependant.dependencies
    assert len(found) <= 1, f"{route.path} names two roles"
    return found[0] if found else None


def _routes(app: Any) -> Iterator[tuple[str, str, Role | None]]:
    pending = list(app.routes)
    while pending:
        route = pending.pop()
        pending += getattr(route, "routes", None) or []
        original = getattr(route, "original_router", None)
        pending += original.routes if original is not None else []
        if isinstance(route, APIRoute):
            for method in sorted(route.methods):
                yield method, route.path, _needs(route)


def _changing(app: Any) -> dict[tuple[str, str], Role]:
    found = {(method, path): role for method, path, role in _routes(app) if method not in SAFE}
    return {place: role for place, role in found.items() if place not in FOR_ALL | BY_BUTTON}  # type: ignore[misc]


def _of_document() -> dict[tuple[str, str], Role]:
    rows = re.findall(r"^\| `([A-Z]+) (/v1/\S+)` \| (\w+) \|", DOC.read_text(encoding="utf-8"), re.MULTILINE)
    return {(method, path): Role(role) for method, path, role in rows}


def test_every_call_that_changes_something_names_its_role(api: Any) -> None:
    changing = _changing(api.app)
    assert len(changing) >= 12
    assert [place for place, role in changing.items() if role is None] == []
    documented = {place: role for place, role in _of_document().items() if place[0] not in SAFE}
    assert documented == changing, "docs/security.md has this very table"


def test_reads_that_need_a_role_are_in_the_document_too(api: Any) -> None:
    reads = {(method, path): role for method, path, role in _routes(api.app) if method in SAFE and role is not None}
    assert reads == {place: role for place, role in _of_document().items() if place[0] in SAFE}


def test_each_role_is_refused_below_and_let_through_at_its_own(api: Any, rollout: str) -> None:
    tokens = {role: api.person(role.value, role.value) for role in Role}
    for (method, path), needed in {**_changing(api.app), **_of_document()}.items():
        place = path.format(**FILL)
        for role in BELOW[needed]:
            answer = api.call(method, place, json={}, headers=tokens[role])
            assert (answer.status_code, answer.json()["code"]) == (403, "ST0856"), (method, path, role)
            assert needed.value in answer.json()["message"]
        answer = api.call(method, place, json={}, headers=tokens[needed])
        assert answer.status_code not in (401, 403), (method, path, needed)


def test_the_buttons_of_the_pages_ask_for_the_same_roles(api: Any) -> None:
    documented = _of_document()
    for verb, role in ROLES.items():
        own = [
            documented.get(("POST", path))
            for path in (f"/v1/models/{{model}}/{verb}", f"/v1/rollouts/{{rollout}}/{verb}")
        ]
        general = documented["POST", "/v1/rollouts/{rollout}/{verb}"]
        assert role in (*own, general) if any(own) else role is general, verb


def test_the_forms_of_an_approval_ask_for_the_same_roles(api: Any) -> None:
    documented = _of_document()
    assert {verb: documented["POST", f"/v1/approvals/{{request}}/{verb}"] for verb in FORMS} == FORMS


def test_code_is_run_for_admins_only(api: Any) -> None:
    """A pickle, and a skops type that is not known, run code on this machine: who may start that may do everything."""
    lineage = {"code": {"commit": "1f0c2aa", "dirty": False}, "data": {"digest": "sha256:" + "b" * 64, "rows": 9},
               "model": {"digest": "sha256:" + "a" * 64, "framework": "sklearn"}}  # fmt: skip
    artifact = {"kind": "artifact", "artifact": "sha256:" + "a" * 64, "features": ["x"]}
    plain = {**artifact, "format": "skops"}
    pickled = {**artifact, "format": "joblib", "trust_pickle": True}
    typed = {**plain, "trusted_types": ["mine.Model"]}
    approver = api.person("ann", "approver")
    for serving, status in ((plain, 201), (pickled, 403), (typed, 403)):
        body = {"serving": serving, "lineage": lineage}
        assert api.post("/v1/models/fraud/versions", body, headers=approver).status_code == status
        assert api.post("/v1/models/fraud/versions", body).status_code == 201, "the owner may"
    entry = next(e for e in api.get("/v1/audit").json()["entries"] if e["action"] == "version.register")
    assert entry["detail"]["serving"]["trusted_types"] == ["mine.Model"]


def test_an_override_asks_for_an_approver(api: Any) -> None:
    plan = {"name": "flip", "impact": "immediate", "metrics": [{"name": "e", "kind": "error_rate", "margin": "1pp"}],
            "steps": [{"setWeight": "5%"}]}  # fmt: skip
    body = {"model": "fraud", "version": 2, "plan": plan}
    assert api.post("/v1/rollouts", body).json()["code"] == "ST0344"
    hurried = {**body, "override": "the champion is down"}
    assert api.post("/v1/rollouts", hurried, headers=api.person("oli", "operator")).status_code == 403
    assert api.post("/v1/rollouts", hurried, headers=api.person("ann", "approver")).status_code == 201


def test_a_reporter_sends_outcomes_and_does_nothing_else(api: Any) -> None:
    pipe = api.person("pipeline", "reporter")
    line = b'{"model": "fraud", "key": "a", "name": "x", "value": 1, "time": "2026-03-01T00:00:00Z"}\n'
    assert api.call("POST", "/v1/outcomes", content=line, headers=pipe).json()["accepted"] == 1
    assert api.get("/v1/access", headers=pipe).status_code == 403


@given(st.sampled_from(Role), st.sampled_from(Role), st.sampled_from(Role))
def test_roles_are_an_order(a: Role, b: Role, c: Role) -> None:
    assert a.includes(a)
    assert not (a.includes(b) and b.includes(a)) or a is b
    assert not (a.includes(b) and b.includes(c)) or a.includes(c)
    assert Role.ADMIN.includes(a)


@pytest.mark.parametrize("role", ["root", "", "ADMIN", "viewer "])
def test_a_role_that_does_not_exist_is_not_granted(api: Any, role: str) -> None:
    assert api.post("/v1/access", {"name": "ann", "role": role}).status_code == 422
