"""Bodies and paths nobody sends by mistake: each is refused in words, none is a server error or reaches a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from apisystem import PLAN
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seatrial.store.plans import parse_plan

JSON = {"content-type": "application/json"}
DEEP = "[" * 900 + "]" * 900
BODIES = {
    "nested": f'{{"model": "fraud", "version": 2, "plan": {{"name": {DEEP}}}}}',
    "nested beyond reading": f'{{"plan": {"[" * 100_000}{"]" * 100_000}}}',
    "a number of 5,000 digits": f'{{"model": "fraud", "version": {"9" * 5000}, "plan": {{}}}}',
    "a number beyond 64 bits": f'{{"model": "fraud", "version": {2**70}, "plan": {PLAN!r}}}'.replace("'", '"'),
    "NaN": '{"model": "fraud", "version": NaN, "plan": {}}',
    "half a character": '{"model": "\\ud800", "version": 2, "plan": {}}',
    "half a character in a plan": '{"model": "fraud", "version": 2, "plan": {"name": "\\ud800"}}',
    "a NUL": '{"model": "fraud\\u0000", "version": 2, "plan": {}}',
    "bytes that are not UTF-8": b'{"model": "\xff"}',
    "no object": "[]",
    "nothing": "",
}
NAMES = ("..%2f..%2fetc%2fpasswd", "%2e%2e", "..", "a%00b", "%00", "fraud%2f..%2f..", "C:%5cwindows", "%ff", "x" * 5000)


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
@pytest.mark.parametrize("path", ["/v1/rollouts", "/v1/models/fraud/kill", "/v1/access", "/v1/models/new/adopt"])
def test_a_body_that_cannot_be_read_is_refused(api: Any, path: str, body: str | bytes) -> None:
    answer = api.call("POST", path, content=body, headers={**api.token, **JSON})
    assert answer.status_code in (400, 404, 409, 422), answer.text
    assert answer.json()["schema"] == "seatrial.error.v1"


TEXTS = {
    "reason": ("/v1/rollouts/r-0001/pause", lambda text: {"reason": text}),
    "owner": ("/v1/models/new/adopt", lambda text: {"url": "http://127.0.0.1:9/", "owner": text}),
    "url": ("/v1/models/new/adopt", lambda text: {"url": f"http://127.0.0.1:9/{text}"}),
    "person": ("/v1/access", lambda text: {"name": text, "role": "viewer"}),
    "salt": ("/v1/rollouts", lambda text: {"model": "fraud", "version": 2, "plan": {}, "salt": text}),
}


@pytest.mark.parametrize("field", TEXTS)
@pytest.mark.parametrize("text", ["\x00", "\ud800", "a\r\nx-injected: 1", "{{7*7}}", "'; DROP TABLE audit; --", "‮"])
def test_text_goes_in_as_text_or_not_at_all(api: Any, rollout: str, field: str, text: str) -> None:
    path, body = TEXTS[field]
    answer = api.call("POST", path, content=json.dumps(body(text)), headers={**api.token, **JSON})
    assert answer.status_code in (200, 201, 400, 409, 422), answer.text
    assert "x-injected" not in answer.headers
    with api.store.read() as tx:
        assert tx.audit.verify().ok


@pytest.mark.parametrize("name", NAMES)
def test_a_name_in_a_path_is_never_a_path(api: Any, name: str) -> None:
    before = {path for path in api.project.root.parent.rglob("*") if path.is_file()}
    calls = [
        api.get(f"/v1/models/{name}"),
        api.get(f"/v1/rollouts/{name}"),
        api.get(f"/v1/rollouts/{name}/decisions"),
        api.call("DELETE", f"/v1/access/{name}", headers=api.token),
        api.post(f"/v1/models/{name}/kill", {"reason": "x"}),
        api.post(f"/v1/models/{name}/revive", {"reason": "x"}),
        api.post(f"/v1/models/{name}/adopt", {"url": "http://127.0.0.1:9/"}),
    ]
    for answer in calls:
        assert answer.status_code in (400, 404, 405, 422, 503), (answer.url, answer.text)
        assert "root:" not in answer.text
    after = {path for path in api.project.root.parent.rglob("*") if path.is_file()}
    assert {path for path in after - before if not path.name.startswith("store.db")} == set()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(
    inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["name", "metrics", "steps", "kind", "margin", "shadow", "share", "setWeight", "pause", "unit"]) | st.text(),
        inner, max_size=4)))  # fmt: skip
def test_any_document_as_a_plan_is_a_plan_or_is_refused(api: Any, body: Any) -> None:
    sent = {"model": "fraud", "version": 2, "plan": body}
    answer = api.call("POST", "/v1/rollouts", content=json.dumps(sent), headers={**api.token, **JSON})
    assert answer.status_code in (400, 409, 422), answer.text


def test_the_plan_that_is_one_is_taken(api: Any, tmp_path: Path) -> None:
    from seatrial.store.plans import plan_to_json

    sent = {"model": "fraud", "version": 2, "plan": plan_to_json(parse_plan(PLAN))}
    assert api.post("/v1/rollouts", sent).status_code == 201
