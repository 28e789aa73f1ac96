"""Bodies and paths nobody sends by mistake: each is refused in words, none is a server error or reaches a file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apisystem import PLAN
from seatrial.cli import main
from seatrial.store.plans import parse_plan, plan_to_json

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
NAMES = ("..%2f..%2fetc%2fpasswd", "%2e%2e", "a%00b", "%00", "fraud%2f..%2f..", "C:%5cwindows", "%ff", "x" * 5000)


def test_a_body_that_cannot_be_read_is_refused(api: Any) -> None:
    for path in ("/v1/rollouts", "/v1/models/fraud/kill", "/v1/access", "/v1/models/new/adopt"):
        for what, body in BODIES.items():
            answer = api.call("POST", path, content=body, headers={**api.token, **JSON})
            assert answer.status_code in (400, 404, 409, 422), (path, what, answer.text)
            assert answer.json()["schema"] == "seatrial.error.v1", what


def test_text_goes_in_as_text_or_not_at_all(api: Any, rollout: str) -> None:
    for text in ("\x00", "\ud800", "a\r\nx-injected: 1", "{{7*7}}", "'; DROP TABLE audit; --", "\u202e"):
        calls = {
            f"/v1/rollouts/{rollout}/pause": {"reason": text},
            "/v1/models/new/adopt": {"url": "http://127.0.0.1:9/", "owner": text},
            "/v1/models/other/adopt": {"url": f"http://127.0.0.1:9/{text}"},
            "/v1/access": {"name": text, "role": "viewer"},
        }
        for path, body in calls.items():
            answer = api.call("POST", path, content=json.dumps(body), headers={**api.token, **JSON})
            assert answer.status_code in (200, 201, 400, 409, 422), (path, text, answer.text)
            assert "x-injected" not in answer.headers
        api.post(f"/v1/rollouts/{rollout}/resume")
    with api.store.read() as tx:
        assert tx.audit.verify().ok


def test_a_name_in_a_path_is_never_a_path(api: Any) -> None:
    before = _files(api)
    for name in NAMES:
        calls = [
            api.get(f"/v1/models/{name}"),
            api.get(f"/v1/rollouts/{name}"),
            api.get(f"/v1/rollouts/{name}/decisions"),
            api.get(f"/static/{name}"),
            api.call("DELETE", f"/v1/access/{name}", headers=api.token),
            api.post(f"/v1/models/{name}/kill", {"reason": "x"}),
            api.post(f"/v1/models/{name}/revive", {"reason": "x"}),
            api.post(f"/v1/models/{name}/adopt", {"url": "http://127.0.0.1:9/"}),
        ]
        for answer in calls:
            assert answer.status_code in (400, 404, 405, 422, 503), (answer.url, answer.text)
            assert "root:" not in answer.text
    assert _files(api) == before
    assert api.post("/v1/models/plain/adopt", {"url": "http://127.0.0.1:9/"}).status_code == 201


def _files(api: Any) -> set[Path]:
    """What lies around the project; the database's own files come and go."""
    found = api.project.root.parent.rglob("*")
    return {path for path in found if path.is_file() and not path.name.startswith("store.db")}


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(
    inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["name", "metrics", "steps", "kind", "margin", "shadow", "share", "setWeight", "pause", "unit"]) | st.text(),
        inner, max_size=4)))  # fmt: skip
def test_any_document_as_a_plan_is_a_plan_or_is_refused(api: Any, body: Any) -> None:
    sent = {"model": "fraud", "version": 2, "plan": body}
    answer = api.call("POST", "/v1/rollouts", content=json.dumps(sent), headers={**api.token, **JSON})
    assert answer.status_code in (400, 409, 422), answer.text


def test_the_plan_that_is_one_is_taken(api: Any) -> None:
    sent = {"model": "fraud", "version": 2, "plan": plan_to_json(parse_plan(PLAN))}
    assert api.post("/v1/rollouts", sent).status_code == 201


COMMANDS = (
    ("logs", "../../../etc/passwd"),
    ("logs", "/etc/passwd"),
    ("kill", "../../x", "--reason", "y"),
    ("revive", "../../x", "--reason", "y"),
    ("rollback", "..", "--reason", "y"),
    ("rollout", "get", "../x"),
    ("model", "show", "../x"),
    ("model", "adopt", "../x", "--url", "http://127.0.0.1:9"),
    ("access", "grant", "../x", "--role", "viewer"),
    ("outcomes", "import", "/etc/passwd"),
)


def test_a_name_on_the_command_line_is_never_a_path(api: Any, capsys: pytest.CaptureFixture[str]) -> None:
    api.project.logs.joinpath("control.log").write_text("it ran\n")
    before = _files(api)
    for command in COMMANDS:
        with pytest.raises(SystemExit) as ended:
            main(["--project", str(api.project.root), *command])
        told = capsys.readouterr()
        assert ended.value.code in (1, 2), command
        assert re.search(r"✖ ST\d{4} ", told.err), "said in words, not with a traceback"
        assert "root:" not in told.out + told.err
    assert _files(api) == before
